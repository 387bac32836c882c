"""What every operator owes: one sweep over all of them, in one, two and three dimensions."""

import copy
import json
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from sciml.datasets.channel import Channel
from sciml.operators.fno import FNO
from sciml.operators.linear import LinearDMD
from sciml.operators.persistence import Persistence
from sciml.operators.physical import parse_channels
from sciml.operators.poseidon.operator import Poseidon
from sciml.operators.unet import UNet
from sciml.solvers.controller import FixedStep
from sciml.solvers.pid import PIDController
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling

CHANNELS = (Channel("density", "kg/m3"), Channel("mask", static=True), Channel("velocity_x", "m/s", field="velocity"))
SPACE = {1: (16,), 2: (12, 16), 3: (8, 8, 10)}
SCOT = {
    "patch_size": 2,
    "embed_dim": 8,
    "depths": (2, 1),
    "num_heads": (2, 2),
    "skip_connections": (1, 0),
    "window_size": 3,
    "drop_path_rate": 0.0,
    "use_conditioning": True,
    "initializer_range": 0.3,
}
Make = Callable[[int], nn.Module]


def dmd(dim: int) -> LinearDMD:
    """Fitted on noise: a full, unremarkable matrix."""
    generator = torch.Generator().manual_seed(1)
    u, noise = (torch.randn(12, 3, *SPACE[dim], generator=generator) for _ in range(2))
    y = 0.8 * u + 0.3 * noise
    return LinearDMD.fit([(u, torch.cat([y[:, :1], u[:, 1:2], y[:, 2:]], 1))], CHANNELS, dt=0.5, rank=6)


LEARNED: dict[str, Make] = {
    "unet": lambda dim: UNet(CHANNELS, dim=dim, width=8, depth=2),
    "unet walls": lambda dim: UNet(CHANNELS, dim=dim, width=6, depth=1, padding=("reflect", "zeros", "periodic")[:dim]),
    "fno": lambda dim: FNO(CHANNELS, dim=dim, modes=3, width=8, layers=2),
    "fno walls": lambda dim: FNO(CHANNELS, dim=dim, modes=2, width=6, layers=2, periodic=False),
}
FLOWS: dict[str, Make] = {**LEARNED, "persistence": lambda dim: Persistence(CHANNELS), "dmd": dmd}
# Operators that predict the state itself: a step of zero is what they learned it to be.
DIRECT: dict[str, Make] = {
    "poseidon": lambda dim: Poseidon(CHANNELS, architecture=SCOT | {"dim": dim, "image_size": SPACE[dim]})
}
ALL: dict[str, Make] = {**FLOWS, **DIRECT}
NETWORKS: dict[str, Make] = {**LEARNED, **DIRECT}

every_operator = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())
every_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
every_flow = pytest.mark.parametrize("make", FLOWS.values(), ids=FLOWS.keys())
every_residual_network = pytest.mark.parametrize("make", LEARNED.values(), ids=LEARNED.keys())
every_dim = pytest.mark.parametrize("dim", [1, 2, 3])


def made(make: Make, dim: int = 2) -> nn.Module:
    torch.manual_seed(0)
    operator = make(dim)
    if not isinstance(operator, LinearDMD):
        operator.normalization.set([1.0, 0.2, -3.0], [2.0, 0.5, 40.0], [0.1, 0.0, 3.0], 0.5)
    return operator


def batch(dim: int = 2, size: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    u = torch.randn(size, 3, *SPACE[dim], generator=generator)
    scale = torch.tensor([2.0, 0.5, 40.0]).reshape(3, *([1] * dim))
    return torch.zeros(size), torch.linspace(0.1, 0.7, size), scale * u


@every_operator
@every_dim
def test_a_step_keeps_shape_dtype_and_static_channels(make: Make, dim: int) -> None:
    t, dt, u = batch(dim)
    y = made(make, dim)(t, dt, u).y
    assert y.shape == u.shape and y.dtype == u.dtype
    assert torch.equal(y[:, 1], u[:, 1])


@every_flow
@every_dim
def test_a_step_of_zero_is_the_identity(make: Make, dim: int) -> None:
    t, dt, u = batch(dim)
    operator = made(make, dim)
    assert torch.equal(operator(t, 0 * dt, u).y, u)


@every_network
def test_a_step_is_not_the_identity_and_depends_on_dt(make: Make) -> None:
    t, dt, u = batch()
    operator = made(make)
    one, two = (operator(t, k * dt, u).y - u for k in (1, 2))
    for channel in (0, 2):
        assert one[:, channel].abs().max() > 0
        # dt is in the network too: twice the step is not twice the increment
        assert not torch.allclose(two[:, channel], 2 * one[:, channel], rtol=1e-3)


@every_operator
def test_batched_equals_one_by_one(make: Make) -> None:
    t, dt, u = batch()
    operator = made(make)
    together = operator(t, dt, u).y
    alone = torch.cat([operator(t[k : k + 1], dt[k : k + 1], u[k : k + 1]).y for k in range(len(u))])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@every_operator
def test_config_and_state_dict_rebuild_the_operator(make: Make) -> None:
    operator = made(make)
    rebuilt = type(operator)(**json.loads(json.dumps(operator.config)))
    rebuilt.load_state_dict(load(save(operator.state_dict())))
    assert rebuilt.config == operator.config and rebuilt.channels == CHANNELS
    t, dt, u = batch()
    assert torch.equal(rebuilt(t, dt, u).y, operator(t, dt, u).y)


@every_operator
def test_deepcopy_is_independent(make: Make) -> None:
    operator = made(make)
    twin = copy.deepcopy(operator)
    t, dt, u = batch()
    before = operator(t, dt, u).y
    for value in [*twin.parameters(), *twin.buffers()]:
        value.data.zero_()
    assert torch.equal(operator(t, dt, u).y, before)


@every_operator
def test_float64(make: Make) -> None:
    t, dt, u = batch()
    operator = made(make)
    single = operator(t, dt, u).y
    double = operator.double()(t.double(), dt.double(), u.double()).y
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-4)


@every_operator
def test_a_float64_state_passes_through_float32_weights(make: Make) -> None:
    t, dt, u = batch()
    y = made(make)(t.double(), dt.double(), u.double()).y
    assert y.dtype == torch.float64 and torch.equal(y[:, 1], u[:, 1].double())


@every_operator
def test_autocast_keeps_the_state_in_full_precision(make: Make) -> None:
    t, dt, u = batch()
    operator = made(make)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = operator(t, dt, u).y
    assert y.dtype == torch.float32
    change = (operator(t, dt, u).y - u).abs().max()
    assert (y - operator(t, dt, u).y).abs().max() <= 0.05 * change


@every_network
@every_dim
def test_every_parameter_gets_a_gradient(make: Make, dim: int) -> None:
    t, dt, u = batch(dim)
    operator = made(make, dim)
    operator(t, dt, u).y.square().mean().backward()
    without = [name for name, p in operator.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert without == []


@every_network
def test_the_gradient_in_the_state_is_the_slope(make: Make) -> None:
    t, dt, u = (value.double() for value in batch(size=1))
    operator = made(make).double()
    direction = torch.randn(u.shape, dtype=u.dtype, generator=torch.Generator().manual_seed(3))
    loss = lambda state: operator(t, dt, state).y.sin().mean()  # noqa: E731
    slope = torch.autograd.functional.jvp(loss, u, direction)[1]
    h = 1e-3
    measured = (loss(u + h * direction) - loss(u - h * direction)) / (2 * h)
    # neuralop rounds spectra to complex64: differences are good to four digits
    torch.testing.assert_close(slope, measured, rtol=1e-3, atol=1e-6)


@every_network
def test_units_do_not_matter(make: Make) -> None:
    """Other units of the fields and of time, in the data and in the statistics, give the same prediction."""
    t, dt, u = batch()
    operator, other = made(make), made(make)
    units, clock = torch.tensor([1e3, 1.0, 1e-4]), 60.0
    n = operator.normalization
    other.normalization.set(units * n.mean, units * n.std, units * n.delta_std, clock * float(n.dt))
    units = units.reshape(3, 1, 1)
    torch.testing.assert_close(other(t, clock * dt, units * u).y / units, operator(t, dt, u).y, rtol=1e-4, atol=1e-4)


@every_residual_network
def test_a_small_batch_can_be_learned(make: Make) -> None:
    """Advection of one wave a sample: 40 steps of Adam leave a tenth of the loss."""
    x = torch.linspace(0, 2 * torch.pi, 17)[:-1].expand(12, 16)
    phase = torch.tensor([0.3, 1.1, 2.5]).reshape(-1, 1, 1)
    wave = torch.stack([torch.sin(x + phase), torch.ones_like(x).expand(3, 12, 16), 20 * torch.cos(x + phase)], dim=1)
    change = torch.stack([torch.cos(x + phase), torch.zeros(3, 12, 16), -20 * torch.sin(x + phase)], dim=1)
    operator, t, dt = made(make), torch.zeros(3), torch.tensor([0.25, 0.5, 0.75])
    target, scale = wave + 0.2 * dt.reshape(-1, 1, 1, 1) * change, operator.normalization.delta_std.reshape(3, 1, 1)
    optimizer, losses = torch.optim.Adam(operator.parameters(), lr=1e-2), []
    for _ in range(40):
        optimizer.zero_grad()
        loss = ((operator(t, dt, wave).y - target) / scale)[:, [0, 2]].square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@every_residual_network
def test_direct_prediction_does_not_add_to_the_state(make: Make) -> None:
    """A network of zero output predicts the mean, whatever the state."""
    operator = type(made(make))(**{**made(make).config, "residual": False})
    operator.normalization.set([1.0, 0.2, -3.0], [2.0, 0.5, 40.0], [0.1, 0.0, 3.0], 0.5)
    for parameter in operator.parameters():
        parameter.data.zero_()
    t, dt, u = batch()
    y = operator(t, dt, u).y
    torch.testing.assert_close(y[:, 0], torch.full_like(y[:, 0], 1.0))
    torch.testing.assert_close(y[:, 2], torch.full_like(y[:, 2], -3.0))
    assert torch.equal(y[:, 1], u[:, 1])


@every_operator
def test_rollout_is_repeated_steps(make: Make) -> None:
    t, _, u = batch()
    operator = made(make)
    ts = torch.tensor([0.0, 0.5, 1.0, 1.5])
    with torch.no_grad():
        ys = solve(operator, u, ts, FixedStep(0.5)).ys
        expected = [u]
        for _ in range(3):
            expected.append(operator(t, torch.full_like(t, 0.5), expected[-1]).y)
    torch.testing.assert_close(ys, torch.stack(expected, dim=1), rtol=1e-4, atol=1e-4)


@every_operator
def test_adaptive_rollout_by_step_doubling(make: Make) -> None:
    _, _, u = batch()
    operator = made(make)
    ts = torch.tensor([0.0, 1.0])
    with torch.no_grad():
        tight = solve(StepDoubling(operator), u, ts, PIDController(rtol=1e-3, atol=1e-2))
        loose = solve(StepDoubling(operator), u, ts, PIDController(rtol=1e-1, atol=1e1))
    assert bool((tight.statistics.status == 0).all()) and bool(torch.isfinite(tight.ys).all())
    assert torch.equal(tight.ys[:, -1, 1], u[:, 1])
    assert int(tight.statistics.accepted.sum()) >= int(loose.statistics.accepted.sum())


@every_operator
def test_wrong_states_are_refused(make: Make) -> None:
    t, dt, u = batch()
    operator = made(make)
    with pytest.raises(ValueError, match=r"shape \(batch, 3, .*got \(4, 2, 12, 16\).*velocity_x"):
        operator(t, dt, u[:, :2])


@pytest.mark.parametrize("name", ["unet", "fno", "dmd"])
def test_wrong_ranks_are_refused(name: str) -> None:
    t, dt, u = batch()
    with pytest.raises(ValueError, match=r"\(batch, 3, height, width\), got \(4, 3, 16\). Add the missing axis"):
        made(ALL[name])(t, dt, u[:, :, 0])


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([], "at least one channel"),
        ([Channel("k", static=True)], "not static"),
        (["u", "u"], "different names"),
        ("velocity", r"Write \['velocity'\]"),
        ([{"name": "u", "colour": "red"}], "dict of a Channel's attributes"),
    ],
)
def test_bad_channels_are_refused(channels: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_channels(channels)
