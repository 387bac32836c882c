"""TayNODE, kinetic energy, STEER and the schedules, against closed forms."""

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers import TSIT5, PIDController, RungeKutta, solve
from sciml.solvers.arguments import PerSample
from sciml.solvers.regularization import (
    ExponentialDecay,
    KineticEnergy,
    KLWarmUp,
    TaylorEnergy,
    jitter,
    random_end,
    time_derivative,
)

F64 = torch.float64
CONTROLLER = PIDController(rtol=1e-9, atol=1e-9)
TS = torch.tensor([0.0, 1.0], dtype=F64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_time_derivatives_of_a_non_autonomous_flow(order: int) -> None:
    """y' = y cos t has y = y0 exp(sin t), whose derivatives automatic differentiation in t gives independently."""
    t = torch.tensor([0.3, 1.1], dtype=F64)
    exact = lambda s: torch.exp(torch.sin(s))  # noqa: E731
    derivative = exact
    for _ in range(order):
        derivative = (lambda g: lambda s: torch.func.jvp(g, (s,), (torch.ones_like(s),))[1])(derivative)
    found = time_derivative(lambda s, y: y * torch.cos(s)[:, None], order)(t, exact(t)[:, None])
    torch.testing.assert_close(found[:, 0], derivative(t), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_taylor_energy_of_exponential_growth(order: int) -> None:
    """For y = y0 exp(a t) the integral of (a^K y)^2 over [0, 1] is a^(2K) y0^2 (exp(2a) - 1) / 2a."""
    rate = torch.tensor(0.7, dtype=F64, requires_grad=True)
    y0 = torch.tensor([[1.0], [-2.0]], dtype=F64)
    stepper = RungeKutta(TaylorEnergy(lambda t, y: rate * y, order=order), TSIT5)
    _, energy = solve(stepper, TaylorEnergy.initial(y0), TS, CONTROLLER).ys
    exact = rate ** (2 * order) * y0[:, 0] ** 2 * (torch.exp(2 * rate) - 1) / (2 * rate)
    torch.testing.assert_close(energy[:, -1], exact, rtol=1e-6, atol=0)
    gradients = [torch.autograd.grad(value.sum(), rate, retain_graph=True)[0] for value in (energy[:, -1], exact)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=0)


def test_taylor_energy_trains_a_network() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    stepper = RungeKutta(TaylorEnergy(lambda t, y: network(y), order=3), TSIT5)
    y0 = TaylorEnergy.initial(torch.randn(4, 3, dtype=F64))
    energy = solve(stepper, y0, TS, PIDController(1e-5, 1e-5)).ys[1][:, -1].mean()
    gradients = torch.autograd.grad(energy, list(network.parameters()))
    assert all(bool(torch.isfinite(g).all()) and float(g.abs().max()) > 0 for g in gradients)


def test_kinetic_energy_of_a_linear_flow() -> None:
    """For A = w times a rotation's generator, |A y| = w |y|, and |eps^T A|^2 = 2 w^2 for any signs eps."""
    w = 1.5
    matrix = torch.tensor([[0.0, w], [-w, 0.0]], dtype=F64)
    y0 = torch.tensor([[1.0, 0.0], [0.3, -2.0]], dtype=F64)
    direction = KineticEnergy.direction(y0, generator=seeded())
    assert bool((direction.abs() == 1).all())
    stepper = RungeKutta(KineticEnergy(lambda t, y: y @ matrix.T), TSIT5)
    _, kinetic, jacobian = solve(stepper, KineticEnergy.initial(y0), TS, CONTROLLER, args=(PerSample(direction),)).ys
    torch.testing.assert_close(kinetic[:, -1], w**2 * y0.square().mean(dim=1), rtol=1e-7, atol=0)
    torch.testing.assert_close(jacobian[:, -1], torch.full((2,), w**2, dtype=F64), rtol=1e-7, atol=0)


def test_hutchinson_is_unbiased() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(3, 3, dtype=F64)
    y = torch.zeros(20000, 3, dtype=F64)
    field = KineticEnergy(lambda t, y: y @ matrix.T)
    estimate = field(y[:, 0], KineticEnergy.initial(y), KineticEnergy.direction(y, generator=seeded()))[2]
    torch.testing.assert_close(3 * estimate.mean(), matrix.square().sum(), rtol=0.03, atol=0)


def test_random_end_is_uniform_about_the_end() -> None:
    ends = torch.stack([random_end(TS, 0.5, generator=seeded(i)) for i in range(400)])
    assert bool((ends[:, 0] == 0).all())
    assert float(ends[:, 1].min()) > 0.5 and float(ends[:, 1].max()) < 1.5
    assert abs(float(ends[:, 1].mean()) - 1) < 0.06 and len(ends[:, 1].unique()) == 400
    with pytest.raises(ValueError, match="width < 1"):
        random_end(TS, 1.0)


def test_jitter_keeps_order_and_span() -> None:
    ts = torch.rand(50, 12, generator=seeded(), dtype=F64).sort(dim=1).values
    moved = jitter(ts, generator=seeded(1))
    assert bool((moved.diff(dim=1) > 0).all())
    assert bool((moved[:, 0] >= ts[:, 0]).all()) and bool((moved[:, -1] <= ts[:, -1]).all())
    gaps = torch.maximum(ts.diff(dim=1)[:, :-1], ts.diff(dim=1)[:, 1:])
    assert bool(((moved - ts)[:, 1:-1].abs() <= 0.5 * gaps).all()) and float((moved - ts).abs().max()) > 0
    descending = jitter(ts.flip(1), generator=seeded(2))
    assert bool((descending.diff(dim=1) < 0).all())
    with pytest.raises(ValueError, match="fraction"):
        jitter(ts, 0.6)


def test_schedules() -> None:
    decay = ExponentialDecay(100.0, 10.0, 50)
    assert decay(0) == 100.0 and decay(50) == pytest.approx(10.0) and decay(500) == pytest.approx(10.0)
    assert decay(25) ** 2 == pytest.approx(100.0 * 10.0)
    warm_up = KLWarmUp(base=0.99, start=10)
    assert warm_up(0) == 0.0 and warm_up(10) == 0.0 and warm_up(11) == pytest.approx(0.01)
    with pytest.raises(ValueError, match="> 0"):
        ExponentialDecay(1.0, 0.0, 10)


def test_wrong_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order >= 1"):
        TaylorEnergy(lambda t, y: y, order=0)


def test_fields_take_batched_time() -> None:
    """The derivative in t is taken for each sample at its own time."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        return t[:, None] ** 2 * torch.ones_like(y)

    t = torch.tensor([0.5, 2.0], dtype=F64)
    found = time_derivative(field, 2)(t, torch.zeros(2, 1, dtype=F64))
    torch.testing.assert_close(found[:, 0], 2 * t)
