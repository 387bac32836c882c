"""The comparison's bookkeeping: rows survive interruption, every method trains, a row that is there is not trained."""

from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.regularization import run
from benchmarks.regularization.classification import Classification, Split, methods
from benchmarks.regularization.rows import find, read_rows, write_rows
from benchmarks.regularization.task import evaluations, train

METHODS = methods(automatic=50.0, kept=5.0, stiffness=0.1, taylor=0.1)
DTYPE = torch.float64


def blobs() -> Split:
    """Two classes of points, apart from each other."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    points = torch.randn(40, 3, generator=generator, dtype=DTYPE) + 3.0 * labels[:, None]
    return Split(train=(points, labels), test=(points, labels))


def small() -> Classification:
    return Classification("blobs", blobs, iterations=2, hidden=4, batch=8, tolerance=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_trains_the_field(method: object) -> None:
    task = small()
    torch.manual_seed(0)
    before = [p.clone() for p in task.model().parameters()]
    trained = train(task, method, seed=0)
    assert all(bool(torch.isfinite(p).all()) for p in trained.model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, trained.model.parameters()))
    assert evaluations(task, trained.model) == {k: v for k, v in trained.curve[-1].items() if k.startswith("eval")}


def test_penalties_change_what_is_learned_and_seeds_repeat() -> None:
    vanilla, local = METHODS[0], METHODS[1]
    heads = [train(small(), method, seed=0).model.field.outer.weight for method in (vanilla, vanilla, local)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_rows_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.jsonl"
    assert read_rows(path) == []
    write_rows(path, [{"a": 1}, {"a": 2}])
    (path.with_suffix(".partial")).write_text('{"a": 3')  # an interrupted writer
    assert read_rows(path) == [{"a": 1}, {"a": 2}]
    assert find(read_rows(path), a=2) == {"a": 2} and find(read_rows(path), a=3) is None


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def counting(task: Classification, method: object, seed: int) -> object:
        counted.append(method.name)
        return train(task, method, seed)

    monkeypatch.setitem(run.TASKS, "digits", partial(Classification, "blobs", blobs, hidden=4, batch=8))
    monkeypatch.setattr(run, "train", counting)
    arguments = ["run", "digits", "--iterations", "1", "--rounds", "1", "--seeds", "0", "1"]
    arguments += ["--results", str(tmp_path), "--weights", str(tmp_path / "w"), "--methods", "vanilla"]
    monkeypatch.setattr("sys.argv", arguments)
    run.main()
    monkeypatch.setattr("sys.argv", [*arguments, "local unbiased"])
    run.main()
    assert counted == ["vanilla", "vanilla", "local unbiased", "local unbiased"]
    page = (tmp_path / "blobs.md").read_text()
    assert page.count("1.00 ± 0.00x") >= 3 and "local unbiased" in page
    assert (tmp_path / "blobs.png").stat().st_size > 1000
