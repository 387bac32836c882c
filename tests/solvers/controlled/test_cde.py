"""States driven by paths: closed forms, order across jumps, gradients, samples of their own."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, PIDController, RungeKutta, solve
from sciml.solvers.controlled.cde import ControlledField
from sciml.solvers.controlled.splines import hermite_cubic, linear, natural_cubic, rectilinear, with_time
from sciml.solvers.stops import Stops
from sciml.solvers.tableaus import RK4, TSIT5

TS = torch.tensor([0.0, 0.4, 0.7, 1.5, 2.0], dtype=torch.float64)
VALUES = torch.tensor(
    [[0.0, 1.0, -0.5, torch.nan, 0.8], [1.0, torch.nan, 1.2, 2.0, 1.0], [0.3, 0.3, 0.0, -1.0, 0.5]],
    dtype=torch.float64,
)[..., None]


def growth(t: Tensor, z: Tensor) -> Tensor:
    """dz = z dX, with the solution z0 exp(X(t) - X(0))."""
    return z[..., None]


@pytest.mark.parametrize("spline", [linear, natural_cubic, hermite_cubic])
def test_a_linear_equation_has_its_closed_form(spline) -> None:  # type: ignore[no-untyped-def]
    path = spline(TS, VALUES)
    stepper = RungeKutta(ControlledField(path, growth), TSIT5)
    z0 = torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64)
    ts = torch.linspace(0, 2, 9, dtype=torch.float64)
    stops = Stops(jumps=path.ts) if path.smoothness == 0 else None
    zs = solve(stepper, z0, ts, PIDController(rtol=1e-9, atol=1e-9), stops=stops).ys
    rise = torch.stack([path.evaluate(t.expand(3)) for t in ts], dim=1) - path.evaluate(ts[:1].expand(3))[:, None]
    torch.testing.assert_close(zs, z0[:, None] * rise.exp(), rtol=1e-7, atol=0)


def test_order_is_kept_across_jumps_of_the_derivative() -> None:
    """With stops at the knots one slope belongs to one piece; without them the steps straddle."""
    path = linear(TS, VALUES)
    stepper = RungeKutta(ControlledField(path, growth), RK4)
    z0, ends = torch.ones(3, 1, dtype=torch.float64), torch.tensor([0.0, 2.0], dtype=torch.float64)
    exact = (path.evaluate(ends[1:].expand(3)) - path.evaluate(ends[:1].expand(3))).exp()

    def error(dt: float, stops: Stops | None) -> float:
        return float((solve(stepper, z0, ends, FixedStep(dt), stops=stops).ys[:, -1] - exact).abs().max())

    kept = torch.log2(torch.tensor(error(0.1, Stops(jumps=TS)) / error(0.05, Stops(jumps=TS))))
    assert 3.6 < kept < 5.5
    assert error(0.0501, None) > 100 * error(0.0501, Stops(jumps=TS))


def test_the_end_does_not_depend_on_the_pace_of_the_path() -> None:
    """A CDE sees the curve alone: the same points at other times give the same end."""
    values = VALUES.nan_to_num(0.7).repeat(1, 1, 2)
    values[..., 1] = values[..., 1].sin()
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(2, 2, 2, dtype=torch.float64, generator=generator)
    ends = []
    for ts in (TS, TS + 0.3 * torch.sin(TS * torch.pi).abs()):
        path = linear(ts, values)
        field = ControlledField(path, lambda t, z: torch.tanh((z[:, None, None, :] * weight).sum(dim=-1)))
        z0 = torch.full((3, 2), 0.5, dtype=torch.float64)
        stops = Stops(jumps=path.ts)
        span = ts[[0, -1]]
        ends.append(
            solve(RungeKutta(field, TSIT5), z0, span, PIDController(rtol=1e-9, atol=1e-9), stops=stops).ys[:, -1]
        )
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-7, atol=1e-8)


def test_rectilinear_paths_drive_too() -> None:
    path = rectilinear(TS, VALUES)
    field = ControlledField(path, lambda t, z: torch.stack([0 * z, z], dim=-1))
    ts = torch.tensor([0.0, 2.0 * (len(TS) - 1)], dtype=torch.float64)
    z0 = torch.ones(3, 1, dtype=torch.float64)
    stops = Stops(jumps=path.ts)
    z = solve(RungeKutta(field, TSIT5), z0, ts, PIDController(rtol=1e-9, atol=1e-9), stops=stops).ys[:, -1]
    torch.testing.assert_close(z[:, 0], (VALUES[:, -1, 0] - VALUES[:, 0, 0]).exp(), rtol=1e-7, atol=0)


def test_samples_that_end_early_leave_the_others_their_own_paths() -> None:
    path = natural_cubic(TS, with_time(TS, VALUES))
    stepper = RungeKutta(ControlledField(path, lambda t, z: torch.stack([torch.sin(z), z], dim=-1)), TSIT5)
    z0 = torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64)
    ts = torch.tensor([[0.0, 0.1], [0.0, 2.0], [0.0, 0.2]], dtype=torch.float64)
    together = solve(stepper, z0, ts, PIDController(rtol=1e-7, atol=1e-7)).ys
    for i in range(3):
        one = torch.tensor([i])
        alone = solve(
            stepper.over(stepper.vector_field.select(one)), z0[one], ts[one], PIDController(rtol=1e-7, atol=1e-7)
        ).ys
        assert torch.equal(together[one], alone)


def test_gradients_with_respect_to_the_observations() -> None:
    known = VALUES.nan_to_num(0.4).requires_grad_()

    def end(values: Tensor) -> Tensor:
        path = hermite_cubic(TS, values)
        z0 = torch.ones(3, 1, dtype=torch.float64)
        return solve(
            RungeKutta(ControlledField(path, lambda t, z: torch.sin(2 * z)[..., None]), RK4), z0, TS, FixedStep(0.5)
        ).ys

    assert torch.autograd.gradcheck(end, (known,))


def test_a_field_of_the_wrong_width_is_refused() -> None:
    field = ControlledField(linear(TS, VALUES), lambda t, z: z)
    with pytest.raises(ValueError, match="one column for each channel"):
        field(TS[:3], torch.ones(3, 1, dtype=torch.float64))
