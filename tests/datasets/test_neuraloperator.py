"""neuraloperator's .pt files: tensors only, the input static, the answer a steady map or an evolution."""

import os

import numpy as np
import pytest
import torch

from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from tests.datasets.builders import coded, frames, write_h5


def save(path, legacy=False, **tensors):
    torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("channel_axis", [False, True])
def test_darcy_is_a_steady_map_from_a_boolean_coefficient(tmp_path, legacy, channel_axis):
    field = torch.from_numpy(coded(("sample", "x", "y")))
    coefficient = field % 20 == 0
    x, y = (coefficient[:, None], field[:, None]) if channel_axis else (coefficient, field)
    dataset = open_dataset(save(tmp_path / "darcy_train_16.pt", legacy, x=x, y=y))
    assert dataset.layout == "neuraloperator" and dataset.shape == (4, 3)
    assert [(c.name, c.static) for c in dataset.channels] == [("a", True), ("u", False)]
    whole = dataset.read(3)
    assert whole.dtype == np.float32 and np.array_equal(whole[0, 0], coefficient[3].float().numpy())
    assert not whole[0, 1].any() and np.array_equal(whole[1, 1], field[3].numpy())
    assert {n: s.tolist() for n, s in dataset.splits.items()} == {"train": list(range(6))}


def test_burgers_evolves_and_has_a_viscosity(tmp_path):
    evolution = torch.from_numpy(coded(("sample", "time", "x"), dtype="f8"))
    path = save(tmp_path / "burgers_lowres.pt", x=evolution[:, 0], y=evolution, visc=torch.tensor([[0.01]]))
    dataset = open_dataset(path)
    assert np.array_equal(dataset.read(5), frames(5, "x")) and dataset.read(5).dtype == np.float64
    assert dataset.parameters["viscosity"] == pytest.approx([0.01] * 6) and dataset.dt == 0.25


def test_the_hdf5_form(tmp_path):
    field = coded(("sample", "x", "y"))
    dataset = open_dataset(write_h5(tmp_path / "nsforcing_test_1024.h5", {"x": field + 0.5, "y": field}))
    assert [c.name for c in dataset.channels] == ["forcing", "vorticity"] and list(dataset.splits) == ["test"]
    assert np.array_equal(dataset.read(2)[1], np.stack([field[2] + 0.5, field[2]]))


def test_what_is_not_tensors_is_refused(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'mark'}",)

    torch.save({"x": Attack(), "y": torch.zeros(2)}, tmp_path / "bad.pt")
    with pytest.raises(DatasetError, match=r"bad.pt: cannot be loaded"):
        open_dataset(tmp_path / "bad.pt")
    assert not (tmp_path / "mark").exists()


def test_other_contents_are_named(tmp_path):
    torch.save([{"vertices": torch.zeros(3, 3)}], tmp_path / "mini_car.pt")
    with pytest.raises(DatasetError, match="holds a list, expected a dict"):
        open_dataset(tmp_path / "mini_car.pt")
    with pytest.raises(DatasetError, match=r"y: has \['x'\], expected tensors x and y"):
        open_dataset(save(tmp_path / "x.pt", x=torch.zeros(2, 3)))
    with pytest.raises(DatasetError, match=r"y: has shape \(2, 5\) beside x of shape \(2, 3\)"):
        open_dataset(save(tmp_path / "xy.pt", x=torch.zeros(2, 3), y=torch.zeros(2, 5)))
    whole = (tmp_path / "xy.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"cut.pt: cannot be loaded"):
        open_dataset(tmp_path / "cut.pt")
