"""Operators on a GPU: outputs, gradients, rollouts, mixed precision, and steps that do not wait for the host."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sciml.operators.linear import LinearDMD
from sciml.solvers.controller import FixedStep
from sciml.solvers.pid import PIDController
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling
from sciml.training import FitSettings, GroupedRelativeLoss
from sciml.training.objective import NormalisedLoss, TrainingObjective
from tests.sciml.operators.test_interface import ALL, NETWORKS, SPACE, batch, made

from .compare import F64, assert_close, assert_like_cpu, full_precision, no_waiting

pytestmark = pytest.mark.gpu
every_network = pytest.mark.parametrize("name", NETWORKS)
every_operator = pytest.mark.parametrize("name", ALL)


@pytest.fixture(autouse=True)
def _full_precision():
    with full_precision():
        yield


def operator_named(name: str, dim: int = 2) -> nn.Module:
    if name.startswith("fno"):
        pytest.importorskip("neuralop")
    return made(ALL[name], dim)


def stepped(operator: nn.Module) -> Callable[..., Tensor]:
    return lambda t, dt, u: operator(t, dt, u).y


@every_network
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=["float64", "float32"])
def test_outputs_and_gradients_are_those_of_the_cpu(
    name: str, dim: int, dtype: torch.dtype, device: torch.device
) -> None:
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    if name.startswith("fno"):
        tolerance = 1e-4  # the package rounds spectra to complex64
    assert_like_cpu(operator_named(name, dim), stepped, batch(dim), device, tolerance, dtype=dtype)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_linear_map_is_that_of_the_cpu(dim: int, device: torch.device) -> None:
    assert_like_cpu(operator_named("dmd", dim), stepped, batch(dim), device, 1e-10)


@pytest.mark.parametrize("rank", [6, 0.9])
def test_linear_map_is_fitted_on_the_device(rank: float, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(1)
    u, noise = (torch.randn(12, 2, *SPACE[2], generator=generator, dtype=F64) for _ in range(2))
    y = 0.8 * u + 0.3 * noise
    models = [
        LinearDMD.fit([(a.to(at), b.to(at)) for a, b in zip(u.split(5), y.split(5))], ["a", "b"], dt=0.5, rank=rank)
        for at in ("cpu", device)
    ]
    t, dt = torch.zeros(12, dtype=F64), torch.full((12,), 0.5, dtype=F64)
    expected = models[0](t, dt, u).y
    found = models[1](t.to(device), dt.to(device), u.to(device)).y
    assert found.device.type == device.type and models[1].rank == models[0].rank
    assert_close([found], [expected], 1e-8)


@every_operator
def test_rollouts_are_those_of_the_cpu(name: str, device: torch.device) -> None:
    operator, (_, _, u) = operator_named(name).double(), batch()
    ts, u = torch.tensor([0.0, 0.5, 1.2], dtype=F64), u.double()
    with torch.no_grad():
        expected = solve(operator, u, ts, FixedStep(0.25))
        found = solve(operator.to(device), u.to(device), ts.to(device), FixedStep(0.25))
        adaptive = solve(StepDoubling(operator), u.to(device), ts.to(device), PIDController(rtol=1e-1, atol=1e1))
    assert found.ys.device.type == device.type
    assert_close([found.ys], [expected.ys], 1e-4 if name.startswith("fno") else 1e-9)
    assert torch.equal(found.statistics.accepted.cpu(), expected.statistics.accepted)
    assert bool((adaptive.statistics.status == 0).all()) and bool(torch.isfinite(adaptive.ys).all())


@every_network
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_state_in_full_precision(name: str, dtype: torch.dtype, device: torch.device) -> None:
    operator = operator_named(name).to(device)
    t, dt, u = (part.to(device) for part in batch())
    exact = operator(t, dt, u).y
    with torch.autocast(device.type, dtype=dtype):
        y = operator(t, dt, u).y
        loss = y.square().mean()
    loss.backward()
    assert y.dtype == torch.float32 and torch.equal(y[:, 1], u[:, 1])
    assert (y - exact).abs().max() <= 0.05 * (exact - u).abs().max()
    assert all(bool(torch.isfinite(p.grad).all()) for p in operator.parameters())


@every_operator
def test_an_operator_comes_back_unchanged(name: str, device: torch.device) -> None:
    operator = operator_named(name)
    before = copy.deepcopy(operator.state_dict())
    after = operator.to(device).to("cpu").state_dict()
    assert all(torch.equal(after[key], value) and after[key].dtype == value.dtype for key, value in before.items())


@pytest.mark.parametrize("name", ["unet", "unet walls", "poseidon", "dmd"])
def test_a_step_does_not_wait_for_the_host(name: str, device: torch.device) -> None:
    """What is constant is made on the device: a copy from the host would stop it, in every step."""
    operator = operator_named(name).to(device)
    t, dt, u = (part.to(device) for part in batch())
    for waiting in (True, False):  # the first call sets libraries up
        with torch.enable_grad() if waiting else no_waiting(device):
            y = operator(t, dt, u).y
            if name != "dmd":
                y.square().mean().backward()
    assert bool(torch.isfinite(y).all())


@pytest.mark.parametrize("name", ["unet", "poseidon"])
def test_a_training_step_does_not_wait_for_the_host(name: str, device: torch.device) -> None:
    """With noise, static channels and a loss by groups."""
    operator = operator_named(name).to(device)
    settings = FitSettings(noise=0.1, pushforward=1)
    objective = TrainingObjective(operator, NormalisedLoss(operator, GroupedRelativeLoss((1, 1))), settings, 3)
    t, dt, u = (part.to(device) for part in batch())
    inputs = torch.stack([t] * 3, dim=1), torch.stack([dt] * 2, dim=1), torch.stack([u, 1.1 * u, 1.2 * u], dim=1)
    for waiting in (True, False):
        with torch.enable_grad() if waiting else no_waiting(device):
            loss = objective(*inputs).mean()
            loss.backward()
    assert bool(torch.isfinite(loss))
