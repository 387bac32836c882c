"""What a Runge-Kutta step costs, hands on and estimates; its orders are measured in test_steppers.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sciml.solvers import PIDController, RungeKutta, Step, solve
from sciml.solvers.runge_kutta import advance
from sciml.solvers.state import State
from sciml.solvers.tableau import ButcherTableau
from sciml.solvers.tableaus import DOPRI5, DOPRI8, EULER, HEUN, RK4, SSPRK3, TSIT5, VERN7
from tests.problems import EXPLICIT, MODULATED

sweep = pytest.mark.parametrize("tableau", EXPLICIT, ids=lambda tableau: tableau.name)
with_stiffness = pytest.mark.parametrize(
    "tableau", [tableau for tableau in EXPLICIT if tableau is not EULER], ids=lambda tableau: tableau.name
)
# These compare two stages at the same time: what else depends on time does not enter.
at_one_node = pytest.mark.parametrize("tableau", [RK4, TSIT5, DOPRI5, VERN7, DOPRI8], ids=lambda tableau: tableau.name)


class Recorder:
    """A field that remembers the times it was called at."""

    def __init__(self) -> None:
        self.times: list[Tensor] = []

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        self.times.append(t)
        return MODULATED.field(t, y)


def clocks(batch: int, dt: float = 0.1) -> tuple[Tensor, Tensor]:
    return torch.linspace(0, 1, batch, dtype=torch.float64), torch.full((batch,), dt, dtype=torch.float64)


def states(batch: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def everything(step: Step) -> list[Tensor]:
    """A step's tensors, dense output included."""
    batch = len(step.y)
    inside = step.dense(torch.linspace(0.1, 0.9, batch, dtype=torch.float64), torch.arange(batch))
    return [part for part in (step.y, step.error, step.reuse, inside) if part is not None]


@sweep
def test_every_evaluation_is_counted_and_inside_the_step(tableau: ButcherTableau) -> None:
    field = Recorder()
    stepper, (t, dt) = RungeKutta(field, tableau), clocks(3)
    step = stepper(t, dt, MODULATED.y0)
    assert len(field.times) == step.evaluations
    reuse = stepper.start(t, MODULATED.y0)
    field.times.clear()
    again = stepper(t, dt, MODULATED.y0, reuse)
    assert len(field.times) == again.evaluations == step.evaluations - (reuse is not None)
    for where in (0.5, 0.7):  # the interpolant's own stages are evaluated once
        again.dense(torch.full_like(t, where), torch.arange(3))
    assert len(field.times) == again.evaluations + again.dense.evaluations
    assert again.dense.evaluations == len(tableau.extra_c)
    assert all(bool(((time >= t) & (time <= t + dt)).all()) for time in field.times)


@sweep
def test_the_slope_handed_on_is_that_at_the_end(tableau: ButcherTableau) -> None:
    stepper, (t, dt) = RungeKutta(MODULATED.field, tableau), clocks(3)
    step = stepper(t, dt, MODULATED.y0)
    if tableau.first_same_as_last:
        assert torch.equal(step.reuse, MODULATED.field(t + dt, step.y))
    else:
        assert step.reuse is None and stepper.start(t, MODULATED.y0) is None


class Forgetful:
    """The same scheme without anything handed from step to step."""

    def __init__(self, stepper: RungeKutta) -> None:
        self.stepper = stepper
        self.order, self.error_order, self.dense_order = stepper.order, stepper.error_order, stepper.dense_order
        self.slope = stepper.slope

    def __call__(self, t: Tensor, dt: Tensor, y: Tensor) -> Step:
        return replace(self.stepper(t, dt, y), reuse=None)


@pytest.mark.parametrize("tableau", [TSIT5, DOPRI5, VERN7, DOPRI8], ids=lambda tableau: tableau.name)
def test_rejections_spoil_no_slope_that_is_reused(tableau: ButcherTableau) -> None:
    def oscillator(t: Tensor, y: Tensor) -> Tensor:
        position, velocity = y.unbind(1)
        return torch.stack([velocity, 5 * (1 - position**2) * velocity - position], dim=1)

    stepper = RungeKutta(oscillator, tableau)
    y0 = torch.tensor([[2.0, 0.0], [0.5, 1.0], [-1.0, 3.0]], dtype=torch.float64)
    ts = torch.linspace(0, 8, 5, dtype=torch.float64)
    solutions = [solve(each, y0, ts, PIDController(rtol=1e-4, atol=1e-6)) for each in (stepper, Forgetful(stepper))]
    assert bool((solutions[0].statistics.rejected > 0).all())
    assert torch.equal(solutions[0].ys, solutions[1].ys)
    assert torch.equal(solutions[0].statistics.accepted, solutions[1].statistics.accepted)


@sweep
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128])
def test_a_sample_has_the_same_bits_in_any_batch(tableau: ButcherTableau, dtype: torch.dtype) -> None:
    y, (t, dt) = states(37, 3, dtype=dtype), clocks(37)
    stepper = RungeKutta(lambda t, y: -y * torch.cos(t)[:, None] + y.flip(1), tableau)
    together = everything(stepper(t, dt, y))
    theta = torch.linspace(0.1, 0.9, 37, dtype=torch.float64)
    for i in (0, 8, 36):
        step = stepper(t[i : i + 1], dt[i : i + 1], y[i : i + 1])
        inside = step.dense(theta[i : i + 1], torch.zeros(1, dtype=torch.int64))
        alone = [part for part in (step.y, step.error, step.reuse, inside) if part is not None]
        assert all(torch.equal(whole[i : i + 1], one) for whole, one in zip(together, alone, strict=True))


@sweep
def test_dense_output_takes_any_rows_and_meets_the_ends(tableau: ButcherTableau) -> None:
    stepper, (t, dt) = RungeKutta(MODULATED.field, tableau), clocks(3)
    step = stepper(t, dt, MODULATED.y0)
    rows = torch.tensor([2, 0, 0, 1, 2])
    ends = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    expected = torch.where(ends[:, None] == 0, MODULATED.y0[rows], step.y[rows])
    torch.testing.assert_close(step.dense(ends, rows), expected, rtol=0, atol=1e-12)


@with_stiffness
def test_stiffness_of_a_linear_problem_is_its_rate(tableau: ButcherTableau) -> None:
    rates = torch.tensor([-3.0, -70.0, 2.0], dtype=torch.float64, requires_grad=True)
    t, dt = clocks(3)
    stiffness = RungeKutta(lambda t, y: rates[:, None] * y, tableau)(t, dt, states(3, 4)).stiffness()
    torch.testing.assert_close(stiffness, rates.abs(), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(stiffness.sum(), rates)
    torch.testing.assert_close(gradient, rates.sign(), rtol=1e-5, atol=0)


@at_one_node
def test_stiffness_does_not_see_the_forcing(tableau: ButcherTableau) -> None:
    t, dt = clocks(3)
    stepper = RungeKutta(lambda t, y: -5 * y + torch.sin(40 * t)[:, None], tableau)
    torch.testing.assert_close(stepper(t, dt, states(3, 4)).stiffness(), torch.full_like(t, 5.0), rtol=1e-9, atol=0)


@at_one_node
def test_stiffness_of_a_system_approaches_the_dominant_eigenvalue(tableau: ButcherTableau) -> None:
    """The two stages differ by many products with dt J, which turn their difference into its direction."""
    basis = torch.linalg.qr(states(6, 6)).Q
    eigenvalues = -torch.tensor([200.0, 1.0, 0.5, 0.1, 3.0, 2.0], dtype=torch.float64)
    jacobian = basis @ torch.diag(eigenvalues) @ basis.T
    t, dt = clocks(2, dt=0.1)
    stiffness = RungeKutta(lambda t, y: y @ jacobian.T, tableau)(t, dt, states(2, 6)).stiffness()
    torch.testing.assert_close(stiffness, torch.full_like(t, 200.0), rtol=1e-2, atol=0)


@with_stiffness
@pytest.mark.parametrize("dt", [0.0, 0.1])
def test_a_state_at_rest_has_no_stiffness_and_sound_gradients(tableau: ButcherTableau, dt: float) -> None:
    rate = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    y = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    step = RungeKutta(lambda t, y: rate * y, tableau)(*clocks(2, dt), y)
    assert not step.stiffness().any() and not step.y.any()
    error = 0 if step.error is None else torch.linalg.vector_norm(step.error)
    gradients = torch.autograd.grad(step.stiffness().sum() + step.y.sum() + error, (rate, y))
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


def test_one_stage_tells_nothing_of_stiffness() -> None:
    assert RungeKutta(MODULATED.field, EULER)(*clocks(3), MODULATED.y0).stiffness is None


def test_tuples_weigh_in_the_stiffness_as_one_tensor_would() -> None:
    y, (t, dt) = states(3, 5), clocks(3)
    joint = RungeKutta(lambda t, y: -(y**3), TSIT5)(t, dt, y).stiffness()
    split = RungeKutta(lambda t, y: tuple(-(part**3) for part in y), TSIT5)(t, dt, (y[:, :2], y[:, 2:])).stiffness()
    torch.testing.assert_close(split, joint, rtol=1e-13, atol=0)


@sweep
def test_structures_step_as_their_tensors_do(tableau: ButcherTableau) -> None:
    """Also where the field lists the entries in another order, and where one of them is complex."""
    wave, scalar, (t, dt) = states(3, 2, dtype=torch.complex64), states(3), clocks(3)

    def field(t: Tensor, y: State) -> State:
        return {"scalar": -y["scalar"], "wave": 2j * y["wave"]}

    step = RungeKutta(field, tableau)(t, dt, {"wave": wave, "scalar": scalar})
    waves = RungeKutta(lambda t, y: 2j * y, tableau)(t, dt, wave)
    scalars = RungeKutta(lambda t, y: -y, tableau)(t, dt, scalar)
    theta, rows = torch.tensor([0.3, 0.9], dtype=torch.float64), torch.tensor([1, 2])
    for name, alone in {"wave": waves, "scalar": scalars}.items():
        assert torch.equal(step.y[name], alone.y)
        assert torch.equal(step.dense(theta, rows)[name], alone.dense(theta, rows))
        assert step.error is None or torch.equal(step.error[name], alone.error)


def test_a_float64_time_does_not_promote_a_float32_state() -> None:
    stepper = RungeKutta(lambda t, y: y * torch.cos(t)[:, None], TSIT5)
    step = stepper(*clocks(3), states(3, 2, dtype=torch.float32))
    assert {part.dtype for part in everything(step)} == {torch.float32}


def test_transforms_agree_with_finite_differences() -> None:
    (t, dt), y = clocks(3), states(3, 2)

    def after(rate: Tensor) -> tuple[Tensor, Tensor]:
        step = RungeKutta(lambda t, y: rate * y * torch.cos(t)[:, None], VERN7)(t, dt, y)
        return step.y + step.dense(torch.full_like(t, 0.4), torch.arange(3)), step.stiffness()

    rates = torch.tensor([0.3, -1.2], dtype=torch.float64)
    mapped = torch.func.vmap(after)(rates)
    for i, rate in enumerate(rates):
        torch.testing.assert_close(mapped[0][i], after(rate)[0])
        torch.testing.assert_close(mapped[1][i], after(rate)[1])
    _, forward = torch.func.jvp(lambda rate: after(rate)[0], (rates[0],), (torch.ones_like(rates[0]),))
    reverse = torch.func.jacrev(lambda rate: after(rate)[0])(rates[0])
    central = (after(rates[0] + 1e-5)[0] - after(rates[0] - 1e-5)[0]) / 2e-5
    torch.testing.assert_close(forward, reverse)
    torch.testing.assert_close(forward, central, rtol=1e-8, atol=1e-9)


def test_second_derivatives_of_a_step() -> None:
    (t, _), y = clocks(2), states(2, 2)

    def after(dt: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        step = RungeKutta(lambda t, y: torch.sin(y) + t[:, None], HEUN)(t, dt, y)
        return step.y, step.stiffness()

    given = torch.tensor([0.1, 0.2], dtype=torch.float64, requires_grad=True), y.requires_grad_()
    assert torch.autograd.gradcheck(after, given)
    assert torch.autograd.gradgradcheck(lambda dt, y: after(dt, y)[0], given)


class Counter(TorchDispatchMode):
    """Counts the operations dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return func(*args, **(kwargs or {}))


@sweep
def test_a_step_takes_one_operation_a_weight(tableau: ButcherTableau) -> None:
    """In eager mode a step of a small state costs what the number of its operations costs."""
    slope, (t, dt) = states(4, 2), clocks(4)
    stepper = RungeKutta(lambda t, y: slope, tableau)
    with Counter() as counter:
        stepper(t, dt, slope, slope)
    rows = (*tableau.a[1:], () if tableau.first_same_as_last else tableau.b)
    weights = sum(weight != 0 for row in rows for weight in row)
    error = 1 + sum(weight != 0 for weight in tableau.b_error) if tableau.b_error else 0
    times = len({node for node in tableau.c if node != 0})
    assert counter.count <= weights + error + times + 1


def test_advance_is_the_weighted_sum() -> None:
    slopes, y, dt = [states(3, 2) + k for k in range(4)], states(3, 2), clocks(3)[1]
    weights = (0.0, -0.3, 2.5, 1e-3)
    expected = y + dt[:, None] * sum(weight * slope for weight, slope in zip(weights, slopes))
    torch.testing.assert_close(advance(y, dt, weights, slopes), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (lambda t, y: y[:, :1], r"shape \(3, 2\), got \(3, 1\)"),
        (lambda t, y: y.sum(), r"got \(\)"),
        (lambda t, y: (y, y), "got tuple"),
        (lambda t, y: 1j * y, "Give a complex y0"),
    ],
)
def test_a_field_of_another_shape_or_kind_is_refused(field, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        RungeKutta(field, SSPRK3)(*clocks(3), states(3, 2))


@pytest.mark.parametrize(
    "field",
    [lambda t, y: y["a"], lambda t, y: {"a": y["a"]}, lambda t, y: (y["a"], y["b"])],
    ids=("one", "few", "tuple"),
)
def test_a_field_of_another_structure_is_refused(field) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="structured as y, a dict of 2 entries"):
        RungeKutta(field, TSIT5)(*clocks(3), {"a": states(3), "b": states(3)})
