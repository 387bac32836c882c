"""Poseidon on a GPU: the reference's values, mixed precision, every kind of grid, rollouts, compilation."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sciml.operators.poseidon.attention import WindowAttention, log_offsets
from sciml.operators.poseidon.blocks import TransformerBlock
from sciml.operators.poseidon.network import ScOT
from sciml.operators.poseidon.operator import Poseidon
from sciml.operators.poseidon.spectral import resample
from sciml.solvers.controller import FixedStep
from sciml.solvers.pid import PIDController
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling
from sciml.training.grouped import GroupedRelativeLoss
from tests.sciml.operators.poseidon.reference import NAMES, inputs, network, redrawn, reference, tiny
from tests.sciml.operators.poseidon.test_network import every_grid

from .compare import F64, assert_close, assert_like_cpu, full_precision

pytestmark = pytest.mark.gpu
every_reference = pytest.mark.parametrize("name", NAMES)
every_half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


@pytest.fixture(autouse=True)
def _full_precision():
    with full_precision():
        yield


def small(device: torch.device, dtype: torch.dtype = F64, **changes: object) -> ScOT:
    torch.manual_seed(0)
    return redrawn(ScOT(tiny(**changes))).to(device, dtype)


def field(size: tuple[int, ...], device: torch.device, dtype: torch.dtype = F64) -> tuple[Tensor, Tensor]:
    """Two fields of two channels, and their lead times."""
    x = torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(3), dtype=F64)
    return x.to(device, dtype), torch.tensor([0.3, 0.8]).to(device, dtype)


@every_reference
@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-9), (torch.float32, 1e-3)])
def test_values_are_those_of_the_reference(
    name: str, dtype: torch.dtype, tolerance: float, device: torch.device
) -> None:
    values = reference(name)
    x, time = (part.to(device) for part in inputs(values, dtype))
    net = network(values, dtype).to(device)
    y = net(x.requires_grad_(), time)
    (gradient,) = torch.autograd.grad(y.mean(), x, retain_graph=True)
    assert y.device.type == device.type and y.dtype == dtype
    assert_close([y], [values["output_float64"]], tolerance)
    assert_close([gradient], [values["grad_of_mean_output_wrt_input_float64"]], tolerance)
    loss = GroupedRelativeLoss.of(net.config, reference=True)
    value = loss(y, values["labels"].to(x)).mean()
    assert float(value.detach()) == pytest.approx(values["loss_float64"], rel=tolerance)
    masked = loss.masked(~values["pixel_mask"][:, :, None, None])(y, values["labels"].to(x)).mean()
    assert float(masked.detach()) == pytest.approx(values["loss_masked"], rel=1e-3)


@every_reference
def test_parameter_gradients_are_those_of_the_reference(name: str, device: torch.device) -> None:
    values = reference(name)
    net = network(values).to(device)
    x, time = (part.to(device) for part in inputs(values))
    loss = GroupedRelativeLoss.of(net.config, reference=True)(net(x, time), values["labels"].to(x)).mean()
    gradients = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    for (key, _), gradient in zip(net.named_parameters(), gradients):
        norm = 0.0 if gradient is None else float(gradient.norm())
        assert norm == pytest.approx(values["param_grad_l2_of_loss"][key], rel=1e-3, abs=1e-6), key


@every_reference
@every_half
def test_autocast_is_near_to_single_precision(name: str, dtype: torch.dtype, device: torch.device) -> None:
    values = reference(name)
    net = network(values, torch.float32).to(device)
    x, time = (part.to(device) for part in inputs(values, torch.float32))
    exact = net(x, time).detach()
    with torch.autocast(device.type, dtype=dtype):
        y = net(x, time)
        loss = (y.float() - values["labels"].to(x)).square().mean()
    loss.backward()
    apart = (y.detach().float() - exact).square().mean().sqrt() / exact.std()
    assert float(apart) < (0.15 if dtype == torch.bfloat16 else 0.03)
    found = [p.grad for p in net.parameters() if p.grad is not None]
    assert all(bool(torch.isfinite(gradient).all()) and gradient.dtype == torch.float32 for gradient in found)


@every_half
def test_half_precision_is_finite_where_windows_are_padded(dtype: torch.dtype, device: torch.device) -> None:
    """Tokens of padding are zero vectors, and shifted windows are masked."""
    net, (x, time) = small(device, torch.float32, image_size=(18, 22)), field((18, 22), device, torch.float32)
    with torch.autocast(device.type, dtype=dtype):
        loss = net(x, time).float().square().mean()
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None)


@every_grid
@pytest.mark.parametrize("model", ["convnext", "resnet"])
def test_every_grid_as_on_the_cpu(size: tuple[int, ...], changes: dict, model: str, device: torch.device) -> None:
    cpu = torch.device("cpu")
    net = small(cpu, image_size=size, residual_model=model, **changes)
    net.train(model == "convnext")  # batch norms would change from one call to the next
    assert_like_cpu(net, lambda moved: moved, field(size, cpu), device, 1e-9)


def test_position_offsets_have_the_same_bits_on_every_device(device: torch.device) -> None:
    """A GPU divides by a number of the host by multiplying with its inverse, which is off by a bit."""
    for w in range(1, 65):
        assert torch.equal(log_offsets((w,), device).cpu(), log_offsets((w,), torch.device("cpu"))), w


@pytest.mark.parametrize(
    ("size", "new"), [((9,), (14,)), ((16, 16), (9, 20)), ((6, 7, 8), (8, 6, 9))], ids=["1d", "2d", "3d"]
)
def test_resampling_as_on_the_cpu(size: tuple[int, ...], new: tuple[int, ...], device: torch.device) -> None:
    x, _ = field(size, torch.device("cpu"))
    assert_close([resample(x.to(device), new)], [resample(x, new)], 1e-12)
    half = resample(x.to(device, torch.float16), new)
    assert half.dtype == torch.float16
    assert_close([half], [resample(x, new)], 2e-3)


@pytest.mark.parametrize("native", [False, True])
def test_fields_of_another_size(native: bool, device: torch.device) -> None:
    torch.manual_seed(0)
    model = Poseidon(["u", "v"], architecture=tiny(), time_scale=1.0, boundary="periodic", native=native)
    redrawn(model.network)
    u, dt = field((20, 13), torch.device("cpu"))
    assert_like_cpu(model, lambda moved: lambda dt, u: moved(0 * dt, dt, u).y, [dt, u], device, 1e-9)


def test_checkpointed_blocks_give_the_same_gradients(device: torch.device) -> None:
    net, (x, time) = small(device, drop_path_rate=0.3, attention_probs_dropout_prob=0.2), field((16, 16), device)
    found = []
    for net.checkpointing in (False, True):
        torch.manual_seed(5)  # what is dropped has to be the same when a block is computed again
        found.append(torch.autograd.grad(net(x, time).square().mean(), list(net.parameters())))
    assert_close(found[1], found[0], 1e-10)


def test_stochastic_depth_drops_whole_samples(device: torch.device) -> None:
    block = TransformerBlock(tiny(), 0, drop_path=0.4).to(device).train()
    kept = block._kept(torch.ones(20_000, 2, 2, device=device))
    assert kept.device.type == device.type and float(kept.mean()) == pytest.approx(1.0, abs=0.03)
    assert bool(((kept == 0).flatten(1).all(1) | (kept > 0).flatten(1).all(1)).all())


def test_kept_position_bias_follows_the_device(device: torch.device) -> None:
    cpu = torch.device("cpu")
    net = small(cpu).eval()
    layers = [module.self for module in net.modules() if isinstance(module, WindowAttention)]
    with torch.no_grad():
        expected = net(*field((16, 16), cpu))
        for at in (device, cpu, device):
            net.to(at)
            for _ in range(2):  # made in the first call, read in the second
                assert_close([net(*field((16, 16), at))], [expected], 1e-10)
            assert all(layer._kept[1].device.type == at.type for layer in layers)
        net.float()
        single = net(*field((16, 16), device, torch.float32))
    assert single.dtype == torch.float32
    assert_close([single], [expected], 1e-3)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder as the reference writes it."""
    values = reference("A_tiny")
    save_file(values["state_dict"], tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(values["config"]))
    return tmp_path


def test_pretrained_weights_on_the_device_and_back_on_disk(published: Path, device: torch.device) -> None:
    values = reference("A_tiny")
    model = Poseidon.from_pretrained(published).to(device)
    u = model.normalization.decode(values["pixel_values"].to(device))
    y = model(torch.zeros(2, device=device), values["time"].to(device), u).y
    assert_close([model.normalization.encode(y)], [values["output_float64"]], 2e-4)
    model.save_pretrained(published / "again")
    again = Poseidon.from_pretrained(published / "again").state_dict()
    assert all(torch.equal(value.cpu(), again[name]) for name, value in model.state_dict().items())


def test_rollouts_directly_autoregressively_and_adaptively(device: torch.device) -> None:
    torch.manual_seed(0)
    model = Poseidon(["u", "v"], architecture=tiny(), time_scale=1.0).double().eval()
    redrawn(model.network)
    ts, u = torch.tensor([0.0, 0.7], dtype=F64), 0.1 * field((16, 16), torch.device("cpu"))[0]
    controls = [
        (model, FixedStep(0.7)),
        (model, FixedStep(0.1)),
        (StepDoubling(model), PIDController(rtol=0.5, atol=5.0)),
    ]
    with torch.no_grad():
        expected = [solve(stepper, u, ts, controller).ys for stepper, controller in controls]
        model.to(device)
        solutions = [solve(stepper, u.to(device), ts.to(device), controller) for stepper, controller in controls]
    assert all(bool((solution.statistics.status == 0).all()) for solution in solutions)
    assert_close([solution.ys for solution in solutions], expected, 1e-7)


COMPILED = """
    import sys, torch
    from sciml.operators.poseidon import Poseidon, ScOT, ScOTConfig
    torch.backends.cudnn.allow_tf32 = False
    device = torch.device(sys.argv[1])
    torch.manual_seed(0)
    config = ScOTConfig(image_size=16, patch_size=2, num_channels=2, num_out_channels=2, embed_dim=16, depths=(2,),
                        num_heads=(2,), skip_connections=(1,), window_size=4, use_conditioning=True,
                        initializer_range=0.1, drop_path_rate=0.0)
    net = ScOT(config).to(device)
    x, time = torch.randn(2, 2, 16, 16, device=device), torch.ones(2, device=device)
    compiled = torch.compile(net, fullgraph=True)
    values, gradients = [], []
    for f in (net, compiled):
        y = f(x, time)
        values.append(y.detach())
        gradients.append(torch.autograd.grad(y.square().mean(), list(net.parameters())))
    scale = values[0].abs().max()
    torch.testing.assert_close(values[1] / scale, values[0] / scale, rtol=0, atol=1e-4)
    largest = max(float(g.abs().max()) for g in gradients[0])
    for found, expected in zip(*gradients[::-1]):
        scale = max(float(expected.abs().max()), 0.01 * largest)
        torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-3)
"""


def test_compiled_network_agrees(device: torch.device) -> None:
    """In one graph, forwards and backwards; in an interpreter of its own, as the tests' shape checks are not traced."""
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")):
        pytest.skip("needs a C compiler")
    command = [sys.executable, "-c", textwrap.dedent(COMPILED), str(device)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
