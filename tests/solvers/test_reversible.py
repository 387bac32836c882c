"""Steps that can be undone: round trips, gradients without a stored trajectory, stability."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, RungeKutta, Stepper, solve
from sciml.solvers.reversible import AsynchronousLeapfrog, Reversible, ReversibleHeun
from sciml.solvers.tableau import ButcherTableau
from sciml.solvers.tableaus import RK4, TSIT5
from tests.problems import MODULATED, VectorField


def reversible(tableau: ButcherTableau, coupling: float):  # type: ignore[no-untyped-def]
    return lambda field: Reversible(RungeKutta(field, tableau), coupling=coupling)


SCHEMES = {
    "asynchronous leapfrog": AsynchronousLeapfrog,
    "damped": lambda field: AsynchronousLeapfrog(field, damping=0.95),
    "reversible Heun": ReversibleHeun,
    "Reversible(RK4)": reversible(RK4, 0.999),
    "Reversible(Tsit5)": reversible(TSIT5, 0.99),
}
every_scheme = pytest.mark.parametrize("build", SCHEMES.values(), ids=SCHEMES.keys())


def pendulum(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], -torch.sin(y[:, 0]) + 0.3 * torch.cos(2 * t)], dim=1)


@every_scheme
def test_many_steps_are_undone_to_rounding(build) -> None:  # type: ignore[no-untyped-def]
    """Steps of a length per sample, one of them backwards in time and one of none."""
    stepper = build(pendulum)
    t = torch.zeros(4, dtype=torch.float64)
    y = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    dts = torch.tensor([0.01, 0.05, -0.03, 0.0], dtype=torch.float64) * torch.linspace(1, 2, 100)[:, None]
    reuse, passed = stepper.start(t, y), []
    for dt in dts:
        passed.append((t, y, reuse))
        step = stepper(t, dt, y, reuse)
        t, y, reuse = t + dt, step.y, step.reuse
    torch.testing.assert_close(y[3], passed[0][1][3], rtol=1e-13, atol=1e-13)
    for dt, (t, y_before, reuse_before) in zip(dts.flip(0), reversed(passed)):
        y, reuse = stepper.reverse(t, dt, y, reuse)
        torch.testing.assert_close(y, y_before, rtol=0, atol=1e-10)
        torch.testing.assert_close(reuse, reuse_before, rtol=0, atol=1e-10)


def gradient_by_reversal(stepper: Stepper, y0: Tensor, dts: Tensor) -> Tensor:
    """d sum(y(T)^2) / d y0 from the end state alone: each step is undone, then differentiated."""
    with torch.no_grad():
        t, y, reuse = torch.zeros(len(y0), dtype=torch.float64), y0, stepper.start(torch.zeros(len(y0)), y0)
        for dt in dts:
            step = stepper(t, dt, y, reuse)
            t, y, reuse = t + dt, step.y, step.reuse
    back: list[Tensor] = [2 * y] + [torch.zeros_like(leaf) for leaf in torch.utils._pytree.tree_leaves(reuse)]
    for dt in dts.flip(0):
        t = t - dt
        with torch.no_grad():
            y, reuse = stepper.reverse(t, dt, y, reuse)
        inputs, structure = torch.utils._pytree.tree_flatten((y, reuse))
        inputs = [leaf.detach().requires_grad_() for leaf in inputs]
        again = stepper(t, dt, *torch.utils._pytree.tree_unflatten(inputs, structure))
        outputs = torch.utils._pytree.tree_leaves((again.y, again.reuse))
        back = list(torch.autograd.grad(outputs, inputs, back))
    start = y0.detach().requires_grad_()
    first = torch.utils._pytree.tree_leaves((start * 1, stepper.start(torch.zeros(len(y0)), start)))
    return torch.autograd.grad(first, start, back)[0]


@every_scheme
def test_gradients_without_a_stored_trajectory_are_those_of_the_discrete_steps(build) -> None:  # type: ignore[no-untyped-def]
    stepper = build(pendulum)
    y0 = torch.tensor([[1.0, 0.2], [-0.4, 2.0]], dtype=torch.float64)
    dts = torch.full((40, 2), 0.05, dtype=torch.float64)
    start = y0.clone().requires_grad_()
    y, reuse, t = start, stepper.start(dts[0] * 0, start), dts[0] * 0
    for dt in dts:
        step = stepper(t, dt, y, reuse)
        t, y, reuse = t + dt, step.y, step.reuse
    (direct,) = torch.autograd.grad(y.square().sum(), start)
    torch.testing.assert_close(gradient_by_reversal(stepper, y0, dts), direct, rtol=1e-8, atol=1e-8)


def decayed(field: VectorField, build, rate_dt: float) -> float:  # type: ignore[no-untyped-def]
    ts = torch.tensor([0.0, 400 * rate_dt], dtype=torch.float64)
    stepper = build(field)
    return float(solve(stepper, torch.ones(1, 1, dtype=torch.float64), ts, FixedStep(rate_dt)).ys[:, -1].abs().max())


def test_a_coupling_below_one_keeps_decaying_solutions_decaying() -> None:
    """y' = -y over 400 steps of 1/4: stable where exp(-dt) > coupling; undamped schemes nowhere."""
    assert decayed(lambda t, y: -y, reversible(RK4, 0.5), 0.25) < 1e-6
    assert decayed(lambda t, y: -y, reversible(RK4, 0.9), 0.25) > 1
    assert decayed(lambda t, y: -y, lambda field: AsynchronousLeapfrog(field, damping=0.8), 0.25) < 1e-6
    assert decayed(lambda t, y: -y, ReversibleHeun, 0.25) > 1
    assert decayed(lambda t, y: -y, AsynchronousLeapfrog, 0.25) > 1


def test_damping_costs_an_order() -> None:
    stepper = AsynchronousLeapfrog(MODULATED.field, damping=0.8)
    ts = torch.tensor([0.0, MODULATED.end], dtype=torch.float64)
    exact = MODULATED.exact(ts[1:].expand(3), MODULATED.y0)
    errors = [
        float((solve(stepper, MODULATED.y0, ts, FixedStep(MODULATED.end / n)).ys[:, -1] - exact).abs().max())
        for n in (64, 128)
    ]
    assert stepper.order == 1
    assert 0.8 < torch.log2(torch.tensor(errors[0] / errors[1])) < 1.2


@pytest.mark.parametrize("coupling", [0.0, -0.5, 1.5])
def test_couplings_out_of_range_are_refused(coupling: float) -> None:
    with pytest.raises(ValueError, match="coupling"):
        Reversible(RungeKutta(pendulum, RK4), coupling=coupling)


@pytest.mark.parametrize("damping", [0.5, 0.0, 1.2])
def test_dampings_out_of_range_are_refused(damping: float) -> None:
    with pytest.raises(ValueError, match="damping"):
        AsynchronousLeapfrog(pendulum, damping=damping)
