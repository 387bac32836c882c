"""Splitting schemes: order, symplecticity, bounded energy, and what they undo."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, RungeKutta, solve
from sciml.solvers.symplectic import (
    BLANES_MOAN4,
    SUZUKI4,
    SYMPLECTIC_EULER,
    VELOCITY_VERLET,
    YOSHIDA4,
    YOSHIDA6,
    SeparableField,
    Splitting,
    Symplectic,
)
from sciml.solvers.tableaus import RK4, VERN7

SCHEMES = (SYMPLECTIC_EULER, VELOCITY_VERLET, YOSHIDA4, SUZUKI4, BLANES_MOAN4, YOSHIDA6)
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)

PENDULUM = SeparableField(lambda t, p: p, lambda t, q: -torch.sin(q))
# Mass and stiffness change with time, so that both clocks matter.
DRIVEN = SeparableField(
    lambda t, p: p * (1 + 0.5 * torch.sin(t))[:, None],
    lambda t, q: -torch.sin(q) * (1 + 0.3 * torch.cos(2 * t))[:, None],
)
Q0 = torch.tensor([[1.0], [0.3], [-2.0]], dtype=torch.float64)
P0 = torch.tensor([[0.0], [1.1], [0.4]], dtype=torch.float64)


def energy(y: tuple[Tensor, Tensor]) -> Tensor:
    return 0.5 * y[1].square() - torch.cos(y[0])


def reference(ts: Tensor) -> tuple[Tensor, Tensor]:
    return solve(RungeKutta(DRIVEN, VERN7), (Q0, P0), ts, FixedStep(0.05)).ys


@every_scheme
@pytest.mark.parametrize("outputs", [2, 38], ids=["at the end", "inside the steps"])
def test_measured_order_of_a_time_dependent_system(scheme: Splitting, outputs: int) -> None:
    ts = torch.linspace(0, 3, outputs, dtype=torch.float64)
    exact = reference(ts)

    def error(steps: int) -> float:
        ys = solve(Symplectic(DRIVEN, scheme), (Q0, P0), ts, FixedStep(3 / steps)).ys
        return max(float((y - e).abs().max()) for y, e in zip(ys, exact))

    slope = torch.log2(torch.tensor(error(48) / error(96)))
    assert scheme.order - 0.3 < slope < scheme.order + 1.5


@every_scheme
def test_shares_are_consistent_and_even_schemes_symmetric(scheme: Splitting) -> None:
    assert abs(sum(scheme.kicks) - 1) < 1e-14
    assert abs(sum(scheme.drifts) - 1) < 1e-14
    if scheme.order % 2 == 0:
        torch.testing.assert_close(scheme.kicks, scheme.kicks[::-1], rtol=0, atol=1e-15)
        torch.testing.assert_close(scheme.drifts, scheme.drifts[::-1], rtol=0, atol=1e-15)


@every_scheme
def test_a_step_is_a_symplectic_map(scheme: Splitting) -> None:
    """Its Jacobian M satisfies M^T J M = J; two coupled pendulums, one long step."""

    def force(t: Tensor, q: Tensor) -> Tensor:
        return -torch.sin(q) - 0.5 * (q - q.flip(1)) * (1 + t)[:, None]

    stepper = Symplectic(SeparableField(lambda t, p: p * torch.tensor([1.0, 0.4]), force), scheme)
    t = torch.tensor([0.2], dtype=torch.float64)

    def step(x: Tensor) -> Tensor:
        q, p = stepper(t, t + 0.5, (x[None, :2], x[None, 2:])).y
        return torch.cat([q[0], p[0]])

    x0 = torch.tensor([1.0, -0.5, 0.3, 0.8], dtype=torch.float64)
    jacobian = torch.func.jacrev(step)(x0)
    eye, zero = torch.eye(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    form = torch.cat([torch.cat([zero, eye], 1), torch.cat([-eye, zero], 1)])
    torch.testing.assert_close(jacobian.T @ form @ jacobian, form, rtol=0, atol=1e-13)


def test_energy_stays_bounded_where_runge_kutta_drifts() -> None:
    """Fifty periods: the error of the second half is that of the first."""
    ts = torch.linspace(0, 320, 161, dtype=torch.float64)
    y0 = (Q0[:2], P0[:2])
    drift = {}
    for name, stepper in (("Verlet", Symplectic(PENDULUM, VELOCITY_VERLET)), ("RK4", RungeKutta(PENDULUM, RK4))):
        ys = solve(stepper, y0, ts, FixedStep(0.4)).ys
        off = (energy(ys) - energy(y0)[:, None]).abs()
        drift[name] = float(off[:, 80:].max() / off[:, 1:80].max())
    assert drift["Verlet"] < 1.05
    assert drift["RK4"] > 1.5


@every_scheme
def test_steps_are_undone_to_rounding(scheme: Splitting) -> None:
    """Per-sample lengths, one backwards in time, one of none."""
    stepper = Symplectic(DRIVEN, scheme)
    t, y = torch.zeros(3, dtype=torch.float64), (Q0, P0)
    dt = torch.tensor([0.1, -0.07, 0.0], dtype=torch.float64)
    reuse = stepper.start(t, y)
    for _ in range(50):
        step = stepper(t, dt, y, reuse)
        t, y, reuse = t + dt, step.y, step.reuse
    assert torch.equal(y[0][2], Q0[2])
    for _ in range(50):
        t = t - dt
        y, reuse = stepper.reverse(t, dt, y, reuse)
    torch.testing.assert_close(y, (Q0, P0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s.order % 2 == 0], ids=lambda scheme: scheme.name)
def test_symmetric_schemes_retrace_when_momenta_turn_round(scheme: Splitting) -> None:
    ts = torch.tensor([0.0, 5.0], dtype=torch.float64)
    stepper = Symplectic(PENDULUM, scheme)
    q, p = (leaf[:, -1] for leaf in solve(stepper, (Q0, P0), ts, FixedStep(0.1)).ys)
    q, p = (leaf[:, -1] for leaf in solve(stepper, (q, -p), ts, FixedStep(0.1)).ys)
    torch.testing.assert_close((q, -p), (Q0, P0), rtol=0, atol=1e-12)


@every_scheme
def test_batching_changes_no_bit_of_a_sample(scheme: Splitting) -> None:
    ts = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.31, 0.33], [0.0, -1.0, -3.0]], dtype=torch.float64)
    dts = torch.tensor([0.1, 0.03, 0.2], dtype=torch.float64)
    together = solve(Symplectic(DRIVEN, scheme), (Q0, P0), ts, FixedStep(dts)).ys
    for i in range(3):
        one = slice(i, i + 1)
        alone = solve(Symplectic(DRIVEN, scheme), (Q0[one], P0[one]), ts[one], FixedStep(dts[one])).ys
        assert torch.equal(together[0][one], alone[0])
        assert torch.equal(together[1][one], alone[1])


def test_output_times_do_not_disturb_the_steps() -> None:
    """Dense output: with many outputs the end is, bit for bit, that with none between."""
    stepper = Symplectic(DRIVEN, YOSHIDA4)
    few, many = (
        solve(stepper, (Q0, P0), torch.linspace(0, 3, count, dtype=torch.float64), FixedStep(0.125)).ys
        for count in (2, 101)
    )
    assert torch.equal(few[0][:, -1], many[0][:, -1])


def test_any_field_of_pairs_may_stand_for_a_separable_one() -> None:
    """Then both halves are evaluated where one is needed, with the same result."""
    ts = torch.linspace(0, 1, 3, dtype=torch.float64)
    plain = Symplectic(lambda t, y: (DRIVEN.velocity(t, y[1]), DRIVEN.force(t, y[0])), YOSHIDA4)
    apart = Symplectic(DRIVEN, YOSHIDA4)
    for a, b in zip(*(solve(stepper, (Q0, P0), ts, FixedStep(0.1)).ys for stepper in (plain, apart))):
        assert torch.equal(a, b)


def test_gradient_against_finite_differences() -> None:
    ts = torch.linspace(0, 1, 4, dtype=torch.float64)

    def end(q: Tensor, p: Tensor, rate: Tensor) -> Tensor:
        field = SeparableField(lambda t, p: p, lambda t, q: -rate * torch.sin(q))
        return torch.cat(solve(Symplectic(field, BLANES_MOAN4), (q, p), ts, FixedStep(0.3)).ys, dim=-1)

    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (Q0.clone().requires_grad_(), P0.clone().requires_grad_(), rate))


def test_forces_are_counted() -> None:
    calls = [0]

    def force(t: Tensor, q: Tensor) -> Tensor:
        calls[0] += 1
        return -q

    solution = solve(
        Symplectic(SeparableField(lambda t, p: p, force), VELOCITY_VERLET),
        (Q0, P0),
        torch.tensor([0.0, 1.0], dtype=torch.float64),
        FixedStep(0.125),
    )
    assert calls[0] == 9
    assert solution.statistics.evaluations.tolist() == [9, 9, 9]


def test_a_state_that_is_no_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="positions, momenta"):
        solve(Symplectic(PENDULUM, VELOCITY_VERLET), Q0, torch.tensor([0.0, 1.0]), FixedStep(0.1))
