"""Weights in the published layout: read, given to other variables, written, and refused where they are damaged."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sciml.checkpoint import load_operator, save_operator
from sciml.datasets.channel import Channel
from sciml.operators.poseidon.network import ScOT
from sciml.operators.poseidon.operator import Poseidon
from sciml.operators.poseidon.pretrained import PUBLIC_CHANNELS, ReplacedWeights
from sciml.tensor_file import CheckpointError

from .reference import network, redrawn, reference, tiny

VELOCITY = ["velocity_x", "velocity_y"]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise OSError("The tests do without a network.")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder as the reference writes it, of fixture A."""
    folder = tmp_path / "published"
    folder.mkdir()
    values = reference("A_tiny")
    save_file(values["state_dict"], folder / "model.safetensors", metadata={"format": "pt"})
    written = {"architectures": ["ScOT"], "model_type": "swinv2", "torch_dtype": "float32", "num_layers": 2}
    (folder / "config.json").write_text(json.dumps({**values["config"], **written}))
    return folder


def quietly(folder: Path, **options: Any) -> tuple[Poseidon, list[str]]:
    """The model, and what was said of replaced weights."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ReplacedWeights)
        model = Poseidon.from_pretrained(folder, **options)
    return model, [str(warning.message) for warning in said if warning.category is ReplacedWeights]


def test_published_layout_takes_and_returns_physical_units(published: Path) -> None:
    values = reference("A_tiny")
    model, said = quietly(published)
    assert not said and not model.training and model.channels == PUBLIC_CHANNELS
    u = model.normalization.decode(values["pixel_values"])
    y = model(torch.zeros(2), values["time"], u).y
    torch.testing.assert_close(model.normalization.encode(y), values["output"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("derived", [False, True])
def test_weights_as_pickled_tensors_are_read_too(published: Path, derived: bool) -> None:
    """With the tensors that follow from the architecture, which some versions of the reference keep."""
    tensors = load_file(published / "model.safetensors")
    if derived:
        tensors["encoder.layers.0.blocks.0.attention.self.relative_coords_table"] = torch.zeros(1, 7, 7, 2)
        tensors["encoder.layers.0.blocks.0.attention.self.relative_position_index"] = torch.zeros(
            16, 16, dtype=torch.int64
        )
    expected, _ = quietly(published)
    (published / "model.safetensors").unlink()
    torch.save(tensors, published / "pytorch_model.bin")
    found, _ = quietly(published)
    assert all(torch.equal(a, b) for a, b in zip(found.state_dict().values(), expected.state_dict().values()))


def test_saved_model_has_the_published_layout_key_by_key(published: Path, tmp_path: Path) -> None:
    model, _ = quietly(published)
    model.save_pretrained(tmp_path / "saved")
    ours, theirs = load_file(tmp_path / "saved" / "model.safetensors"), load_file(published / "model.safetensors")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)
    written = json.loads((tmp_path / "saved" / "config.json").read_text())
    asked = json.loads((published / "config.json").read_text())
    assert all(written[name] == value for name, value in asked.items())
    files = list((tmp_path / "saved").iterdir())
    assert {path.name for path in files} == {"config.json", "model.safetensors"}
    assert len({path.stat().st_mode for path in files}) == 1


def test_saved_model_comes_back_with_units_channels_and_scales(tmp_path: Path) -> None:
    channels = (Channel("c", "m/s", static=True), Channel("u", "m"))
    model = Poseidon(channels, architecture=tiny(), time_scale=3.0, boundary="open", native=True)
    redrawn(model.network)
    model.normalization.set([1.0, 2.0], [3.0, 4.0], [0.0, 5.0], 0.25)
    model.save_pretrained(tmp_path)
    back, said = quietly(tmp_path)
    assert not said and back.config == model.config and back.channels == channels
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), model.state_dict().values()))


def test_saved_double_precision_and_completed_states_come_back(published: Path, tmp_path: Path) -> None:
    model, _ = quietly(published, channels=VELOCITY)
    model.double().save_pretrained(tmp_path)
    back, said = quietly(tmp_path)
    assert not said and back.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), model.state_dict().values()))
    assert next(back.parameters()).dtype == torch.float64
    with pytest.raises(ValueError, match="velocity_x, velocity_y, which"):
        Poseidon.from_pretrained(tmp_path, channels=["height"])


def test_own_checkpoint_holds_the_same_model(tmp_path: Path) -> None:
    model = Poseidon(["u", "v"], architecture=tiny(), time_scale=2.0)
    back = load_operator(save_operator(model, tmp_path / "operator.safetensors"))
    assert isinstance(back, Poseidon) and back.config == model.config


def test_velocities_alone_are_completed_as_incompressible_flow(published: Path) -> None:
    model, said = quietly(published, channels=VELOCITY)
    assert not said and len(model.channels) == 2
    values = reference("A_tiny")
    u = torch.randn(2, 2, 32, 32)
    full = torch.cat([torch.ones(2, 1, 32, 32), u, torch.zeros(2, 1, 32, 32)], dim=1)
    whole, _ = quietly(published)
    expected = whole(torch.zeros(2), values["time"], full).y[:, 1:3]
    torch.testing.assert_close(model(torch.zeros(2), values["time"], u).y, expected, rtol=1e-4, atol=1e-4)


def test_new_variables_get_new_ends_that_are_finite_and_said(published: Path) -> None:
    """Under the reference's current dependencies, memory that nobody wrote to."""
    torch.manual_seed(0)
    model, (said,) = quietly(published, channels=["concentration", "height", "depth"], out_channels=2)
    assert "concentration" in said and "patch_recovery.mixup.weight" in said
    assert [channel.static for channel in model.channels] == [False, False, True]
    state, old = model.network.state_dict(), load_file(published / "model.safetensors")
    changed = {
        name for name, value in state.items() if value.shape != old[name].shape or not torch.equal(value, old[name])
    }
    ends = {"embeddings.patch_embeddings.projection.weight", "patch_recovery.mixup.weight"}
    assert changed == ends | {"patch_recovery.projection.weight", "patch_recovery.projection.bias"}
    assert all(1e-3 < float(state[name].std()) < 1 for name in changed)
    assert not bool(model.normalization.is_set)
    y = model(torch.zeros(2), torch.ones(2), torch.randn(2, 3, 32, 32)).y
    assert bool(torch.isfinite(y).all()) and float(y.detach().abs().max()) < 100


def test_known_variables_beside_new_ones_keep_their_weights(published: Path) -> None:
    names = ["density", "tracer", *VELOCITY, "pressure"]
    model, (said,) = quietly(published, channels=names)
    assert "new for tracer" in said and "kept (density, velocity_x, velocity_y, pressure)" in said
    old = load_file(published / "model.safetensors")["embeddings.patch_embeddings.projection.weight"]
    new = model.network.state_dict()["embeddings.patch_embeddings.projection.weight"]
    assert torch.equal(new[:, [0, 2, 3, 4]], old) and not torch.equal(new[:, 1], old[:, 0])


def test_a_number_of_channels_is_enough(published: Path) -> None:
    assert quietly(published, channels=4)[1] == []
    model, said = quietly(published, channels=6)
    assert said and model.network.config.num_channels == model.network.config.num_out_channels == 6


def test_loading_draws_no_random_numbers(published: Path) -> None:
    torch.manual_seed(3)
    quietly(published)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))


def test_options_of_the_model_may_be_replaced(published: Path) -> None:
    model = Poseidon.from_pretrained(published, boundary="periodic", time_scale=3.0, native=True)
    assert (model.boundary, model.time_scale, model.network.native) == ("periodic", 3.0, True)
    usual = Poseidon.from_pretrained(published)
    assert usual.boundary != "periodic" or usual.time_scale != 3.0
    with pytest.raises(ValueError, match="Expected boundary"):
        Poseidon.from_pretrained(published, boundary="closed")


def test_other_grid_than_that_of_the_weights(published: Path) -> None:
    model, _ = quietly(published, image_size=(40, 28))
    assert model.network.config.size == (40, 28)
    assert model(torch.zeros(1), torch.ones(1), torch.randn(1, 4, 40, 28)).y.shape == (1, 4, 40, 28)


def _truncate(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def _flip(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[2:40] = bytes(38)
    (folder / "model.safetensors").write_bytes(content)


def _empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 83\n")


def _unpickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weights": Path}, folder / "pytorch_model.bin")


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"depths": [2,')


def _list_config(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def _edited(**changes: Any) -> Any:
    def edit(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**values, **changes}))

    return edit


def _renamed(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["stray"] = tensors.pop("embeddings.norm.weight.weight")
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_truncate, "not a whole file"),
        (_flip, "not a whole file"),
        (_empty, "not a whole file"),
        (_pointer, "not a whole file"),
        (_unpickle, "not a whole file"),
        (_no_weights, "expected model.safetensors or pytorch_model.bin"),
        (_no_config, "expected a config.json"),
        (_broken_config, "not JSON"),
        (_list_config, "config.json"),
        (_edited(embed_dim=10**6), "expected .* of shape"),
        (_edited(depths=[2, 2, 2], num_heads=[2, 4, 8]), "missing"),
        (_edited(num_heads=[5, 4]), "heads that divide"),
        (_edited(num_channels="four"), "num_channels"),
        (_edited(sciml={"channels": []}), "config.json"),
        (_edited(sciml={"channels": [*"abcd"], "scales": {"mean": [1.0]}, "options": {}}), "scales"),
        (_edited(sciml={"channels": [*"abcd"], "scales": None, "options": {"colour": 1}}), "colour"),
        (_renamed, "missing.*embeddings.norm.weight.weight.*unexpected.*stray"),
    ],
)
def test_a_damaged_folder_is_named_with_what_is_wrong(published: Path, damage: Any, problem: str) -> None:
    damage(published)
    with pytest.raises(CheckpointError, match=problem) as caught:
        Poseidon.from_pretrained(published)
    assert str(published) in str(caught.value)


def test_a_model_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        Poseidon.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="local cache"):
        Poseidon.from_pretrained("camlab-ethz/Poseidon-T", cache_dir=tmp_path)


def test_a_repository_in_the_cache_is_read_offline(published: Path, tmp_path: Path) -> None:
    repository = tmp_path / "cache" / "models--camlab-ethz--Poseidon-T"
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    for path in published.iterdir():
        path.rename(snapshot / path.name)
    model = Poseidon.from_pretrained("camlab-ethz/Poseidon-T", cache_dir=tmp_path / "cache")
    values = reference("A_tiny")
    expected = network(values, torch.float32)(values["pixel_values"], values["time"])
    torch.testing.assert_close(model.network(values["pixel_values"], values["time"]), expected)


@pytest.mark.parametrize("out_channels", [0, 5, ["temperature"], []])
def test_refuses_outputs_that_are_no_channels(published: Path, out_channels: Any) -> None:
    with pytest.raises(ValueError, match="out_channels"):
        Poseidon.from_pretrained(published, out_channels=out_channels)


def test_half_a_save_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Poseidon(["u", "v"], architecture=tiny())
    model.save_pretrained(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    def cut_off(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("sciml.operators.poseidon.pretrained.save_file", cut_off)
    redrawn(model.network)
    with pytest.raises(OSError, match="No space"):
        model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert isinstance(quietly(tmp_path)[0].network, ScOT)
