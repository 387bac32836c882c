"""The extrapolated midpoint rule as a tableau."""

import pytest
import torch

from sciml.solvers import FixedStep, RungeKutta, solve
from sciml.solvers.extrapolation import extrapolated_midpoint
from tests.problems import MODULATED, ROTATION, Problem


@pytest.mark.parametrize("columns", range(1, 8))
def test_quadrature_conditions_and_stages(columns: int) -> None:
    """The weights integrate polynomials up to the order exactly; there are columns^2 + 1 stages."""
    tableau = extrapolated_midpoint(columns)
    b, c = (torch.tensor(values, dtype=torch.float64) for values in (tableau.b, tableau.c))
    assert len(c) == columns**2 + 1
    for power in range(tableau.order):
        assert abs(float((b * c**power).sum()) - 1 / (power + 1)) < 1e-13
    for row, node in zip(tableau.a, tableau.c):
        assert abs(sum(row) - node) < 1e-13


@pytest.mark.parametrize(("columns", "steps"), [(1, 32), (2, 16), (4, 4), (6, 2)])
@pytest.mark.parametrize("problem", [ROTATION, MODULATED], ids=lambda problem: problem.name)
def test_measured_order(columns: int, steps: int, problem: Problem) -> None:
    ts = torch.tensor([0.0, problem.end], dtype=torch.float64)
    exact = problem.exact(ts[1:].expand(len(problem.y0)), problem.y0)
    stepper = RungeKutta(problem.field, extrapolated_midpoint(columns))
    errors = [
        float((solve(stepper, problem.y0, ts, FixedStep(problem.end / n)).ys[:, -1] - exact).abs().max())
        for n in (steps, 2 * steps)
    ]
    assert torch.log2(torch.tensor(errors[0] / errors[1])) > stepper.order - 0.5


def test_no_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="columns"):
        extrapolated_midpoint(0)
