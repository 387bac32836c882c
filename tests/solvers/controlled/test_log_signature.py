"""Log-signatures of windows: areas, Chen's identity, and the log-ODE method's gain."""

import math

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, PIDController, RungeKutta, solve
from sciml.solvers.controlled.cde import ControlledField
from sciml.solvers.controlled.log_signature import log_signature_path
from sciml.solvers.controlled.splines import linear
from sciml.solvers.stops import Stops
from sciml.solvers.tableaus import RK4, TSIT5


def rises(ts: Tensor, values: Tensor, every: int) -> Tensor:
    """The log-signature of each window, (batch, window, channel)."""
    path = log_signature_path(ts, values, every=every)
    return path.coefficients[1] * path.ts.diff(dim=1)[..., None]


def wiggle(count: int = 13) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    ts = torch.linspace(0, 1, count, dtype=torch.float64)
    return ts, torch.randn(2, count, 3, dtype=torch.float64, generator=generator).cumsum(dim=1) * 0.2


def test_a_circle_has_its_area() -> None:
    ts = torch.linspace(0, 1, 2001, dtype=torch.float64)
    circle = 3 * torch.stack([torch.cos(2 * torch.pi * ts), torch.sin(2 * torch.pi * ts)], dim=1)[None]
    found = rises(ts, circle, 2000)[0, 0]
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 9 * math.pi], dtype=torch.float64), rtol=1e-5, atol=1e-12)


def test_windows_compose_by_chens_identity() -> None:
    """The area of two windows together is the sum of theirs and that of the triangle of their chords."""
    ts, values = wiggle()
    whole, (left, right) = rises(ts, values, 12)[:, 0], rises(ts, values, 6).unbind(dim=1)
    torch.testing.assert_close(whole[:, :3], left[:, :3] + right[:, :3])
    for area, (i, j) in enumerate(((0, 1), (0, 2), (1, 2)), start=3):
        triangle = 0.5 * (left[:, i] * right[:, j] - left[:, j] * right[:, i])
        torch.testing.assert_close(whole[:, area], left[:, area] + right[:, area] + triangle)


def test_windows_of_one_observation_have_no_area() -> None:
    ts, values = wiggle()
    assert torch.equal(rises(ts, values, 1)[..., 3:], torch.zeros(2, 12, 3, dtype=torch.float64))
    path = log_signature_path(ts, values, every=5)
    assert path.ts[0].tolist() == ts[[0, 5, 10, 12]].tolist()
    torch.testing.assert_close(path.evaluate(ts[-1:].expand(2))[:, :3], values[:, -1])


def test_areas_pay_in_accuracy() -> None:
    """dz = A_i z dX^i over windows: the brackets [A_j, A_i] times the areas remove most of the error."""
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, 2, 2, dtype=torch.float64, generator=generator)
    pairs = ((0, 1), (0, 2), (1, 2))
    brackets = torch.stack([matrices[j] @ matrices[i] - matrices[i] @ matrices[j] for i, j in pairs])

    def end(path, fields: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        field = ControlledField(path, lambda t, z: (fields * z[:, None, None, :]).sum(dim=-1).transpose(1, 2))
        z0 = torch.ones(2, 2, dtype=torch.float64)
        span = torch.tensor([0.0, 1.0], dtype=torch.float64)
        controller = PIDController(rtol=1e-10, atol=1e-10)
        return solve(RungeKutta(field, TSIT5), z0, span, controller, stops=Stops(jumps=path.ts)).ys[:, -1]

    ts, values = wiggle()
    exact = end(linear(ts, 0.2 * values), matrices)
    coarse = end(linear(ts[::4], 0.2 * values[:, ::4]), matrices)
    with_areas = end(log_signature_path(ts, 0.2 * values, every=4), torch.cat([matrices, brackets]))
    assert float((with_areas - exact).abs().max()) < 0.2 * float((coarse - exact).abs().max())


def test_gradients_reach_the_observations() -> None:
    ts, values = wiggle(7)

    def through(values: Tensor) -> Tensor:
        path = log_signature_path(ts, values, every=3)
        field = ControlledField(path, lambda t, z: torch.sin(z)[..., None] * torch.linspace(0.1, 1, 6).double())
        return solve(RungeKutta(field, RK4), torch.ones(2, 1, dtype=torch.float64), ts[[0, -1]], FixedStep(0.5)).ys

    assert torch.autograd.gradcheck(through, (values.requires_grad_(),))


def test_empty_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="every"):
        log_signature_path(*wiggle(), every=0)
