"""All adjoints give one gradient: of every tensor a solve depends on, on every kind of state and clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers import TSIT5, FixedStep, PIDController, RungeKutta, Solution, Step, StepDoubling, solve
from sciml.solvers.adjoint.backsolve import Backsolve
from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.interpolated import Interpolated
from sciml.solvers.adjoint.reversible import ReversibleAdjoint
from sciml.solvers.reversible import AsynchronousLeapfrog, ReversibleHeun
from sciml.solvers.state import leaves
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.schemes.sri import SRIW1
from sciml.solvers.stochastic.sde import SDE, Noise
from sciml.solvers.stochastic.sde_stepper import SDEStepper
from sciml.solvers.tableaus.rk4 import RK4
from tests.solvers.adjoint.cases import BATCH, CASES, AdjointCase, Setup, leaf, times

case_sweep = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
exact_sweep = pytest.mark.parametrize(
    "adjoint", [RecursiveCheckpoint(), RecursiveCheckpoint(2)], ids=["checkpoint", "two checkpoints"]
)
continuous_sweep = pytest.mark.parametrize(
    "adjoint",
    [Backsolve(), Backsolve(resynchronise=False), Interpolated()],
    ids=["backsolve", "free backsolve", "interpolated"],
)


def loss(solution: Solution) -> Tensor:
    """Weighs every output of every sample differently, and the end states once more."""
    total = torch.zeros((), dtype=torch.float64)
    for ys, end in zip(leaves(solution.ys), leaves(solution.y_end)):
        weights = torch.linspace(-1, 2, ys.numel(), dtype=ys.real.dtype).reshape(ys.shape)
        total = total + (weights * (ys.real + 0.5 * ys.imag if ys.is_complex() else ys).sin()).sum() + end.abs().sum()
    return total


def gradients(setup: Setup, build: Any, controller: Any, adjoint: Any) -> list[Tensor]:
    solution = solve(build(setup.field), setup.y0, setup.ts, controller, args=setup.args, adjoint=adjoint)
    return list(torch.autograd.grad(loss(solution), setup.wanted, retain_graph=True))


def tsit5(field: Any) -> RungeKutta:
    return RungeKutta(field, TSIT5)


def assert_agree(found: list[Tensor], expected: list[Tensor], rtol: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert bool((other != 0).any())
        torch.testing.assert_close(one, other, rtol=0, atol=rtol * float(other.abs().max()))


@case_sweep
@exact_sweep
@pytest.mark.parametrize("controller", [FixedStep(0.3), PIDController(1e-3, 1e-4)], ids=["fixed", "adaptive"])
def test_checkpointing_is_direct_to_rounding(case: AdjointCase, adjoint: Any, controller: Any) -> None:
    """Outputs lie inside the steps; y0, ts, parameters and closures all get Direct's gradient."""
    setup = case.build()
    rtol = 1e-4 if leaves(setup.y0)[0].dtype == torch.float32 else 1e-12
    expected = gradients(setup, tsit5, controller, Direct())
    assert_agree(gradients(setup, tsit5, controller, adjoint), expected, rtol)


@pytest.mark.parametrize("scheme", [AsynchronousLeapfrog, ReversibleHeun])
@case_sweep
def test_undoing_steps_is_direct_to_rounding(case: AdjointCase, scheme: Any) -> None:
    setup = case.build()
    rtol = 1e-4 if leaves(setup.y0)[0].dtype == torch.float32 else 1e-10
    controller = PIDController(1e-2, 1e-3)
    expected = gradients(setup, scheme, controller, Direct())
    assert_agree(gradients(setup, scheme, controller, ReversibleAdjoint()), expected, rtol)


@case_sweep
@continuous_sweep
def test_equations_of_the_gradient_agree_to_the_tolerance(case: AdjointCase, adjoint: Any) -> None:
    setup = case.build()
    single = leaves(setup.y0)[0].dtype == torch.float32
    controller = PIDController(1e-4, 1e-4) if single else PIDController(1e-7, 1e-7)
    expected = gradients(setup, tsit5, controller, Direct())
    assert_agree(gradients(setup, tsit5, controller, adjoint), expected, 5e-3 if single else 2e-5)


@pytest.mark.parametrize(
    "adjoint", [RecursiveCheckpoint(), Backsolve(), Interpolated()], ids=lambda a: type(a).__name__
)
def test_gradients_against_finite_differences(adjoint: Any) -> None:
    """Also of the output times and of the time at which the solve begins."""
    ts = times(1.0, -0.7).detach()

    def outputs(y0: Tensor, ts: Tensor, rate: Tensor) -> Tensor:
        def field(t: Tensor, y: Tensor) -> Tensor:
            return rate * y.sin() + torch.cos(2 * t)[:, None]

        return solve(RungeKutta(field, RK4), y0, ts, FixedStep(0.05), adjoint=adjoint).ys

    inputs = leaf(2, 1), (ts + 0.1).requires_grad_(), leaf(1, seed=4)
    assert torch.autograd.gradcheck(outputs, inputs, atol=1e-5, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize(
    "adjoint", [RecursiveCheckpoint(), Backsolve(), Interpolated()], ids=lambda a: type(a).__name__
)
def test_samples_do_not_see_each_other(adjoint: Any) -> None:
    setup = replace(CASES[0].build(), ts=times(1.0, 0.4, 0.1))
    together = gradients(replace(setup, wanted=(setup.y0,)), tsit5, PIDController(1e-4, 1e-4), adjoint)[0]
    for i in range(len(setup.y0)):
        y0, ts = setup.y0[i : i + 1].detach().requires_grad_(), setup.ts[i : i + 1].detach()
        solution = solve(tsit5(setup.field), y0, ts, PIDController(1e-4, 1e-4), adjoint=adjoint)
        weights = torch.linspace(-1, 2, 3 * solution.ys.numel(), dtype=torch.float64).reshape(3, *solution.ys.shape[1:])
        value = (weights[i] * solution.ys[0].sin()).sum() + solution.y_end.abs().sum()
        (alone,) = torch.autograd.grad(value, y0)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-14)


def test_a_stepper_without_a_vector_field_is_checkpointed() -> None:
    setup = CASES[1].build()

    def build(field: Any) -> Any:
        inner = StepDoubling(tsit5(field))

        def stepper(t: Tensor, dt: Tensor, y: Any) -> Step:
            return inner(t, dt, y)

        stepper.error_order = inner.error_order  # type: ignore[attr-defined]
        return stepper

    expected = gradients(setup, build, PIDController(1e-3, 1e-3), Direct())
    assert_agree(gradients(setup, build, PIDController(1e-3, 1e-3), RecursiveCheckpoint()), expected, 1e-12)
    for adjoint in (Backsolve(), Interpolated()):
        with pytest.raises(ValueError, match="function has none"):
            gradients(setup, build, PIDController(1e-3, 1e-3), adjoint)
    with pytest.raises(ValueError, match="cannot undo its steps"):
        gradients(setup, build, PIDController(1e-3, 1e-3), ReversibleAdjoint())


def test_stochastic_steps_are_repeated_on_their_path() -> None:
    """Rejected and repeated steps see one Brownian path; an SDE has no equations of the gradient to integrate here."""
    setup = CASES[1].build()
    path = BrownianPath(3, (BATCH, 2), 0.1, dtype=torch.float64)

    def build(field: Any) -> SDEStepper:
        return SDEStepper(SDE(field, lambda t, y: 0.1 * y.cos(), Noise.DIAGONAL), path, SRIW1)

    setup = replace(setup, ts=setup.ts.detach(), wanted=(setup.wanted[0], *setup.wanted[2:]))
    expected = gradients(setup, build, PIDController(1e-2, 1e-2), Direct())
    assert_agree(gradients(setup, build, PIDController(1e-2, 1e-2), RecursiveCheckpoint(2)), expected, 1e-12)
    with pytest.raises(ValueError, match="drift and diffusion"):
        gradients(setup, build, PIDController(1e-2, 1e-2), Backsolve())


@pytest.mark.parametrize(
    "adjoint", [RecursiveCheckpoint(), Backsolve(), Interpolated(), Direct()], ids=lambda a: type(a).__name__
)
def test_without_gradients_nothing_is_kept(adjoint: Any) -> None:
    setup = CASES[1].build()
    with torch.no_grad():
        solution = solve(tsit5(setup.field), setup.y0, setup.ts, FixedStep(0.2), adjoint=adjoint)
    assert not solution.ys.requires_grad
    plain = solve(tsit5(lambda t, y: -y), setup.y0.detach(), setup.ts.detach(), FixedStep(0.2), adjoint=adjoint)
    assert plain.ys.grad_fn is None


@pytest.mark.parametrize(
    "adjoint", [RecursiveCheckpoint(), Backsolve(), Interpolated()], ids=lambda a: type(a).__name__
)
def test_second_derivatives_are_refused_with_the_way_out(adjoint: Any) -> None:
    y0 = leaf(2, 2)
    ys = solve(tsit5(lambda t, y: y.sin()), y0, torch.linspace(0, 1, 3), FixedStep(0.25), adjoint=adjoint).ys
    (first,) = torch.autograd.grad(ys.square().sum(), y0, create_graph=True)
    with pytest.raises(RuntimeError, match=r"first derivatives only.*Direct"):
        torch.autograd.grad(first.sum(), y0)


@pytest.mark.parametrize(
    "adjoint", [RecursiveCheckpoint(), Backsolve(), Interpolated()], ids=lambda a: type(a).__name__
)
def test_a_parameter_changed_before_the_backward_pass_is_noticed(adjoint: Any) -> None:
    rate = leaf(2)
    solution = solve(tsit5(lambda t, y: rate * y), leaf(2, 2), torch.linspace(0, 1, 3), FixedStep(0.5), adjoint=adjoint)
    with torch.no_grad():
        rate.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        solution.ys.sum().backward()
