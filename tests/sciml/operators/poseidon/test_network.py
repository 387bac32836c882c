"""scOT against the reference's values, and what the reference does not do."""

import copy
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import Tensor, nn

from sciml.operators.poseidon.architecture import ScOTConfig
from sciml.operators.poseidon.network import ScOT
from sciml.training.grouped import GroupedRelativeLoss

from .reference import NAMES, inputs, network, redrawn, reference, tiny

every_reference = pytest.mark.parametrize("name", NAMES)
F64 = torch.float64


@every_reference
def test_outputs_and_input_gradients_are_those_of_the_reference(name: str) -> None:
    values = reference(name)
    for dtype, key, tolerance in ((F64, "_float64", 1e-10), (torch.float32, "", 1e-3)):
        x, time = inputs(values, dtype)
        x.requires_grad_()
        y = network(values, dtype)(x, time)
        torch.testing.assert_close(y, values[f"output{key}"], rtol=0, atol=tolerance)
        (gradient,) = torch.autograd.grad(y.mean(), x)
        expected = values[f"grad_of_mean_output_wrt_input{key}"]
        torch.testing.assert_close(gradient, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


@every_reference
def test_every_part_is_that_of_the_reference(name: str) -> None:
    values = reference(name)
    net, found = network(values, torch.float32), {}

    def keep(key: str):
        return lambda module, args, output: found.update({key: output[1] if isinstance(output, tuple) else output})

    modules = dict(net.named_modules())
    for key in values["intermediates"]:
        if key.endswith(".input"):
            stage = modules[key.removesuffix(".input")]
            stage.register_forward_pre_hook(lambda module, args, key=key: found.update({key: args[0]}))
        elif key in modules:  # the reference has identities where a level has no skip blocks
            modules[key].register_forward_hook(keep(key))
    with torch.no_grad():
        net(*inputs(values, torch.float32))
    for key, expected in values["intermediates"].items():
        if key not in found:
            continue
        got = found[key] if key == "patch_recovery" else found[key].flatten(1, -2)
        torch.testing.assert_close(
            got[: len(expected)], expected, rtol=1e-4, atol=1e-4, msg=lambda m, key=key: f"{key}: {m}"
        )
    assert len(found) >= len(values["intermediates"]) - 1  # a level without skip blocks has no module for them


@every_reference
def test_losses_and_parameter_gradients_are_those_of_the_reference(name: str) -> None:
    values = reference(name)
    net = network(values)
    loss = GroupedRelativeLoss.of(net.config, reference=True)
    y, labels = net(*inputs(values)), values["labels"].double()
    value = loss(y, labels).mean()
    assert float(value.detach()) == pytest.approx(values["loss_float64"], rel=1e-9)
    masked = loss.masked(~values["pixel_mask"][:, :, None, None])(y, labels).mean()
    assert float(masked.detach()) == pytest.approx(values["loss_masked"], rel=1e-5)
    gradients = torch.autograd.grad(value, list(net.parameters()), allow_unused=True)
    for (key, _), gradient in zip(net.named_parameters(), gradients):
        norm = 0.0 if gradient is None else float(gradient.norm())
        assert norm == pytest.approx(values["param_grad_l2_of_loss"][key], rel=1e-3, abs=1e-6), key


@pytest.mark.parametrize(
    ("size", "count", "bare"),
    [
        ("T", 20_774_444, 20_767_656),
        ("S", 39_901_076, 39_894_288),
        ("B", 157_729_988, 157_716_816),
        ("L", 628_575_524, 628_549_584),
    ],
)
def test_presets_have_the_published_numbers_of_parameters(size: str, count: int, bare: int) -> None:
    with torch.device("meta"):
        net = ScOT(ScOTConfig.preset(size))
    sizes = {name: parameter.numel() for name, parameter in net.named_parameters()}
    assert sum(sizes.values()) == count
    ends = ("embeddings.", "patch_recovery.")
    assert sum(n for name, n in sizes.items() if not name.startswith(ends)) == bare
    assert len(net.state_dict()) == (844 if size == "T" else 1580)


def test_first_weights_are_those_of_the_reference() -> None:
    torch.manual_seed(0)
    net = ScOT(ScOTConfig.preset("T", embed_dim=24))
    state = net.state_dict()
    for name in (
        "embeddings.patch_embeddings.projection.weight",
        "encoder.layers.1.blocks.0.layernorm_after.weight.weight",
    ):
        assert float(state[name].std()) == pytest.approx(0.02, rel=0.2), name
    assert float(state["patch_recovery.projection.weight"].abs().max()) == pytest.approx(1 / 8, rel=0.02)
    assert bool((state["residual_blocks.0.0.weight"] == 1e-6).all())
    assert not state["encoder.layers.0.blocks.0.attention.self.query.bias"].any()


GRIDS = {
    1: [((16,), {}), ((13,), {}), ((20,), {"periodic": False})],
    2: [((16, 16), {}), ((12, 20), {}), ((15, 18), {}), ((9, 7), {"window_size": 3}), ((16, 32), {"periodic": True})],
    3: [((8, 8, 8), {}), ((6, 9, 8), {}), ((8, 8, 16), {"periodic": True, "window_size": 2})],
}
every_grid = pytest.mark.parametrize(
    ("size", "changes"), [(size, {**changes, "dim": dim}) for dim, cases in GRIDS.items() for size, changes in cases]
)


@every_grid
@pytest.mark.parametrize("model", ["convnext", "resnet"])
def test_any_grid_keeps_its_size_and_has_finite_gradients(size: tuple[int, ...], changes: dict, model: str) -> None:
    net = redrawn(ScOT(tiny(image_size=size, residual_model=model, **changes)))
    x = torch.randn(2, 2, *size, requires_grad=True)
    y = net(x, torch.tensor([0.1, 0.7]))
    assert y.shape == x.shape
    gradients = torch.autograd.grad(y.square().mean(), [x, *net.parameters()], allow_unused=model == "resnet")
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients if gradient is not None)


@every_grid
def test_samples_do_not_know_of_each_other(size: tuple[int, ...], changes: dict) -> None:
    net = redrawn(ScOT(tiny(image_size=size, **changes))).double().eval()
    x, time = torch.randn(3, 2, *size, dtype=F64), torch.tensor([0.0, 0.5, 2.0], dtype=F64)
    alone = torch.cat([net(x[k : k + 1], time[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(net(x, time), alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_periodic_network_commutes_with_shifts(dim: int) -> None:
    """By whole windows of the coarsest level; with padding of zeros it does not."""
    size = (32,) * dim if dim < 3 else (16,) * dim
    net = redrawn(ScOT(tiny(image_size=size, dim=dim, periodic=True, window_size=2))).double().eval()
    x, time = torch.randn(1, 2, *size, dtype=F64), torch.ones(1, dtype=F64)
    shift, axes = [8] * dim, list(range(2, dim + 2))
    torch.testing.assert_close(net(x.roll(shift, axes), time), net(x, time).roll(shift, axes), rtol=1e-9, atol=1e-9)
    walls = redrawn(ScOT(tiny(image_size=size, dim=dim, window_size=2))).double().eval()
    assert not torch.allclose(walls(x.roll(shift, axes), time), walls(x, time).roll(shift, axes), atol=1e-3)


def test_network_on_another_grid_than_its_own() -> None:
    net = redrawn(ScOT(tiny())).double().eval()
    native = ScOT(net.config, native=True).double().eval()
    native.load_state_dict(net.state_dict())
    own = ScOT(tiny(image_size=(20, 13))).double().eval()
    own.load_state_dict(net.state_dict())
    x, time = torch.randn(2, 2, 20, 13, dtype=F64), torch.ones(2, dtype=F64)
    torch.testing.assert_close(native(x, time), own(x, time))
    assert net(x, time).shape == x.shape


def test_norm_of_large_features_with_little_spread_is_finite() -> None:
    """Where E[x^2] - E[x]^2 is negative in float32."""
    from sciml.operators.poseidon.norm import ConditionalLayerNorm

    norm = ConditionalLayerNorm(16)
    nn.init.ones_(norm.weight.weight)
    x = 10 + 1e-3 * torch.randn(4096, 1, 16)
    y = norm(x, torch.ones(1))
    expected = norm.double()(x.double(), torch.ones(1, dtype=F64))
    torch.testing.assert_close(y.double(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_finite_where_windows_are_padded(dtype: torch.dtype) -> None:
    net = redrawn(ScOT(tiny(image_size=(18, 22)))).eval()
    x, time = torch.randn(2, 2, 18, 22), torch.ones(2)
    with torch.autocast("cpu", dtype=dtype):
        y = net(x, time)
        y.float().square().mean().backward()
    assert bool(torch.isfinite(y).all())
    scale = net(x, time).std()
    torch.testing.assert_close(y.float() / scale, net(x, time) / scale, rtol=0, atol=0.2)
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None)


def test_checkpointed_blocks_give_the_same_gradients() -> None:
    net = redrawn(ScOT(tiny())).double()
    x, time = torch.randn(2, 2, 16, 16, dtype=F64), torch.ones(2, dtype=F64)
    kept = torch.autograd.grad(net(x, time).square().mean(), list(net.parameters()))
    net.checkpointing = True
    recomputed = torch.autograd.grad(net(x, time).square().mean(), list(net.parameters()))
    torch.testing.assert_close(recomputed, kept)


def test_kept_position_bias_is_dropped_when_weights_change() -> None:
    net = redrawn(ScOT(tiny())).eval()
    x, time = torch.randn(1, 2, 16, 16), torch.ones(1)
    with torch.no_grad():
        before = net(x, time)
        assert torch.equal(net(x, time), before)
        for name, parameter in net.named_parameters():
            if "continuous_position_bias" in name:
                parameter.mul_(1.5)
        after = net(x, time)
    fresh = copy.deepcopy(net)
    torch.testing.assert_close(after, fresh(x, time).detach())
    assert not torch.allclose(after, before, atol=1e-3)


def test_compiled_and_exported_networks_agree() -> None:
    """In an interpreter of its own: the tests' shape checks cannot be traced."""
    code = """
        import io, torch
        from sciml.operators.poseidon import Poseidon, ScOT, ScOTConfig
        config = ScOTConfig(image_size=16, patch_size=2, num_channels=2, num_out_channels=2, embed_dim=8, depths=(2, 2),
                            num_heads=(2, 2), skip_connections=(1, 0), window_size=4, use_conditioning=True,
                            initializer_range=0.3, drop_path_rate=0.0)
        net, x, time = ScOT(config).eval(), torch.randn(2, 2, 16, 16), torch.ones(2)
        compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
        gradients = [torch.autograd.grad(f(x, time).square().mean(), list(net.parameters())) for f in (net, compiled)]
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)
        with torch.no_grad():
            expected = net(x, time)
            torch.testing.assert_close(compiled(x, time), expected, rtol=1e-4, atol=1e-4)
            buffer = io.BytesIO()
            torch.export.save(torch.export.export(net, (x, time)), buffer)
            buffer.seek(0)
            torch.testing.assert_close(torch.export.load(buffer).module()(x, time), expected, rtol=1e-4, atol=1e-4)
            operator = Poseidon(["u", "v"], architecture=config, time_scale=1.0).eval()
            stepped = torch.compile(operator, fullgraph=True, backend="eager")
            torch.testing.assert_close(stepped(time, time, x).y, operator(time, time, x).y)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_stochastic_depth_keeps_the_mean() -> None:
    from sciml.operators.poseidon.blocks import TransformerBlock

    block = TransformerBlock(tiny(), 0, drop_path=0.4).train()
    branch = torch.ones(20_000, 2, 2)
    kept = block._kept(branch)
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.02)
    assert bool(((kept == 0).flatten(1).all(1) | (kept > 0).flatten(1).all(1)).all())
    assert torch.equal(block.eval()._kept(branch), branch)


def test_drop_path_rates_grow_through_encoder_and_decoder() -> None:
    net = ScOT(tiny(drop_path_rate=0.7))
    blocks = [m for stages in (net.encoder, net.decoder) for stage in stages.layers for m in stage.blocks]
    torch.testing.assert_close(torch.tensor([b.drop_path for b in blocks]), torch.linspace(0, 0.7, 8))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_heads": (3, 2)}, "heads that divide"),
        ({"num_heads": (2,)}, "number of heads for each depth"),
        ({"num_out_channels": 3, "learn_residual": True}, "learn_residual"),
        ({"p": 3}, "p 1 or 2"),
        ({"hidden_act": "tanh"}, "hidden_act"),
        ({"residual_model": "unet"}, "residual_model"),
        ({"window_size": 0}, "window_size"),
        ({"image_size": (16, 16, 16)}, "2 axes"),
    ],
)
def test_refuses_an_architecture_that_cannot_be(changes: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        tiny(**changes)


@pytest.mark.parametrize(
    ("shape", "time", "problem"),
    [
        ((2, 3, 16, 16), torch.ones(2), r"\(batch, 2, height, width\), got \(2, 3, 16, 16\)"),
        ((2, 2, 16), torch.ones(2), r"\(batch, 2, height, width\)"),
        ((2, 2, 16, 16), None, "lead time"),
        ((2, 2, 16, 16), torch.ones(3), "one lead time or 2"),
    ],
)
def test_refuses_bad_input(shape: tuple[int, ...], time: Tensor | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ScOT(tiny())(torch.zeros(shape), time)


def test_periodic_network_refuses_grids_it_would_have_to_pad() -> None:
    with pytest.raises(ValueError, match="multiple of 2 points"):
        ScOT(tiny(periodic=True, image_size=15))(torch.zeros(1, 2, 15, 15), torch.ones(1))
    with pytest.raises(ValueError, match="whole windows"):
        ScOT(tiny(periodic=True, image_size=20))(torch.zeros(1, 2, 20, 20), torch.ones(1))


def test_configuration_takes_what_a_file_may_say() -> None:
    config = ScOTConfig.from_dict(
        {"skip_connections": [True, True, 0], "unknown": 1, "depths": [1, 1], "num_heads": [1, 1]}
    )
    assert config.skip_connections == (1, 1, 0) and config.image_size == 224 and not config.use_conditioning
    assert ScOTConfig.from_dict(tiny().to_dict()) == tiny()
    assert ScOTConfig.from_dict(tiny(image_size=(16, 12)).to_dict()).size == (16, 12)
    for bad in ({"embed_dim": "many"}, {"depths": 3}, {"qkv_bias": "yes"}, {"mlp_ratio": None}):
        with pytest.raises(ValueError, match=f"Expected {next(iter(bad))}"):
            ScOTConfig.from_dict({**tiny().to_dict(), **bad})
