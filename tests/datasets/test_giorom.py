"""GIOROM's files: windows with their answer as last frame, rollouts, tensors or arrays, refused pickles."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.datasets.convert import convert
from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from sciml.datasets.windows import Trajectories
from tests.datasets.builders import METADATA, write_lagrangebench

FORMS = {"tensors": torch.from_numpy, "arrays": lambda array: array}


def examples(count: int, frames: int, seed: int = 0) -> dict[str, list[np.ndarray]]:
    draw = np.random.default_rng(seed)
    nodes = [3 + 2 * i for i in range(count)]
    return {
        "particle_type": [np.full(n, 5, np.int32) for n in nodes],
        "position": [draw.random((n, frames, 2)).astype("f4") for n in nodes],
        "n_particles_per_example": [np.array([n], np.int32) for n in nodes],
        "output": [draw.random((n, 2)).astype("f4") for n in nodes],
    }


def folder(path: Path, form: str = "tensors", suffix: str = ".pt") -> Path:
    path.mkdir()
    (path / "metadata.json").write_text(json.dumps({k: v for k, v in METADATA.items() if k != "write_every"}))
    for name, parts in (("train", examples(3, 6)), ("rollout", examples(2, 9, 1)), ("rollout_full", examples(1, 9, 2))):
        save(path / f"{name}{suffix}", parts, form)
    return path


def save(path: Path, parts: dict[str, list[np.ndarray]], form: str = "tensors") -> None:
    made = {name: [FORMS[form](array) for array in arrays] for name, arrays in parts.items()}
    if path.suffix == ".obj":
        path.write_bytes(pickle.dumps(made))
    else:
        torch.save(made, path)


@pytest.mark.parametrize(("form", "suffix"), [("tensors", ".pt"), ("arrays", ".pt"), ("arrays", ".obj")])
def test_windows_and_rollouts_are_trajectories(tmp_path: Path, form: str, suffix: str) -> None:
    dataset = open_dataset(folder(tmp_path / "g", form, suffix))
    assert dataset.layout == "giorom" and dataset.kind == "particles"
    assert dataset.lengths.tolist() == [7, 7, 7, 9, 9, 9] and dataset.nodes.tolist() == [3, 5, 7, 3, 5, 3]
    splits = {name: members.tolist() for name, members in dataset.splits.items()}
    assert splits == {"train": [0, 1, 2], "rollout": [3, 4], "rollout_full": [5]}
    window, rollout = examples(3, 6), examples(2, 9, 1)
    u = dataset.read(1)
    np.testing.assert_array_equal(u[:6, :, :2], window["position"][1].swapaxes(0, 1))
    np.testing.assert_array_equal(u[6, :, :2], window["output"][1])
    assert (u[..., 2] == 5).all() and dataset.dt == pytest.approx(0.01)
    np.testing.assert_array_equal(dataset.read(4)[..., :2], rollout["position"][1].swapaxes(0, 1))
    np.testing.assert_array_equal(dataset.read(4, slice(2, 8, 3), names=["position_y"])[..., 0], u_of(rollout, 2, 8, 3))


def u_of(parts: dict, start: int, stop: int, step: int) -> np.ndarray:
    return parts["position"][1][:, start:stop:step, 1].T


def test_one_file_windows_and_conversion(tmp_path: Path) -> None:
    path = folder(tmp_path / "g") / "train.pt"
    windows = Trajectories(path, split="train", window=2)
    assert len(windows) == 3 * 6 and windows.kind == "particles"
    back = open_dataset(convert(path, tmp_path / "native.h5").path)
    np.testing.assert_array_equal(back.read(2), open_dataset(path).read(2))


def test_lagrangebench_beside_a_tensor_file_stays_lagrangebench(tmp_path: Path) -> None:
    made = write_lagrangebench(tmp_path / "lb", lengths={"train": [5]})
    torch.save({"x": torch.zeros(3, 4), "y": torch.zeros(3, 4)}, made / "fields.pt")
    assert open_dataset(made).layout == "lagrangebench"
    assert open_dataset(made / "fields.pt").layout == "neuraloperator"


class Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("suffix", [".pt", ".obj"])
def test_a_malicious_file_is_refused(tmp_path: Path, suffix: str) -> None:
    made, mark = folder(tmp_path / "g"), tmp_path / "mark"
    content = {**examples(1, 6), "extra": Attack(mark)}
    path = made / f"test{suffix}"
    path.write_bytes(pickle.dumps(content)) if suffix == ".obj" else torch.save(content, path)
    message = "a pickle that is refused: it would call .*system.*re-save" if suffix == ".obj" else "cannot be loaded"
    with pytest.raises(DatasetError, match=rf"test\{suffix}: .*{message}"):
        open_dataset(made)
    assert not mark.exists()


def test_tensors_in_a_pickle_are_refused_with_the_way_out(tmp_path: Path) -> None:
    made = folder(tmp_path / "g")
    (made / "test.obj").write_bytes(pickle.dumps({"position": [torch.zeros(3, 6, 2)]}))
    with pytest.raises(DatasetError, match=r"test\.obj: .*refused: it would call torch.*torch\.save as \.pt"):
        open_dataset(made / "test.obj")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": None}, r"position: is NoneType, expected a list of arrays"),
        ({"output": [np.zeros((3, 2))]}, "output: has 1 entries for 3 of position"),
        ({"position": [np.zeros((3, 6))] * 3}, r"position 0: has shape"),
        ({"position": [np.zeros((3, 6, 4))] * 3}, r"position 0: has shape \(7, 3, 4\)"),
        ({"position": [np.zeros((3, 6, 2)), np.zeros((5, 6, 3)), np.zeros((7, 6, 2))]}, r"position 1: has shape"),
        ({"particle_type": [np.zeros(3)] * 3}, r"particle_type 1: has shape \(3,\), expected \(5,\)"),
        ({"position": ["text"] * 3}, "position 0: is a str, expected an array of numbers"),
        ({"output": [np.zeros((3, 2))] * 3}, r"output 1: has shape \(3, 2\), expected \(5, 2\)"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".obj"])
def test_lists_that_disagree_are_named(tmp_path: Path, change: dict, message: str, suffix: str) -> None:
    made = folder(tmp_path / "g", "arrays", suffix)
    content = {**examples(3, 6), **change}
    path = made / f"train{suffix}"
    path.write_bytes(pickle.dumps(content)) if suffix == ".obj" else torch.save(content, path)
    with pytest.raises(DatasetError, match=rf"train\{suffix}: {message}"):
        open_dataset(made)


@pytest.mark.parametrize("suffix", [".pt", ".obj"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str, share: float) -> None:
    made = folder(tmp_path / "g", "arrays", suffix)
    path = made / f"rollout{suffix}"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DatasetError, match=rf"rollout\{suffix}: "):
        open_dataset(made)
