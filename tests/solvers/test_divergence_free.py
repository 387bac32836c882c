"""Projections: divergence to the solver's tolerance, orthogonal, idempotent, exact on closed forms, differentiable."""

import math

import pytest
import torch

from sciml.solvers.bandits import TsallisINF
from sciml.solvers.constraint import Constrained
from sciml.solvers.controller import FixedStep
from sciml.solvers.divergence_free import DivergenceFree
from sciml.solvers.linear import CG, SOR, SSORPCG
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling
from sciml.solvers.stepper import Step
from sciml.solvers.tableaus import SSPRK3

SHAPES = ((8, 10), (7, 9), (6, 5, 8))
KINDS = ({}, {"staggered": True}, {"staggered": True, "density": -1})


def random_state(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(2, len(shape) + 1, *shape, dtype=torch.float64, generator=generator)
    y[:, -1] = y[:, -1].exp()
    return y


def made(shape, kind, periodic, **arguments):
    kind = {**kind, **({"density": len(shape)} if "density" in kind else {})}
    spacing = (0.1, 0.2, 0.3)[: len(shape)]
    return DivergenceFree(spacing=spacing, periodic=periodic, **{"solver": CG(tol=1e-13), **kind, **arguments})


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=["central", "staggered", "density"])
@pytest.mark.parametrize("periodic", [True, False, "mixed"])
def test_projections(shape, kind, periodic):
    periodic = (True, False, True)[: len(shape)] if periodic == "mixed" else periodic
    constraint, y = made(shape, kind, periodic), random_state(shape)
    z = constraint.project(y)
    assert constraint.residual(z).abs().max() < 1e-11 * constraint.residual(y).abs().max()
    assert torch.equal(z[:, -1], y[:, -1])  # what is no velocity stays
    torch.testing.assert_close(constraint.project(z), z, rtol=0, atol=1e-10)
    # Orthogonal in the norm of the kinetic energy: what is taken off is no part of what stays.
    if "density" not in kind and constraint.periodic is True:
        kick = (y - z)[:, :-1]
        assert abs(float((kick * z[:, :-1]).sum())) < 1e-9 * float((y**2).sum())


@pytest.mark.parametrize("solver", [SOR(1.7, tol=1e-7), SSORPCG(1.5, tol=1e-7), SOR(TsallisINF([1.5, 1.7]), tol=1e-7)])
def test_any_solver_will_do(solver):
    constraint, y = made((12, 12), {}, True, solver=solver), random_state((12, 12))
    exact = made((12, 12), {}, True).project(y)
    torch.testing.assert_close(constraint.project(y), exact, rtol=0, atol=1e-5)


def test_gradients_are_taken_off_and_curls_stay():
    n = 16
    x = (torch.arange(n, dtype=torch.float64) + 0.5) / n * 2 * math.pi
    a, b = torch.meshgrid(x, x, indexing="ij")
    curl = torch.stack([torch.sin(a) * torch.cos(b), -torch.cos(a) * torch.sin(b)])[None]
    gradient = torch.stack([torch.cos(a) * torch.sin(b), torch.sin(a) * torch.cos(b)])[None]
    constraint = DivergenceFree(spacing=2 * math.pi / n, solver=CG(tol=1e-13))
    torch.testing.assert_close(constraint.project(curl + 3 * gradient), curl, rtol=0, atol=1e-10)


def test_nothing_passes_the_walls():
    constraint, y = made((6, 7), {"staggered": True}, False), random_state((6, 7))
    z = constraint.project(y)
    assert not z[:, 0, 0].any() and not z[:, 1, :, 0].any()


@pytest.mark.parametrize("kind", KINDS, ids=["central", "staggered", "density"])
def test_gradients(kind):
    y = random_state((6, 5))[:1].requires_grad_()
    constraint = made((6, 5), kind, False)
    assert torch.autograd.gradcheck(constraint.project, (y,))


def test_a_constrained_stepper_keeps_its_order_and_the_constraint():
    n = 8
    grid = torch.arange(n, dtype=torch.float64) / n * 2 * math.pi
    a, b = torch.meshgrid(grid, grid, indexing="ij")
    start = torch.stack([torch.sin(a) * torch.cos(b), -torch.cos(a) * torch.sin(b)])[None]

    def field(t, y):  # turns and damps: the exact flow keeps the divergence at 0, but for a gradient that it adds
        push = torch.stack([torch.cos(a) * torch.sin(b), torch.sin(a) * torch.cos(b)])
        return -(1 + t.reshape(-1, 1, 1, 1)) * y + 5 * push

    constraint = DivergenceFree(spacing=2 * math.pi / n, solver=CG(tol=1e-14))
    stepper = Constrained(RungeKutta(field, SSPRK3), constraint)
    errors = []
    for dt in (0.2, 0.1):
        last = solve(stepper, start, torch.tensor([0.0, 1.0], dtype=torch.float64), FixedStep(dt)).ys[:, -1]
        assert constraint.residual(last).abs().max() < 1e-10
        errors.append(float((last - start * math.exp(-1.5)).abs().max()))
    assert math.log2(errors[0] / errors[1]) > 2.7 and stepper.order == 3


def test_a_learned_operator_can_be_constrained():
    class Noise(torch.nn.Module):
        def forward(self, t, dt, y):
            return Step(y=y + torch.sin(3 * y) * dt.reshape(-1, 1, 1, 1))

    constraint = DivergenceFree(spacing=1 / 8, solver=CG(tol=1e-12))
    y0, ts = random_state((8, 8))[:, :2], torch.tensor([0.0, 0.2], dtype=torch.float64)
    for stepper in (Constrained(Noise(), constraint), StepDoubling(Constrained(Noise(), constraint))):
        last = solve(stepper, y0, ts, FixedStep(0.1)).ys[:, -1]
        assert constraint.residual(last).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({"density": 2}, (8, 8), "staggered=True"),
        ({"spacing": 0.0}, (8, 8), "spacing > 0"),
        ({"channels": (0, 5)}, (8, 8), r"velocity in channels \(0, 5\)"),
        ({"spacing": (1.0, 1.0, 1.0)}, (8, 8), "for each axis"),
        ({}, (4, 8), "at least 3 points along each axis, and 6"),
    ],
)
def test_bad_arguments_are_named(arguments, shape, message):
    with pytest.raises(ValueError, match=message):
        DivergenceFree(**{"spacing": 0.1, **arguments}).project(random_state(shape))
