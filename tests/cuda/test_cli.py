"""The commands on a GPU, from data to a benchmark."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.benchmark import read_rows
from sciml.checkpoint import load_operator
from sciml.datasets import open_dataset
from tests.sciml.cli.command import run

from .compare import full_precision

pytestmark = pytest.mark.gpu
MADE = ("--trajectories", 10, "--frames", 5, "--shard-size", 5, "--splits", "6,2,2")
SIZES = {"burgers-1d": ("--size", 32), "navier-stokes-2d": ("--size", 16)}


@pytest.fixture(autouse=True)
def _full_precision():
    with full_precision():
        yield


def made(name: str, device: object, path: Path) -> Path:
    assert run("data", "make", name, path, *MADE, *SIZES[name], "--device", device) == 0
    return path


@pytest.mark.parametrize("name", SIZES)
def test_data_are_those_of_the_cpu(name: str, device: torch.device, tmp_path: Path) -> None:
    found = open_dataset(made(name, device, tmp_path / "device.h5"))
    expected = open_dataset(made(name, "cpu", tmp_path / "cpu.h5"))
    assert found.splits.keys() == expected.splits.keys()
    for k in range(10):
        exact = expected.read(k)
        np.testing.assert_allclose(found.read(k), exact, rtol=0, atol=1e-4 * np.abs(exact).max())
    assert run("data", "validate", tmp_path / "device.h5") == 0


@pytest.mark.parametrize("model", ["unet", "poseidon-t"])
def test_train_then_simulate(model: str, device: torch.device, tmp_path: Path) -> None:
    data, out = made("navier-stokes-2d", device, tmp_path / "data.h5"), tmp_path / "run"
    command = ("train", data, "--model", model, "--batch-size", 8, "--device", device, "--out", out)
    assert run(*command, "--epochs", 1) == 0
    assert run(*command, "--epochs", 2) == 0, "it goes on"
    checkpoint = out / "operator.safetensors"
    assert {value.device.type for value in load_operator(checkpoint).state_dict().values()} == {"cpu"}
    frames = []
    for at in (device, "cpu"):
        rollout = tmp_path / f"{at}.h5".replace(":", "")
        assert run("simulate", checkpoint, data, "--steps", 6, "--device", at, "--out", rollout) == 0
        frames.append(open_dataset(rollout).read(0))
    assert frames[0].shape == (7, 1, 16, 16)
    np.testing.assert_allclose(frames[0], frames[1], rtol=0, atol=1e-3 * np.abs(frames[1]).max())
    adaptive = ("--rtol", 0.5, "--device", device, "--out", tmp_path / "adaptive.h5")
    if model == "unet":  # of which a step of zero is none
        assert run("simulate", checkpoint, data, *adaptive) == 0


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_train_in_mixed_precision(precision: str, device: torch.device, tmp_path: Path) -> None:
    data = made("burgers-1d", device, tmp_path / "data.h5")
    options = ("--epochs", 1, "--unroll", 2, "--noise", 0.01, "--ema", 0.9, "--device", device)
    assert run("train", data, *options, "--precision", precision, "--out", tmp_path / "run") == 0
    state = load_operator(tmp_path / "run" / "operator.safetensors", device=device).state_dict()
    assert all(bool(torch.isfinite(value).all()) for value in state.values())


def test_bench(device: torch.device, tmp_path: Path) -> None:
    """Rows say what device they are from, and score what the CPU's do."""
    data, rows = made("burgers-1d", "cpu", tmp_path / "data.h5"), {}
    for at in (device, torch.device("cpu")):
        out = tmp_path / at.type / "bench"
        command = ("bench", data, "--model", "persistence,dmd,unet", "--budget", 3, "--device", at, "--out", out)
        assert run(*command) == 0
        rows[at.type] = {row.operator: row for row in read_rows(out / "rows.jsonl")}
        assert (out / "report.html").is_file()
    for name in ("persistence", "dmd", "unet"):
        found, expected = rows[device.type][name], rows["cpu"][name]
        assert found.step_seconds > 0 and (found.peak_memory > 0 or name != "unet")  # the others train nothing
        for metric in ("one-step nRMSE", "rollout/nRMSE"):
            assert found.metrics[metric] == pytest.approx(expected.metrics[metric], rel=1e-2), (name, metric)
    if device.type == "cuda":
        assert rows["cuda"]["unet"].environment["device"] == torch.cuda.get_device_name()
