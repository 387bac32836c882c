"""The studies of tuned solvers at a small size: costs are those of solves, and the report is made."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.linear import beyond, heat, offsets, run
from benchmarks.linear.report import write_report
from sciml.solvers.linear import SOR


def test_a_replay_costs_what_the_solves_cost() -> None:
    """A fixed omega in the table, and the same solver called on each system."""
    paid = offsets.trial("high", 30, seed=1)
    matrix, b, _ = offsets.draw("high", 30, seed=1)
    alone = [int(SOR(1.8)(matrix.select(torch.tensor([k])), b[k : k + 1]).iterations) for k in range(30)]
    assert paid["omega 1.8"].tolist() == alone
    totals = {name: cost.sum() for name, cost in paid.items()}
    assert totals["best arm of each"] <= min(total for name, total in totals.items() if name != "Young")
    assert totals["best fixed"] <= min(total for name, total in totals.items() if name.startswith("omega"))


def test_offsets_have_the_distribution_of_the_paper() -> None:
    for variance, spread in (("high", 0.150), ("low", 0.087)):
        _, b, c = offsets.draw(variance, 4000, seed=0)
        assert c.min() >= -0.15 and c.max() <= 0.45
        assert c.mean() == pytest.approx(0.0, abs=0.01) and c.std() == pytest.approx(spread, abs=0.005)
        assert float(torch.linalg.vector_norm(b.flatten(1), dim=1).max()) <= 10


def test_the_whole_report(tmp_path: Path) -> None:
    (tmp_path / "offsets.json").write_text(json.dumps(offsets.study(40, 2)))
    (tmp_path / "heat-8.json").write_text(json.dumps(run.simulate_all(8, 20, 1)))
    rows = {"joint": beyond.joint(8, 10, 1), "shared": beyond.shared(8, 10, 3)}
    (tmp_path / "beyond.json").write_text(json.dumps(rows))
    text = write_report(tmp_path)
    for name in ("ChebCB", "sparse direct", "SSOR or multigrid, by ChebCB", "one learner", "nx = 8"):
        assert name in text
    assert {path.name for path in tmp_path.glob("*.png")} == {"offsets.png", "heat.png", "heat-actions.png"}


def test_all_methods_solve_the_same_problem() -> None:
    problem = heat.Problem(12)
    ends = [heat.simulate(problem, make(0), 30)["maximum"] for make in heat.candidates().values()]
    np.testing.assert_allclose(ends, ends[0], rtol=1e-6)
