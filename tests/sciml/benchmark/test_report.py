"""The table and the report say what the rows say, safely and in one file."""

import dataclasses
import math
from pathlib import Path

import pytest

from sciml.benchmark.published import published_rows
from sciml.benchmark.report import write_report
from sciml.benchmark.row import Row
from sciml.benchmark.table import COLUMNS, lines


def row(operator: str, error: float, *, seed: int = 0, dataset: str = "shear_flow") -> Row:
    return Row(
        dataset=dataset,
        operator=operator,
        seed=seed,
        shape=(8, 8),
        channels=("u",),
        frames=3,
        trajectories=2,
        metrics={"rollout/nRMSE": error, "one-step nRMSE": error / 2, "correlation time (0.8)": 1 / error},
        times=(0.1, 0.2),
        error_over_time=(error, 2 * error),
        step_seconds=error * 1e-3,
        train_seconds=10.0,
    )


ROWS = [row("persistence", 0.5), row("fno", 0.1), row("fno", 0.3, seed=1), row("fno", 0.2, seed=2)]


def column(heading: str) -> int:
    return next(k for k, item in enumerate(COLUMNS) if item.heading == heading)


def test_a_line_has_the_median_and_the_range_over_seeds() -> None:
    persistence, fno = lines(ROWS)
    assert fno.seeds == 3
    assert fno.cells[column("nRMSE, rollout")] == "0.2 (0.1 to 0.3)"
    assert fno.best[column("nRMSE, rollout")] and not persistence.best[column("nRMSE, rollout")]
    assert fno.best[column("correlated until")], "the longer time is the better one"
    assert not any(line.best[column("step")] for line in (persistence, fno)), "costs are not marked"


def test_a_diverged_operator_is_named_so_and_never_best() -> None:
    diverged, fine = lines([row("unet", math.inf), row("fno", 0.1)])
    assert diverged.cells[column("nRMSE, rollout")] == "diverged"
    assert fine.best[column("nRMSE, rollout")]


def test_the_report_is_one_file_with_every_figure(tmp_path: Path) -> None:
    text = write_report(ROWS, tmp_path).read_text()
    assert text.count("data:image/png;base64,") == 2, "error over time, accuracy against cost"
    assert "src='http" not in text and "href=" not in text
    assert "0.2 (0.1 to 0.3)" in text
    assert "The Well, benchmark page" in text, "published rows of shear_flow stand beside ours"
    assert not list(tmp_path.glob("*.partial"))


def test_names_from_files_cannot_inject_markup(tmp_path: Path) -> None:
    hostile = dataclasses.replace(row("fno", 0.1), dataset="<script>alert(1)</script>", channels=("<b>",))
    text = write_report([hostile], tmp_path).read_text()
    assert "<script>" not in text and "<b>" not in text


def test_published_rows_belong_to_known_names() -> None:
    assert {found.operator for found in published_rows("shear_flow")} == {"FNO", "TFNO", "U-Net", "CNextU-Net"}
    assert published_rows("turbulent_radiative_layer_2D_tcool_0.32")[0].metrics == {"the_well/VRMSE": 0.5001}
    assert published_rows("2D_rdb_NA_NA")[1].metrics == {"pdebench/nRMSE": 4.4e-3}
    assert published_rows("waves") == []


def test_no_rows_no_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none"):
        write_report([], tmp_path)
