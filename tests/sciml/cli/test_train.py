"""``sciml train`` of a Poseidon: from pretrained weights, frozen, on pairs, on mixtures, resumed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sciml.training.loop
from sciml.benchmark import CANDIDATES
from sciml.checkpoint import load_operator, read_checkpoint
from sciml.cli.training import settings_for
from sciml.datasets import Axis, Channel, Header, Trajectory, write_dataset
from sciml.operators import Poseidon
from sciml.training import FitSettings, GroupedRelativeLoss, PoseidonGroups, finetuning, mean_square, scratch
from tests.sciml.cli.command import run
from tests.sciml.training.tiny import FLOW, small_poseidon, small_waves, tiny, weights

QUICK = ("--device", "cpu", "--epochs", 2, "--batch-size", 4)


def written(path, channels, *, trajectories=8):
    """Waves of 4 frames on 16 by 16 points, as a file."""
    frames = [window.u for window in (small_waves(trajectories, frames=4, channels=channels, window=4))]
    x = np.arange(16) / 16
    axes = tuple(Axis(name, x, "m", "periodic") for name in "xy")
    header = Header(channels=channels, axes=axes, times=np.arange(4) * 0.1, time_units="s")
    splits = ["valid", "test"] + ["train"] * (trajectories - 2)
    return write_dataset(path, header, [Trajectory(u=u.numpy(), split=split) for u, split in zip(frames, splits)])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files of the published channels, one of others, and pretrained weights of a small Poseidon."""
    folder = tmp_path_factory.mktemp("files")
    small_poseidon().save_pretrained(folder / "weights")
    return SimpleNamespace(
        flow=written(folder / "flow.h5", FLOW),
        more=written(folder / "more.h5", FLOW, trajectories=4),
        heat=written(folder / "heat.h5", (FLOW[0], Channel("heat"))),
        weights=folder / "weights",
    )


def settings_of(out):
    return read_checkpoint(out / "operator.safetensors").training["settings"]


def test_a_pretrained_model_learns_pairs_as_published(files, tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", files.flow, "--from", files.weights, "--pairs", 2, "--out", out, *QUICK) == 0
    stored = read_checkpoint(out / "operator.safetensors")
    # 4 frames: 4 pairs of a frame and itself, 3 one apart, 2 two apart, of 6 trajectories.
    assert stored.training["windows"] == 6 * (4 + 3 + 2)
    settings = stored.training["settings"]
    assert settings["groups"] == repr(PoseidonGroups(lr_time=5e-4)) and settings["lr"] == 5e-5
    assert settings["loss"] == repr(GroupedRelativeLoss((1, 2, 1)))
    assert (settings["clip_norm"], settings["weight_decay"]) == (5.0, 1e-6)
    published = Poseidon.from_pretrained(out / "pretrained")
    trained = load_operator(out / "operator.safetensors")
    assert torch.equal(weights(published), weights(trained)) and trained.boundary == "periodic"
    assert "published layout" in capsys.readouterr().out


def test_other_channels_get_new_weights_that_learn_faster(files, tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", files.heat, "--from", files.weights, "--out", out, *QUICK) == 0
    assert "note: " in (error := capsys.readouterr().err) and "new for heat" in error
    assert settings_of(out)["groups"] == repr(PoseidonGroups(lr_embedding=5e-4, lr_time=5e-4))
    assert settings_of(out)["loss"] == repr(GroupedRelativeLoss((1, 1)))
    # A run's folder is itself a source, for the first channels again too.
    assert run("train", files.flow, "--from", out, "--out", tmp_path / "back", *QUICK) == 0


def test_only_embedding_and_recovery_of_a_frozen_model_change(files, tmp_path):
    command = ("--from", files.weights / "../weights", "--freeze", "latent", "--checkpointing", "--lr-embedding", 1e-2)
    assert run("train", files.flow, *command, "--out", tmp_path, *QUICK) == 0
    before = dict(small_poseidon().named_parameters())
    for name, parameter in load_operator(tmp_path / "operator.safetensors").named_parameters():
        outside = "embeddings" in name or "patch_recovery" in name
        assert torch.equal(parameter, before[name]) != outside, name


def test_an_operator_file_is_trained_on(files, tmp_path):
    assert run("train", files.flow, "--from", files.weights, "--out", tmp_path / "first", *QUICK) == 0
    source = tmp_path / "first/operator.safetensors"
    assert run("train", files.flow, "--from", source, "--loss", "mse", "--out", tmp_path / "second", *QUICK) == 0
    assert settings_of(tmp_path / "second")["loss"] == "mean_square"


def test_a_mixture_of_files(files, tmp_path):
    command = ("train", files.flow, files.more, "--from", files.weights, *QUICK)
    assert run(*command, "--mix-temperature", "inf", "--out", tmp_path / "mixed") == 0
    assert read_checkpoint(tmp_path / "mixed/operator.safetensors").training["windows"] == (6 + 2) * 3
    assert run(*command, "--out", tmp_path / "mixed") == 2, "a concatenation went on with the run of a mixture"


def test_a_run_that_broke_goes_on_when_the_command_is_repeated(files, tmp_path, monkeypatch):
    command = ("train", files.flow, "--from", files.weights, "--pairs", 1, "--lr", 1e-3, *QUICK)
    assert run(*command, "--out", tmp_path / "whole") == 0
    validate, calls = sciml.training.loop.validate, []

    def breaking(*arguments, **keywords):
        calls.append(None)
        if len(calls) == 2:
            raise OSError("disk")
        return validate(*arguments, **keywords)

    monkeypatch.setattr(sciml.training.loop, "validate", breaking)
    assert run(*command, "--out", tmp_path / "broken") == 2
    assert run(*command, "--out", tmp_path / "broken") == 0
    results = [load_operator(tmp_path / name / "operator.safetensors") for name in ("whole", "broken")]
    assert torch.equal(weights(results[0]), weights(results[1]))


def test_the_recipe_is_that_of_the_paper_unless_told_otherwise():
    operator = small_poseidon()
    common = {"channels": FLOW, "loss": None, "rates": (None, None), "given": {"lr": None}}
    finetuned = settings_for(operator, pretrained=True, replaced=True, **common)
    assert finetuned == finetuning("T", FLOW)
    new = settings_for(operator, pretrained=False, replaced=False, **common)
    assert [new.schedule(epoch, 400) for epoch in (5.0, 20.0, 300.0)] == pytest.approx(
        [scratch().schedule(epoch, 400) for epoch in (5.0, 20.0, 300.0)]
    )
    told = {**common, "loss": "mse", "rates": (1e-2, None), "given": {"lr": 1e-4, "epochs": 3}}
    changed = settings_for(operator, pretrained=True, replaced=True, **told)
    assert (changed.lr, changed.epochs, changed.loss) == (1e-4, 3, mean_square)
    assert changed.groups == PoseidonGroups(lr_embedding=1e-2, lr_time=5e-4)
    assert settings_for(tiny(), pretrained=False, replaced=False, **common) == FitSettings()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("--loss", "l7"), "--loss to be one of"),
        (("--freeze", "all"), "--freeze to be one of latent"),
        (("--pairs", 2, "--unroll", 2), "--unroll 1"),
        (("--pairs", 0), "--pairs and --pairs-stride of at least 1, got 0 and 1"),
        (("--mix-temperature", 0.5), "temperature >= 1"),
        (("--freeze", "latent"), "Expected a Poseidon"),
        (("--checkpointing",), "Expected a Poseidon"),
        (("--lr-embedding", 1e-3), "Expected a Poseidon"),
        (("--from", "/nowhere/weights"), "no such folder"),
        (("--from", "nowhere.safetensors"), "nowhere.safetensors"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(files, tmp_path, capsys, command, says):
    assert run("train", files.flow, *command, "--out", tmp_path / "run", *QUICK) == 2
    error = capsys.readouterr().err
    assert says in error and len(error.strip().splitlines()) == 1


def test_weights_of_another_size_are_refused(files, tmp_path, capsys):
    command = ("train", files.flow, "--model", "poseidon-b", "--from", files.weights, "--out", tmp_path)
    assert run(*command) == 2
    assert "weights of poseidon-b, got a Poseidon of embed_dim 8" in capsys.readouterr().err


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(("points", "patch"), [(16, 2), (64, 4)])
def test_candidates_fit_the_grid(dim, points, patch):
    axes = [Axis(name, np.arange(points) / points, "m", "periodic") for name in "xyz"[:dim]]
    train = SimpleNamespace(channels=FLOW, axes=axes, shape=(points,) * dim)
    with torch.device("meta"):
        operator = CANDIDATES["poseidon-t"].build(train)
    assert operator.network.config.size == (points,) * dim and operator.network.config.patch_size == patch
    assert operator.boundary == "periodic"


@pytest.mark.parametrize(("name", "millions"), [("t", 20.8), ("s", 39.9), ("b", 157.7), ("l", 628.6)])
def test_candidates_have_the_published_sizes(name, millions):
    axes = [Axis(axis, np.arange(128) / 128) for axis in "xy"]
    with torch.device("meta"):
        operator = CANDIDATES[f"poseidon-{name}"].build(SimpleNamespace(channels=FLOW, axes=axes, shape=(128, 128)))
    assert sum(p.numel() for p in operator.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
