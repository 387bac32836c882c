"""Operators written and read back, and files that are not what they should be."""

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sciml.checkpoint import load_operator, public_operators, read_checkpoint, save_operator
from sciml.datasets.channel import Channel
from sciml.history import History
from sciml.operators import FNO, LinearDMD, Persistence, Poseidon, ScOTConfig, UNet
from sciml.tensor_file import CheckpointError, read_tensors, write_tensors
from tests.sciml.training.tiny import CHANNELS, Decay, Tiny

GRID = (16,)
SCOT = ScOTConfig(
    dim=1,
    image_size=16,
    embed_dim=8,
    depths=(1,),
    num_heads=(2,),
    skip_connections=(1,),
    window_size=4,
    use_conditioning=True,
)
BUILD = {
    "UNet": lambda: UNet(CHANNELS, dim=1, width=4, depth=1, padding="reflect"),
    "FNO": lambda: FNO(CHANNELS, dim=1, modes=4, width=8, layers=2),
    "Persistence": lambda: Persistence(CHANNELS),
    "LinearDMD": lambda: LinearDMD.fit(
        [(torch.randn(9, 3, *GRID), torch.randn(9, 3, *GRID))], CHANNELS, dt=0.1, rank=4
    ),
    "Poseidon": lambda: Poseidon(CHANNELS, architecture=SCOT),
}


@pytest.fixture(params=[*BUILD, "UNet in float64"])
def operator(request):
    """Each kind of operator, with a normalisation."""
    operator = BUILD[request.param.split()[0]]()
    operator.normalization.set([5.0, 5e3, 0.5], [2.0, 1e3, 1.0], [0.1, 50.0, 0.0], 0.25)
    return operator.double() if "float64" in request.param else operator


@pytest.fixture
def saved(tmp_path):
    operator = BUILD["UNet"]()
    return save_operator(operator, tmp_path / "model.safetensors", data=Decay(), training={"epochs": 3})


# Their states are no fields: tests/sciml/operators/particles has the same tests of them.
PARTICLES = {"GINO", "GIOROM", "GNS", "GridDecoder", "MeshGraphNet", "ReferenceDecoder"}


def test_every_public_operator_is_in_this_test():
    assert public_operators().keys() == BUILD.keys() | PARTICLES


def test_a_loaded_operator_gives_the_same_numbers_in_physical_units(operator, tmp_path):
    path = save_operator(operator, tmp_path / "model.safetensors")
    loaded = load_operator(path)
    dtype = next(v.dtype for v in operator.state_dict().values() if v.is_floating_point())
    u = torch.randn(2, 3, *GRID, dtype=dtype) * torch.tensor([[2.0], [1e3], [1.0]], dtype=dtype)
    arguments = torch.zeros(2, dtype=dtype), torch.tensor([0.25, 0.1], dtype=dtype), u
    with torch.no_grad():
        assert torch.equal(loaded(*arguments).y, operator.eval()(*arguments).y)
    assert type(loaded) is type(operator) and not loaded.training
    assert loaded.channels == operator.channels and loaded.config == operator.config
    assert {k: v.dtype for k, v in loaded.state_dict().items()} == {
        k: v.dtype for k, v in operator.state_dict().items()
    }


def test_loading_draws_no_random_numbers(saved):
    before = torch.get_rng_state()
    load_operator(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_header_says_what_the_operator_is(saved):
    checkpoint = read_checkpoint(saved)
    assert checkpoint.operator == "UNet" and checkpoint.channels == CHANNELS
    assert (checkpoint.dt, checkpoint.time_units, checkpoint.training) == (0.1, "s", {"epochs": 3})
    (axis,) = checkpoint.axes
    assert (axis.name, axis.points, axis.units, axis.boundary) == ("x", 8, "m", "periodic")
    assert axis.spacing == pytest.approx(1 / 8)
    assert checkpoint.version


def test_other_tools_read_the_weights(saved):
    weights = load_file(saved)
    assert weights.keys() == BUILD["UNet"]().state_dict().keys()


def test_files_are_readable_by_those_whom_the_umask_allows(saved):
    plain = saved.with_name("plain")
    plain.touch()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_wrapper_is_saved_as_what_it_wraps(tmp_path):
    inner = BUILD["UNet"]()
    path = save_operator(History(inner, steps=1), tmp_path / "model.safetensors")
    assert read_checkpoint(path).operator == "UNet"
    assert load_operator(path).state_dict().keys() == inner.state_dict().keys()


def test_an_operator_of_your_own_is_built_from_the_class_you_give(tmp_path):
    path = save_operator(Tiny(width=3), tmp_path / "model.safetensors")
    assert load_operator(path, operator_class=Tiny).config["width"] == 3
    with pytest.raises(CheckpointError, match="of UNet, found one of Tiny"):
        load_operator(path, operator_class=UNet)


def test_an_unknown_operator_is_named_beside_the_known_ones(tmp_path):
    path = save_operator(Tiny(), tmp_path / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"unknown operator 'Tiny'; sciml.operators has FNO, .*UNet.*operator_class"
    ):
        load_operator(path)


@pytest.mark.parametrize("name", ["__builtins__", "nn.Module", "LeastSquares", "physical", "os.system"])
def test_nothing_but_public_operators_can_be_named(saved, name):
    rewrite(saved, lambda header, tensors: header.update(operator=name))
    with pytest.raises(CheckpointError, match="unknown operator"):
        load_operator(saved)


def test_an_operator_without_a_config_is_refused(tmp_path):
    with pytest.raises(ValueError, match="attribute channels, got a Linear"):
        save_operator(nn.Linear(2, 2), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def rewrite(path: Path, change):
    """Change the header and tensors of a file, and write it with a valid checksum."""
    file = read_tensors(path)
    change(file.header, file.tensors)
    write_tensors(path, file.tensors, file.header)


NAME = "network.head.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header, tensors: tensors.pop(NAME), f"UNet: missing {NAME}"),
        (lambda header, tensors: tensors.update(extra=torch.ones(2)), "UNet: unexpected extra"),
        (
            lambda header, tensors: tensors.update({NAME: torch.ones(9, 4, 1)}),
            rf"expected {NAME} of shape \(2, 4, 1\).*found \(9, 4, 1\)",
        ),
        (lambda header, tensors: header["config"].update(width=5), r"expected network\..* of shape"),
        (lambda header, tensors: header["config"].update(width=10**9), "of shape|does not build"),
        (lambda header, tensors: header["config"].update(wide=5), "does not build a UNet.*wide"),
        (lambda header, tensors: header["config"].update(dim=7), "does not build a UNet.*dim 1, 2 or 3"),
        (lambda header, tensors: header.update(format=99), "expected format 1, found 99"),
        (lambda header, tensors: header.update(kind="training"), "expected a checkpoint of an operator"),
        (lambda header, tensors: header.pop("channels"), "not that of a checkpoint.*channels"),
        (lambda header, tensors: header.update(channels=[{"nom": "a"}]), "not that of a checkpoint"),
        (lambda header, tensors: header.update(config=[1]), "not that of a checkpoint"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_what_is_wrong(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_operator(saved)
    assert str(saved) in str(caught.value) and "\n" not in str(caught.value)


def flipped(content):
    return content[:-3] + bytes([content[-3] ^ 4]) + content[-2:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-10], "not a whole safetensors file"),
        (lambda content: content[:100], "not a whole safetensors file"),
        (lambda content: b"", "not a whole safetensors file"),
        (lambda content: b"<html>not found</html>", "not a whole safetensors file"),
        (lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not a whole safetensors file"),
        (lambda content: b"\xff" * 64, "not a whole safetensors file"),
        (flipped, "checksum"),
    ],
)
def test_a_damaged_file_is_refused(saved, damage, message):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_operator(saved)
    assert str(saved) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no such file"):
        load_operator(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "metadata", [None, {"sciml": "{"}, {"sciml": "[]"}, {"sciml": '{"header": 3}'}, {"other": "1"}]
)
def test_a_safetensors_file_of_another_program_is_told_apart(tmp_path, metadata):
    save_file({"a": torch.ones(2)}, tmp_path / "file", metadata=metadata)
    with pytest.raises(CheckpointError, match="not one of sciml"):
        load_operator(tmp_path / "file")


def test_tensors_of_every_kind_come_back_bit_for_bit(tmp_path):
    shared = torch.randn(4)
    tensors = {
        "complex": torch.randn(3, 2, dtype=torch.complex64),
        "conjugate": torch.randn(3, dtype=torch.complex128).conj(),
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "bool": torch.tensor([True, False]),
        "half": torch.randn(5).bfloat16(),
        "integer": torch.arange(4),
        "transposed": torch.randn(3, 4).T,
        "shared": shared,
        "view of shared": shared[1:],
        "parameter": nn.Parameter(torch.randn(2)),
    }
    write_tensors(tmp_path / "file", tensors, {"meaning": [1, None, "é"]})
    file = read_tensors(tmp_path / "file")
    assert file.header == {"meaning": [1, None, "é"]}
    assert file.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(file.tensors[name], tensor) and file.tensors[name].dtype == tensor.dtype, name


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_operator(BUILD["Persistence"](), saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_header_is_json_that_a_person_can_read(saved):
    content = saved.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["sciml"]
    assert json.loads(header)["header"]["channels"][0] == {
        "name": "density",
        "units": "kg m-3",
        "field": "density",
        "component": "",
        "static": False,
    }


def test_channels_that_are_not_in_the_config_come_back_too(tmp_path):
    operator = Tiny(channels=(Channel("a", "K"),))
    path = save_operator(operator, tmp_path / "model.safetensors")
    assert load_operator(path, operator_class=Tiny).channels == (Channel("a", "K"),)
