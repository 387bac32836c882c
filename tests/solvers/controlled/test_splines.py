"""Interpolation of observations with gaps, against scipy and numpy channel by channel."""

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from sciml.solvers.controlled.splines import (
    Path,
    hermite_cubic,
    linear,
    natural_cubic,
    observation_counts,
    rectilinear,
    with_time,
)

BATCH, TIMES, CHANNELS = 4, 9, 3
SPLINES = (linear, natural_cubic, hermite_cubic)
every_spline = pytest.mark.parametrize("spline", SPLINES, ids=lambda spline: spline.__name__)


def observations() -> tuple[Tensor, Tensor]:
    """One sample without gaps, two with some (also at the ends), one with a channel seen once and one never."""
    generator = torch.Generator().manual_seed(0)
    ts = (0.1 + torch.rand(BATCH, TIMES, dtype=torch.float64, generator=generator)).cumsum(dim=1)
    values = torch.randn(BATCH, TIMES, CHANNELS, dtype=torch.float64, generator=generator)
    gaps = torch.rand(BATCH, TIMES, CHANNELS, generator=generator) < 0.4
    gaps[0], gaps[1, :2, 0], gaps[2, -3:, 1], gaps[3, :, 2] = False, True, True, True
    gaps[3, :, 1], gaps[3, 4, 1] = True, False
    return ts, values.masked_fill(gaps, torch.nan)


def filled_ends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One channel by the rule at the ends: the kept times and their values."""
    seen = np.flatnonzero(~np.isnan(values))
    values = values.copy()
    values[0], values[-1] = (values[seen[0]], values[seen[-1]]) if len(seen) else (0.0, 0.0)
    kept = np.flatnonzero(~np.isnan(values))
    return kept, values[kept]


def between(ts: Tensor, count: int = 41) -> Tensor:
    """Times across each sample's knots, (count, batch)."""
    return ts[:, 0] + (ts[:, -1] - ts[:, 0]) * torch.linspace(0, 1, count, dtype=ts.dtype)[:, None]


def compare(path: Path, oracle, ts: Tensor, values: Tensor, times: Tensor) -> None:  # type: ignore[no-untyped-def]
    found = torch.stack([path.evaluate(t) for t in times])
    for sample in range(BATCH):
        for channel in range(CHANNELS):
            kept, seen = filled_ends(values[sample, :, channel].numpy())
            expected = oracle(ts[sample].numpy()[kept], seen, times[:, sample].numpy())
            np.testing.assert_allclose(found[:, sample, channel], expected, rtol=0, atol=1e-12)


def test_linear_is_numpys() -> None:
    ts, values = observations()
    compare(linear(ts, values), lambda x, y, t: np.interp(t, x, y), ts, values, between(ts))


def test_natural_cubic_is_scipys() -> None:
    ts, values = observations()
    path = natural_cubic(ts, values)
    compare(path, lambda x, y, t: CubicSpline(x, y, bc_type="natural")(t), ts, values, between(ts))


def test_hermite_cubic_has_the_slopes_of_the_lines_before() -> None:
    ts, values = observations()
    lines, path = linear(ts, values), hermite_cubic(ts, values)
    for k in range(TIMES):
        torch.testing.assert_close(path.evaluate(ts[:, k]), lines.evaluate(ts[:, k]), rtol=0, atol=1e-12)
        before = lines.derivative(ts[:, max(k - 1, 0)])
        torch.testing.assert_close(path.derivative(ts[:, k]), before, rtol=0, atol=1e-10)


@every_spline
def test_observations_are_met(spline) -> None:  # type: ignore[no-untyped-def]
    ts, values = observations()
    path = spline(ts, values)
    for k in range(TIMES):
        seen = ~torch.isnan(values[:, k])
        torch.testing.assert_close(path.evaluate(ts[:, k])[seen], values[:, k][seen], rtol=0, atol=1e-12)


@every_spline
def test_declared_derivatives_are_continuous(spline) -> None:  # type: ignore[no-untyped-def]
    """Differences across knots: the first one that is not declared jumps."""
    ts, values = observations()
    path = spline(ts, values)
    length = path.ts.diff(dim=1)[:, :-1, None]
    jumps, scale = [], 1.0
    for power in range(path.smoothness + 2):
        coefficients = list(path.coefficients)
        end = sum(c[:, :-1] * length**k for k, c in enumerate(coefficients))
        jumps.append(float((coefficients[0][:, 1:] - end).abs().max()) * scale)
        derived = tuple((k + 1) * c for k, c in enumerate(coefficients[1:])) or (torch.zeros_like(coefficients[0]),)
        path = Path(path.ts, derived, power)
    assert max(jumps[:-1]) < 1e-10
    assert jumps[-1] > 1e-2


@every_spline
def test_derivative_is_that_of_the_values(spline) -> None:  # type: ignore[no-untyped-def]
    ts, values = observations()
    path = spline(ts, values)
    for t in between(ts, 17)[1:-1]:
        jacobian = torch.func.jvp(path.evaluate, (t,), (torch.ones_like(t),))[1]
        torch.testing.assert_close(path.derivative(t), jacobian, rtol=1e-12, atol=1e-12)


@every_spline
def test_gradients_reach_observations_and_leave_gaps_alone(spline) -> None:  # type: ignore[no-untyped-def]
    ts, values = observations()
    gaps, times = torch.isnan(values), between(ts, 5)
    known = values[~gaps].clone().requires_grad_()

    def through(known: Tensor) -> Tensor:
        path = spline(ts, torch.full_like(values, torch.nan).masked_scatter(~gaps, known))
        return torch.stack([torch.cat([path.evaluate(t), path.derivative(t)]) for t in times])

    assert torch.autograd.gradcheck(through, (known,))


@every_spline
def test_batching_changes_no_bit_of_a_sample(spline) -> None:  # type: ignore[no-untyped-def]
    ts, values = observations()
    together = spline(ts, values)
    t = between(ts, 3)[1]
    rows = torch.tensor([2, 0])
    assert torch.equal(together.select(rows).evaluate(t[rows]), together.evaluate(t)[rows])
    for i in range(BATCH):
        one = slice(i, i + 1)
        assert torch.equal(spline(ts[one], values[one]).derivative(t[one]), together.derivative(t)[one])


def test_rectilinear_moves_in_time_then_in_value() -> None:
    ts = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    values = torch.tensor([[[1.0, torch.nan], [torch.nan, 5.0], [2.0, torch.nan]]], dtype=torch.float64)
    path = rectilinear(ts, values)
    corners = torch.cat([path.evaluate(torch.tensor([s], dtype=torch.float64)) for s in (0.0, 1.0, 2.0, 3.0, 4.0)])
    expected = [[0.0, 1.0, 5.0], [1.0, 1.0, 5.0], [1.0, 1.0, 5.0], [3.0, 1.0, 5.0], [3.0, 2.0, 5.0]]
    assert corners.tolist() == expected


def test_rectilinear_and_linear_do_not_see_the_future() -> None:
    """Up to observation 5, a later one changes nothing."""
    ts, values = observations()
    values = values[:1]  # without gaps
    later = values.clone()
    later[:, 6:] += 1
    for spline, shown in ((rectilinear, 10.0), (linear, float(ts[0, 5])), (hermite_cubic, float(ts[0, 5]))):
        early = [spline(ts[:1], v).evaluate(torch.tensor([shown], dtype=torch.float64)) for v in (values, later)]
        assert torch.equal(*early)


def test_float32_observations_under_a_float64_clock() -> None:
    ts, values = observations()
    path, fine = natural_cubic(ts, values.float()), natural_cubic(ts, values)
    t = between(ts, 3)[1]
    assert path.evaluate(t).dtype == torch.float32
    torch.testing.assert_close(path.evaluate(t).double(), fine.evaluate(t), rtol=0, atol=1e-4)


def test_added_channels() -> None:
    ts, values = observations()
    assert torch.equal(with_time(ts, values)[..., 0], ts)
    assert torch.equal(with_time(ts[0], values)[2, :, 0], ts[0])
    counts = observation_counts(values)
    assert torch.equal(counts[:, -1], (~torch.isnan(values)).sum(dim=1).double())
    assert bool((counts.diff(dim=1) >= 0).all())


def test_unsound_observations_are_refused() -> None:
    ts, values = observations()
    with pytest.raises(ValueError, match="increasing"):
        linear(ts.flip(1), values)
    with pytest.raises(ValueError, match="ts of shape"):
        linear(ts[:, :-1], values)
    with pytest.raises(ValueError, match="at least two times"):
        linear(ts[:, :1], values[:, :1])
    with pytest.raises(ValueError, match="one time per sample"):
        linear(ts, values).evaluate(ts[:2, 0])
