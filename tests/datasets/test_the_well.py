"""The Well: every combination of flags, all spellings, whole directories, and the package's own dummy file."""

from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from tests.datasets.builders import SIZES, coded, write_well

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts" / "well" / "shear_layer_mini"
COMBINATIONS = ["".join(letters) for letters in product(("", "b"), ("", "t"), ("", "x"), ("", "y"))]


def expected_frames(letters: str, trajectory: int) -> np.ndarray:
    """(time, x, y): what the field written over those axes is worth everywhere."""
    words = {"b": "sample", "t": "time", "x": "x", "y": "y"}
    values = coded([words[letter] for letter in letters], {**SIZES, "sample": 3})
    for place, letter in enumerate("btxy"):
        values = values if letter in letters else np.expand_dims(values, place)
    return np.broadcast_to(values[min(trajectory, len(values) - 1)], (5, 4, 3))


@pytest.mark.parametrize("letters", COMBINATIONS)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_every_combination_of_what_a_field_varies_along(tmp_path, letters, order):
    dataset = open_dataset(write_well(tmp_path / "w.hdf5", [("f", order, letters)]))
    names = [["f"], ["f_x", "f_y"], ["f_xx", "f_xy", "f_yx", "f_yy"]][order]
    assert [c.name for c in dataset.channels] == names
    assert all(c.static == ("t" not in letters) for c in dataset.channels)
    for trajectory in (0, 2):
        whole = dataset.read(trajectory)
        for number in range(len(names)):
            assert np.array_equal(whole[:, number], expected_frames(letters, trajectory) + number)


@pytest.mark.parametrize("spelling", ["text", "bytes", "bare"])
def test_spellings_of_attributes(tmp_path, spelling):
    dataset = open_dataset(write_well(tmp_path / "w.hdf5", [("a", 0, "btxy")], spelling=spelling))
    assert [(a.name, a.boundary) for a in dataset.axes] == [("x", "periodic"), ("y", "wall")]
    assert dataset.attributes["grid_type"] == "cartesian"
    assert dataset.parameters["nu"].tolist() == [0.01] * 3


def add_scalar(file, name, values, sample, time):
    group = file.require_group("scalars")
    group[name] = values
    group[name].attrs.update({"sample_varying": sample, "time_varying": time})
    group.attrs["field_names"] = [*group.attrs.get("field_names", []), name]


def test_constant_scalars_are_parameters_and_varying_ones_are_kept(tmp_path):
    path = write_well(tmp_path / "w.hdf5", [("a", 0, "btxy")])
    with h5py.File(path, "a") as file:
        add_scalar(file, "nu", np.float32(0.01), False, False)
        add_scalar(file, "amplitude", np.arange(3.0), True, False)
        add_scalar(file, "forcing", np.arange(5.0), False, True)
        add_scalar(file, "energy", np.arange(15.0).reshape(3, 5), True, True)
    dataset = open_dataset(path)
    assert {n: v.tolist() for n, v in dataset.parameters.items()} == {"nu": [0.01] * 3, "amplitude": [0, 1, 2]}
    assert np.array_equal(dataset.attributes["scalars"]["energy"], np.arange(15.0).reshape(3, 5))
    assert np.array_equal(dataset.attributes["scalars"]["forcing"], np.tile(np.arange(5.0), (3, 1)))


def test_times_of_each_trajectory(tmp_path):
    path = write_well(tmp_path / "w.hdf5", [("a", 0, "btxy")])
    with h5py.File(path, "a") as file:
        del file["dimensions/time"]
        file["dimensions/time"] = np.arange(5.0) * np.array([[1.0], [2.0], [3.0]])
        file["dimensions/time"].attrs.update({"sample_varying": True, "time_varying": True})
    dataset = open_dataset(path)
    assert dataset.times_of(2).tolist() == [0, 3, 6, 9, 12] and dataset.dt is None


def add_condition(file, name, kind, dims, mask):
    group = file.create_group(f"boundary_conditions/{name}")
    group.attrs.update({"bc_type": kind, "associated_dims": dims, "sample_varying": False, "time_varying": False})
    group["mask"] = mask


def test_a_wall_inside_the_domain_is_a_mask(tmp_path):
    path = write_well(tmp_path / "w.hdf5", [("a", 0, "btxy")])
    inside = np.zeros((4, 3), bool)
    inside[2, 1] = True
    with h5py.File(path, "a") as file:
        add_condition(file, "obstacle", "wall", ["x", "y"], inside)
    dataset = open_dataset(path)
    assert np.array_equal(dataset.read_mask(1, slice(0, 2)), np.stack([inside, inside]))
    assert dataset.read_mask(0, space_stride=2).shape == (5, 2, 2)
    assert open_dataset(write_well(tmp_path / "v.hdf5", [("a", 0, "btxy")])).read_mask(0) is None


def test_ends_of_an_axis_with_different_conditions(tmp_path):
    path = write_well(tmp_path / "w.hdf5", [("a", 0, "btxy")])
    with h5py.File(path, "a") as file:
        del file["boundary_conditions/y_WALL"]
        add_condition(file, "low", "WALL", ["y"], np.array([True, False, False]))
        add_condition(file, "high", "Open", ["y"], np.array([False, False, True]))
    dataset = open_dataset(path)
    assert dataset.axes[1].boundary == "" and dataset.attributes["boundaries"]["y"] == ["wall", "open"]


def test_axes_kept_with_length_one_and_flattened_tensors(tmp_path):
    path = write_well(tmp_path / "w.hdf5", [("a", 0, "btx"), ("s", 2, "btxy")])
    with h5py.File(path, "a") as file:
        for name, shape in (("t0_fields/a", (3, 5, 4, 1)), ("t2_fields/s", (3, 5, 4, 3, 4))):
            values, attributes = file[name][()], dict(file[name].attrs)
            del file[name]
            file[name] = values.reshape(shape)
            file[name].attrs.update(attributes)
    dataset = open_dataset(path)
    whole = dataset.read(1)
    assert np.array_equal(whole[:, 0], expected_frames("btx", 1))
    assert np.array_equal(whole[:, 2], expected_frames("btxy", 1) + 1) and dataset.channels[2].name == "s_xy"


def test_the_packages_own_dummy_file_is_accepted_with_a_note(tmp_path):
    dummy = pytest.importorskip("the_well.utils.dummy_data")
    dummy.write_dummy_data(str(tmp_path / "dummy.hdf5"))
    dataset = open_dataset(tmp_path / "dummy.hdf5")
    assert [(c.name, c.static) for c in dataset.channels] == [
        ("constant_field", True),
        ("field_x", False),
        ("field_y", False),
    ]
    assert dataset.read(1).shape == (10, 3, 32, 32) and [a.boundary for a in dataset.axes] == ["periodic"] * 2
    assert dataset.attributes["scalars"]["time_varying_scalar"].shape == (2, 10)
    with h5py.File(tmp_path / "dummy.hdf5") as file:
        assert np.array_equal(dataset.read(1)[:, 1:], np.moveaxis(file["t1_fields/field"][1], -1, 1))


def test_missing_flags_are_inferred_with_a_note(tmp_path):
    path = write_well(tmp_path / "w.hdf5", [("a", 0, "btxy"), ("s", 0, "xy"), ("v", 1, "bxy")])
    with h5py.File(path, "a") as file:
        for name in ("t0_fields/a", "t0_fields/s", "t1_fields/v"):
            del file[name].attrs["sample_varying"], file[name].attrs["time_varying"]
    dataset = open_dataset(path)
    assert [c.static for c in dataset.channels] == [False, True, True, True]
    assert any("time_varying is missing" in note for note in dataset.notes)


def test_a_directory_joins_files_whose_parameters_differ():
    dataset = open_dataset(LAYOUTS)
    assert {name: split.tolist() for name, split in dataset.splits.items()} == {"train": [0, 1], "test": [2, 3]}
    assert dataset.parameters["nu"].tolist() == [0.02, 0.02, 0.01, 0.01]
    assert dataset.parameters["amplitude"].tolist() == [1, 2, 1, 2]
    file = next((LAYOUTS / "data" / "test").iterdir())
    with h5py.File(file) as stored:
        whole = dataset.read(3)
        assert np.array_equal(whole[:, 1], stored["t0_fields/pressure"][1])
        assert np.array_equal(whole[7, 2], stored["t0_fields/porosity"][()])
        assert np.array_equal(whole[:, 6], stored["t2_fields/stress"][1, ..., 0, 1])
        assert np.array_equal(dataset.attributes["scalars"]["energy"][3], stored["scalars/energy"][1])
    assert np.array_equal(dataset.read(3), open_dataset(file).read(1))
    assert np.array_equal(open_dataset(LAYOUTS / "data").read(3), dataset.read(3))


def test_stored_statistics_are_per_channel():
    dataset = open_dataset(LAYOUTS)
    at = {channel.name: number for number, channel in enumerate(dataset.channels)}
    assert dataset.statistics.mean[at["velocity_x"]] == pytest.approx(-0.0383982697)
    assert dataset.statistics.std[at["stress_yx"]] == pytest.approx(1.5373169829)
    assert dataset.statistics.std_delta[at["porosity"]] == 0
    porosity = dataset.read(0, slice(0, 1), names=["porosity"]).astype(float)
    assert dataset.statistics.rms[at["porosity"]] == pytest.approx(np.sqrt((porosity**2).mean()), rel=1e-6)


def test_disagreeing_shapes_are_named(tmp_path):
    path = write_well(tmp_path / "w.hdf5", [("a", 0, "btxy")])
    with h5py.File(path, "a") as file:
        file["t0_fields/a"].attrs["time_varying"] = False
    with pytest.raises(DatasetError, match=r"t0_fields/a: has shape \(3, 5, 4, 3\), expected \(sample=3, x=4, y=3\)"):
        open_dataset(path)
    path = write_well(tmp_path / "v.hdf5", [("a", 0, "btxy")])
    with h5py.File(path, "a") as file:
        file["t0_fields"].attrs["field_names"] = ["a", "b"]
    with pytest.raises(DatasetError, match="/t0_fields/b: is missing; found: a"):
        open_dataset(path)
    data = tmp_path / "grids" / "data"
    write_well(data / "train" / "a.hdf5", [("a", 0, "btxy")])
    write_well(data / "test" / "b.hdf5", [("b", 0, "btxy")])
    with pytest.raises(DatasetError, match=r"has channels \['b'\], expected \['a'\] as in a.hdf5"):
        open_dataset(data.parent)
