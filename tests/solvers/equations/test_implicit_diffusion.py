"""Implicit diffusion: closed forms, orders, stiff steps, three dimensions, solvers that learn on the way."""

import math

import pytest
import torch

from sciml.solvers.bandits import ChebCB
from sciml.solvers.controller import FixedStep, StepSizeController
from sciml.solvers.equations.boundary import Neumann, Periodic
from sciml.solvers.equations.implicit_diffusion import ImplicitDiffusion
from sciml.solvers.linear import SSORPCG, diffusion_matrix, nodal_laplacian
from sciml.solvers.pid import PIDController
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling

SOLVER = SSORPCG(1.4, tol=1e-12)


def mode(shape):
    """The slowest eigenvector of the nodal Laplacian on a box of sides 1, and its eigenvalue."""
    u, value = torch.ones(1, 1, dtype=torch.float64), 0.0
    for k, m in enumerate(shape):
        x = torch.arange(1, m + 1, dtype=torch.float64) / (m + 1)
        u = u[..., None] * torch.sin(math.pi * x) if k else torch.sin(math.pi * x)[None, None]
        value += 4 * (m + 1) ** 2 * math.sin(math.pi / (2 * (m + 1))) ** 2
    return u, value


def laplacian(shape):
    return nodal_laplacian(shape, spacing=[1 / (m + 1) for m in shape])


def kappa(t):
    return 0.1 + 0.05 * torch.sin(4 * t)


def total(t):
    """The integral of kappa from 0."""
    return 0.1 * t + 0.05 / 4 * (1 - math.cos(4 * t))


@pytest.mark.parametrize("shape", [(9,), (8, 11), (5, 6, 7)], ids=str)
@pytest.mark.parametrize(("theta", "order"), [(0.5, 2), (1.0, 1)])
def test_a_mode_decays_at_the_declared_order(shape, theta, order):
    u, value = mode(shape)
    stepper = ImplicitDiffusion(laplacian(shape), SOLVER, conductivity=kappa, theta=theta)
    exact, errors = u * math.exp(-value * total(0.8)), []
    for dt in (0.05, 0.025):
        last = solve(stepper, u, torch.tensor([0.0, 0.8], dtype=torch.float64), FixedStep(dt)).ys[:, -1]
        errors.append(float((last - exact).abs().max()))
    assert abs(math.log2(errors[0] / errors[1]) - order) < 0.25 and stepper.order == order


def test_a_source_is_balanced():
    """With f = A w the state goes to w, however long the steps."""
    w, _ = mode((7, 7))
    matrix = laplacian((7, 7))
    stepper = ImplicitDiffusion(matrix, SOLVER, source=lambda t: matrix.apply(w[:, 0])[:, None], theta=1.0)
    last = solve(stepper, 0 * w, torch.tensor([0.0, 20.0], dtype=torch.float64), FixedStep(1.0)).ys[:, -1]
    torch.testing.assert_close(last, w, rtol=0, atol=1e-9)


@pytest.mark.parametrize("boundary", [Neumann(), Periodic()])
def test_heat_is_conserved_in_closed_boxes_of_any_medium(boundary):
    generator = torch.Generator().manual_seed(0)
    k = torch.rand(2, 6, 7, dtype=torch.float64, generator=generator) + 0.1
    u = torch.rand(2, 1, 6, 7, dtype=torch.float64, generator=generator)
    stepper = ImplicitDiffusion(diffusion_matrix(k, spacing=0.1, boundary=boundary), SOLVER, theta=1.0)
    states = solve(stepper, u, torch.tensor([0.0, 5.0], dtype=torch.float64), FixedStep(1.0)).ys
    torch.testing.assert_close(states.sum((2, 3, 4))[:, 1], states.sum((2, 3, 4))[:, 0], rtol=1e-10, atol=0)
    assert bool((states[:, 1].std((1, 2, 3)) < 0.2 * states[:, 0].std((1, 2, 3))).all())


def test_adaptive_steps_and_samples_that_finish_on_their_own():
    u, value = mode((6, 6))
    k = torch.tensor([1.0, 3.0], dtype=torch.float64)
    stepper = ImplicitDiffusion(laplacian((6, 6)).scaled(k), SOLVER, conductivity=0.1)
    controller: StepSizeController = PIDController(rtol=1e-6, atol=1e-8)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    solution = solve(StepDoubling(stepper), u.expand(2, -1, -1, -1), ts, controller)
    exact = u * torch.exp(-0.1 * k * value).reshape(2, 1, 1, 1)
    torch.testing.assert_close(solution.ys[:, -1], exact, rtol=0, atol=1e-5)


def test_a_solver_that_learns_gives_the_same_solution_and_is_told_the_conductivity():
    u, _ = mode((9, 9))
    told = []

    class Listening(ChebCB):
        def pull(self, context=None, *, count=None):
            told.append(context)
            return super().pull(context, count=count)

    ts = torch.tensor([0.0, 0.5], dtype=torch.float64)
    learner = Listening([1.0, 1.3, 1.6], 0.05, 0.15)
    solutions = [
        solve(ImplicitDiffusion(laplacian((9, 9)), solver, conductivity=kappa), u, ts, FixedStep(0.05)).ys
        for solver in (SOLVER, SSORPCG(learner, tol=1e-12))
    ]
    torch.testing.assert_close(*solutions, rtol=0, atol=1e-10)
    expected = kappa(torch.arange(10, dtype=torch.float64) * 0.05)
    torch.testing.assert_close(torch.tensor(told, dtype=torch.float64), expected)


def test_gradients():
    u, _ = mode((4, 3))
    k = torch.rand(1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    t, dt = torch.zeros(1, dtype=torch.float64), torch.full((1,), 0.1, dtype=torch.float64)

    def step(u, k):
        return ImplicitDiffusion(diffusion_matrix(k, spacing=0.3), SOLVER)(t, dt, u).y

    assert torch.autograd.gradcheck(step, (u.requires_grad_(), k.requires_grad_()))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="theta <= 1"):
        ImplicitDiffusion(laplacian((4,)), SOLVER, theta=0.3)
    stepper, t = ImplicitDiffusion(laplacian((4,)), SOLVER), torch.zeros(1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"Expected y of shape \(batch, 1, 4\), got \(1, 1, 5\)"):
        stepper(t, t, torch.zeros(1, 1, 5, dtype=torch.float64))
