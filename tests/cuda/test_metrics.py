"""Metrics, losses, normalisation and histories on a GPU."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from sciml.history import History
from sciml.metrics import METRICS
from sciml.metrics.poseidon import median_relative_error
from sciml.metrics.rollout import correlation, correlation_time
from sciml.metrics.spectra import energy_spectrum
from sciml.metrics.the_well import spectral_error
from sciml.normalization import Normalization
from sciml.operators import UNet
from sciml.training import GroupedRelativeLoss, mean_absolute, mean_square, relative_l1, relative_l2

from .compare import F64, assert_close, assert_like_cpu, full_precision, no_waiting

pytestmark = pytest.mark.gpu
SPACES = {"1d": (24,), "2d": (12, 10), "3d": (6, 8, 5)}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
OF_PARTICLES = ("giorom/", "lagrangebench/")
LOSSES = {
    "mean square": mean_square,
    "mean absolute": mean_absolute,
    "relative l1": relative_l1,
    "relative l2": relative_l2,
    "groups": GroupedRelativeLoss((1, 1)),
    "groups, squared": GroupedRelativeLoss((2,), 2),
    "groups of the reference": GroupedRelativeLoss((1, 1), reference=True),
    "no groups": GroupedRelativeLoss(None),
    "masked groups": GroupedRelativeLoss((1, 1)).masked(torch.arange(10) % 3 > 0),
}


@pytest.fixture(autouse=True)
def _full_precision():
    with full_precision():
        yield


def pair(space: tuple[int, ...], *, steps: int = 21) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(3, steps, 2, *space, generator=generator, dtype=F64)
    return target + 0.2 * torch.randn(target.shape, generator=generator, dtype=F64), target


@every_space
@pytest.mark.parametrize("name", [name for name in METRICS if not name.startswith(OF_PARTICLES)])
def test_field_metrics(name: str, space: tuple[int, ...], device: torch.device) -> None:
    function, fields = METRICS[name].function, pair(space)
    found = function(*(part.to(device) for part in fields))
    assert found.device.type == device.type
    torch.testing.assert_close(found.cpu(), function(*fields), rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("box", [None, [1.0, 2.0], torch.tensor([1.0, 2.0])], ids=["open", "list", "tensor"])
@pytest.mark.parametrize("name", [name for name in METRICS if name.startswith(OF_PARTICLES)])
def test_particle_metrics(name: str, box: object, device: torch.device) -> None:
    function, positions = METRICS[name].function, [part.transpose(2, 3)[:1] for part in pair((9,))]
    options = {} if name == "giorom/relative_L2" else {"box": box}
    options |= {"stride": 20} if name.endswith("Sinkhorn") else {}
    found = function(*(part.to(device) for part in positions), **options)
    torch.testing.assert_close(found.cpu(), function(*positions, **options), rtol=1e-7, atol=1e-10)


@every_space
def test_spectra_and_bands(space: tuple[int, ...], device: torch.device) -> None:
    prediction, target = pair(space)
    moved = prediction.to(device), target.to(device)
    for call in (lambda p, y: energy_spectrum(y), spectral_error):
        found, expected = call(*moved), call(prediction, target)
        for name in ("energy", "wavenumber", "mse", "nmse", "edges"):
            if hasattr(expected, name):
                assert getattr(found, name).device.type == device.type
                assert_close([getattr(found, name)], [getattr(expected, name)], 1e-10)


def test_masks_and_times_may_be_on_the_host(device: torch.device) -> None:
    prediction, target = pair((12, 10))
    mask, ts = torch.rand(12, 10, generator=torch.Generator().manual_seed(0)) < 0.5, torch.arange(21, dtype=F64)
    found = median_relative_error(prediction.to(device), target.to(device), mask=mask)
    assert_close([found], [median_relative_error(prediction, target, mask=mask)], 1e-10)
    falling = 1 - 0.03 * torch.arange(21, dtype=F64) + 0 * correlation(prediction, target)
    found = correlation_time(falling.to(device), ts)
    assert_close([found], [correlation_time(falling, ts)], 1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients(name: str, device: torch.device) -> None:
    loss, fields = LOSSES[name], [part[:, 0] for part in pair((12, 10))]
    assert_like_cpu(torch.nn.Module(), lambda _: loss, fields, device, 1e-10)


def test_a_loss_does_not_wait_for_the_host(device: torch.device) -> None:
    prediction, target = (part[:, 0].to(device, torch.float32).requires_grad_() for part in pair((12, 10)))
    for name, loss in LOSSES.items():
        if name == "masked groups":
            loss = loss.masked(loss.mask.to(device))
        loss(prediction, target).sum().backward()
        with no_waiting(device):
            loss(prediction, target).sum().backward()


@pytest.mark.parametrize("values", ["lists", "host", "device"])
def test_normalisation(values: str, device: torch.device) -> None:
    given = [[1.0, -3.0], [2.0, 0.5], [0.1, 0.0]]
    if values != "lists":
        given = [torch.tensor(part, device=device if values == "device" else "cpu") for part in given]
    scales = Normalization(2).to(device).set(*given, 0.5)
    u = pair((12, 10))[0][:, 0].to(device, torch.float32)
    encoded = scales.encode(u)
    assert encoded.device.type == device.type and all(part.device.type == device.type for part in scales.buffers())
    torch.testing.assert_close(scales.decode(encoded), u, rtol=1e-5, atol=1e-5)
    assert_close([encoded[:, 0]], [(u[:, 0] - 1) / 2], 1e-6)
    torch.testing.assert_close(scales.lead(torch.ones(3, device=device)), torch.full((3,), 2.0, device=device))
    half = scales.half()
    assert half.std.dtype == torch.float32 and half.std.device.type == device.type


def test_history(device: torch.device) -> None:
    torch.manual_seed(0)
    channels = [{"name": "u[-1]", "static": True}, "u"]
    model = History(UNet(channels, dim=1, width=4, depth=1), 2, dt=0.5)
    frames = pair((16,))[0][:, :2, :1]
    inputs = torch.zeros(3), torch.full((3,), 0.5), model.pack(frames)
    assert_like_cpu(model, lambda moved: lambda t, dt, u: moved(t, dt.detach(), u).y, inputs, device, 1e-10)


def test_peak_memory_of_a_device_by_its_number(device: torch.device) -> None:
    """As the first thing that a program does with it."""
    index = "cuda:0" if device.type == "cuda" else "cpu"
    code = f"""if True:
        import torch
        from sciml.benchmark.cost import PeakMemory
        device = torch.device({index!r})
        with PeakMemory(device) as memory:
            kept = torch.ones(2**20, device=device)
        assert memory.bytes >= 2**22, memory.bytes
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
