"""Rows survive the file they live in, and a kill while they are written."""

import math
from pathlib import Path

import pytest

from sciml.benchmark.row import Row, append_row, read_rows

ROW = Row(dataset="waves", operator="fno", seed=1, steps=10, metrics={"a": math.nan, "b": math.inf, "c": 0.5})


def test_rows_come_back_with_what_is_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_row(path, ROW)
    append_row(path, Row(dataset="waves", operator="unet"))
    first, second = read_rows(path)
    assert first.key == ROW.key
    assert math.isnan(first.metrics["a"]) and first.metrics["b"] == math.inf and first.metrics["c"] == 0.5
    assert second.operator == "unet"
    assert "NaN" not in path.read_text(), "not JSON"


def test_a_torn_line_is_left_out_and_then_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_row(path, ROW)
    whole = path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        assert len(read_rows(path)) == 1
        append_row(path, ROW)
        assert path.read_bytes() == whole + whole


@pytest.mark.parametrize("line", ["{", "[1, 2]", "{}", '{"dataset": "x"}', "null"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    append_row(path, ROW)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"rows.jsonl: line 2 is not a benchmark row"):
        read_rows(path)


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"dataset": "x", "operator": "fno", "colour": "blue"}\n')
    assert read_rows(path)[0].dataset == "x"
