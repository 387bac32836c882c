"""Compiled solves of SDEs meet the same Brownian paths and take the same steps as eager ones."""

import pytest
import torch
from torch import Tensor

from sciml.solvers.compiled import solve_compiled
from sciml.solvers.controller import FixedStep
from sciml.solvers.pid import PIDController
from sciml.solvers.solve import solve
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.schemes.euler_heun import EULER_HEUN
from sciml.solvers.stochastic.schemes.euler_maruyama import EULER_MARUYAMA
from sciml.solvers.stochastic.schemes.sri import SRIW1
from sciml.solvers.stochastic.sde import SDE, Calculus, Noise
from sciml.solvers.stochastic.sde_stepper import SDEStepper
from sciml.solvers.stochastic.whole_cells import WholeCells
from tests.releases import needs_loops

F64 = torch.float64
DT = 0.1


def stepper(scheme: object, noise: Noise = Noise.DIAGONAL, batch: int = 9, cell: float = DT) -> SDEStepper:
    calculus = Calculus.STRATONOVICH if scheme is EULER_HEUN else Calculus.ITO

    def diffusion(t: Tensor, y: Tensor) -> Tensor:
        g = 0.3 * torch.cos(y) + 0.1 * t[:, None]
        return g if noise is Noise.DIAGONAL else torch.stack([g, 0.5 * g.flip(1), g * g], dim=-1)

    shape = (batch, 2) if noise is Noise.DIAGONAL else (batch, 3)
    return SDEStepper(
        SDE(lambda t, y: -y, diffusion, noise, calculus), BrownianPath(7, shape, cell=cell, dtype=F64), scheme
    )


def states(batch: int = 9) -> Tensor:
    return torch.randn(batch, 2, dtype=F64, generator=torch.Generator().manual_seed(0))


def test_whole_cells_are_those_of_the_path() -> None:
    path = BrownianPath(3, (4, 2, 3), cell=0.5, origin=0.25, dtype=F64)
    t = torch.tensor([0.25, 0.75, 5.25, -1.25], dtype=F64)
    dt = torch.tensor([0.5, -0.5, 0.0, 0.5], dtype=F64)
    expected, found = path(t, dt, area=True), WholeCells(path)(t, dt, area=True)
    torch.testing.assert_close(found.w, expected.w, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.area[dt != 0], expected.area[dt != 0], rtol=1e-12, atol=1e-12)
    rows = torch.tensor([2, 0])
    assert torch.equal(WholeCells(path).select(rows)(t[rows], dt[rows]).w, found.w[rows])


@pytest.mark.parametrize(
    ("scheme", "noise"),
    [(EULER_HEUN, Noise.DIAGONAL), (SRIW1, Noise.DIAGONAL), (EULER_MARUYAMA, Noise.GENERAL)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_compiled_steps_are_the_eager_ones(scheme: object, noise: Noise) -> None:
    ts = torch.tensor([0.0, 0.3, 1.0], dtype=F64)
    eager = solve(stepper(scheme, noise), states(), ts, FixedStep(DT))
    compiled = solve(stepper(scheme, noise), states(), ts, FixedStep(DT), compiled=True)
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-11, atol=1e-11)
    assert torch.equal(compiled.statistics.accepted, eager.statistics.accepted)
    assert torch.equal(compiled.statistics.evaluations, eager.statistics.evaluations)


@needs_loops
def test_gradients_and_the_way_back_in_time() -> None:
    ts = torch.linspace(1, 0, 3, dtype=F64)
    y0 = states().requires_grad_()
    eager = solve(stepper(EULER_HEUN), y0, ts, FixedStep(DT))
    compiled = solve_compiled(stepper(EULER_HEUN), y0, ts, FixedStep(DT), backend="eager")
    gradients = [torch.autograd.grad(solution.ys.square().sum(), y0)[0] for solution in (eager, compiled)]
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-10, atol=1e-10)


def test_steps_that_are_no_cells_are_refused_with_the_way_out() -> None:
    ts = torch.tensor([0.0, 1.0], dtype=F64)
    with pytest.raises(ValueError, match=r"cell=dt.*compiled=False"):
        solve(stepper(EULER_HEUN, cell=0.25), states(), ts, FixedStep(DT), compiled=True)
    with pytest.raises(ValueError, match=r"boundaries"):
        solve(stepper(EULER_HEUN), states(), ts + 0.05, FixedStep(DT), compiled=True)
    with pytest.raises(ValueError, match=r"FixedStep"):
        solve(stepper(SRIW1), states(), ts, PIDController(1e-2, 1e-2), compiled=True)
