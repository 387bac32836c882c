"""NCLaw's directories of frames: a trajectory each, in order, and frames that are missing or something else."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.datasets.convert import convert
from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from sciml.datasets.windows import Trajectories


def values(folder: int, frame: int, nodes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1000 * folder + frame)
    return torch.rand(nodes, 3, generator=generator), torch.randn(nodes, 3, generator=generator)


def simulations(root: Path, *, stride: int = 1, frames: tuple[int, ...] = (5, 4, 6)) -> Path:
    """sand/shape_2, sand/shape_10 and water/shape_2, in this order."""
    for number, (name, count) in enumerate(zip(("sand/shape_2", "sand/shape_10", "water/shape_2"), frames)):
        folder = root / name / "bunny" / "state"
        folder.mkdir(parents=True)
        for frame in range(count):
            x, v = values(number, frame, 7 + number)
            more = {"C": torch.zeros(len(x), 3, 3), "F": torch.eye(3).expand(len(x), 3, 3), "sections": [len(x)]}
            torch.save({"x": x, "v": v, **more}, folder / f"{stride * frame:04d}.pt")
        (folder / "notes.txt").write_text("not a frame")
    return root


def test_a_trajectory_for_each_directory(tmp_path: Path) -> None:
    dataset = open_dataset(simulations(tmp_path / "log"))
    assert dataset.layout == "nclaw" and dataset.kind == "particles"
    assert dataset.lengths.tolist() == [5, 4, 6] and dataset.nodes.tolist() == [7, 8, 9]
    assert dataset.attributes["simulations"] == [
        f"{m}/bunny" for m in ("sand/shape_2", "sand/shape_10", "water/shape_2")
    ]
    names = [f"{field}_{c}" for field in ("position", "velocity") for c in "xyz"]
    assert [channel.name for channel in dataset.channels] == names
    assert dataset.dt == pytest.approx(5e-4) and "assumed 0.0005 between frames" in dataset.notes[0]
    for number in range(3):
        u = dataset.read(number)
        for frame in range(len(u)):
            expected = torch.cat(values(number, frame, 7 + number), -1)
            np.testing.assert_array_equal(u[frame], expected)
    np.testing.assert_array_equal(dataset.read(1, slice(1, 4, 2), names=names[4:5]), dataset.read(1)[1:4:2, :, 4:5])
    assert dataset.read(0, slice(3, 3)).shape == (0, 7, 6)


@pytest.mark.parametrize("below", ["", "sand", "sand/shape_10", "sand/shape_10/bunny", "sand/shape_10/bunny/state"])
def test_opened_at_any_level(tmp_path: Path, below: str) -> None:
    dataset = open_dataset(simulations(tmp_path / "log") / below)
    assert len(dataset) == {"": 3, "sand": 2}.get(below, 1)


def test_frames_that_were_thinned(tmp_path: Path) -> None:
    assert open_dataset(simulations(tmp_path / "log", stride=5)).dt == pytest.approx(2.5e-3)


def test_windows_and_conversion(tmp_path: Path) -> None:
    root = simulations(tmp_path / "log")
    assert len(Trajectories(root, split=None, window=3)) == 3 + 2 + 4
    back = open_dataset(convert(root, tmp_path / "native.h5").path)
    np.testing.assert_array_equal(back.read(2), open_dataset(root).read(2))


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    root = simulations(tmp_path / "log")
    (root / "water/shape_2/bunny/state/0003.pt").unlink()
    with pytest.raises(DatasetError, match=r"water/shape_2/bunny/state: has no frame 0003\.pt after 0002\.pt"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": torch.zeros(9, 3)}, "0002.pt: v: is missing, expected shape"),
        (
            {"x": torch.zeros(8, 3), "v": torch.zeros(8, 3)},
            r"0002.pt: x: is of shape \(8, 3\), expected shape \(9, 3\)",
        ),
        ({"x": torch.zeros(9, 3), "v": [1, 2]}, "0002.pt: v: is of shape"),
        ([torch.zeros(9, 3)], "0002.pt: holds a list"),
    ],
)
def test_a_frame_of_something_else_is_named(tmp_path: Path, content: object, message: str) -> None:
    root = simulations(tmp_path / "log")
    torch.save(content, root / "water/shape_2/bunny/state/0002.pt")
    dataset = open_dataset(root)
    dataset.read(1)
    with pytest.raises(DatasetError, match=message):
        dataset.read(2)


class Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_damaged_and_malicious_frames(tmp_path: Path) -> None:
    root, mark = simulations(tmp_path / "log"), tmp_path / "mark"
    first = root / "sand/shape_2/bunny/state/0000.pt"
    whole = first.read_bytes()
    for content in (b"", whole[:100], whole[:-50], b"\x00" * 500):
        first.write_bytes(content)
        with pytest.raises(DatasetError, match=r"0000\.pt: cannot be loaded"):
            open_dataset(root)
    torch.save({"x": Attack(mark)}, first)
    with pytest.raises(DatasetError, match=r"0000\.pt: cannot be loaded"):
        open_dataset(root)
    assert not mark.exists()
