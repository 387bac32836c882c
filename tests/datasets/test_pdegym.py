"""PDEGym to the letter: every file of the table, its channels, exchanged axes, missing coordinates and splits."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from tests.datasets.builders import SIZES, coded, frames, write_h5

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts" / "pdegym"
EULER = ["density", "velocity_x", "velocity_y", "pressure"]
FLOW = ["velocity_x", "velocity_y"]


@pytest.mark.parametrize(
    ("name", "variable", "channels", "boundary"),
    [
        ("NS-Sines", "velocity", [*FLOW, "tracer"], "periodic"),
        ("NS-BB", "velocity", FLOW, "periodic"),
        ("FNS-KF", "solution", FLOW, "periodic"),
        ("CE-RP", "data", [*EULER, "energy"], "periodic"),
        ("CE-RM", "solution", [*EULER, "tracer"], "periodic"),
        ("GCE-RT", "solution", [*EULER, "tracer", "potential"], "periodic"),
    ],
)
def test_fields(tmp_path, name, variable, channels, boundary):
    sizes = {**SIZES, "channel": len(channels)}
    path = write_h5(tmp_path / f"{name}.nc", {variable: coded(("sample", "time", "channel", "x", "y"), sizes)})
    dataset = open_dataset(path)
    assert dataset.layout == "pdegym" and [c.name for c in dataset.channels] == channels
    assert np.array_equal(dataset.read(3), frames(3, "xy", channels=len(channels)))
    assert [a.boundary for a in dataset.axes] == [boundary] * 2
    assert dataset.axes[0].coordinates.tolist() == [0, 0.25, 0.5, 0.75]
    assert dataset.times == pytest.approx(np.arange(5) / (10 if name == "GCE-RT" else 20))


def test_the_pressure_is_left_as_it_is_and_its_mean_is_told(tmp_path):
    path = write_h5(tmp_path / "CE-KH.nc", {"data": np.ones((2, 3, 5, 4, 4), "f4")})
    dataset = open_dataset(path)
    assert dataset.attributes["pressure_mean"] == 1.0 and dataset.attributes["time_constant"] == 20
    assert (dataset.read(0, names=["pressure"]) == 1).all()
    other = write_h5(tmp_path / "CE-RPUI.nc", {"data": np.ones((2, 3, 5, 4, 4), "f4")})
    assert open_dataset(other).attributes["pressure_mean"] == 1.33


def test_the_shear_layer_has_x_and_y_exchanged(tmp_path):
    path = write_h5(tmp_path / "NS-SL.nc", {"velocity": coded(("sample", "time", "channel", "y", "x"))})
    dataset = open_dataset(path)
    assert dataset.shape == (4, 3) and np.array_equal(dataset.read(2), frames(2, "xy", channels=2))
    assert any("exchanged" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("name", "constant", "boundary"), [("Wave-Layer", 20, "open"), ("Wave-Gauss", 15, "open"), ("ACE", 19, "periodic")]
)
def test_scalar_evolutions_and_the_static_speed(tmp_path, name, constant, boundary):
    arrays = {"solution": coded(("sample", "time", "x", "y"))}
    if name != "ACE":
        arrays["c"] = coded(("sample", "x", "y")) + 0.5
    dataset = open_dataset(write_h5(tmp_path / f"{name}.nc", arrays))
    assert [(c.name, c.static) for c in dataset.channels] == [("u", False), ("c", True)][: len(arrays)]
    whole = dataset.read(5)
    assert np.array_equal(whole[:, :1], frames(5, "xy"))
    if name != "ACE":
        assert np.array_equal(whole[4, 1], coded(("sample", "x", "y"))[5] + 0.5)
    assert dataset.dt == pytest.approx(1 / constant) and dataset.axes[0].boundary == boundary


def test_steady_maps(tmp_path):
    field = coded(("sample", "x", "y"))
    poisson = open_dataset(write_h5(tmp_path / "Poisson-Gauss.nc", {"source": field + 0.5, "solution": field}))
    assert [(c.name, c.static) for c in poisson.channels] == [("source", True), ("u", False)]
    whole = poisson.read(4)
    assert np.array_equal(whole[:, 0], np.stack([field[4] + 0.5] * 2)) and not whole[0, 1].any()
    assert np.array_equal(whole[1, 1], field[4]) and poisson.times.tolist() == [0, 1]

    inside = (np.arange(6 * 12).reshape(6, 4, 3) % 2).astype("f4")
    airfoil = open_dataset(write_h5(tmp_path / "SE-AF.nc", {"solution": np.stack([inside, field], axis=1)}))
    assert [(c.name, c.static) for c in airfoil.channels] == [("shape", True), ("density", False)]
    assert np.array_equal(airfoil.read(2)[1], np.stack([inside[2], field[2]]))
    assert np.array_equal(airfoil.read_mask(2)[0], inside[2].astype(bool))


@pytest.mark.parametrize("bc", [(), (1,), (4, 3)])
def test_helmholtz_samples_are_sorted_by_number(tmp_path, bc):
    field, arrays = coded(("x", "y")), {}
    for number in range(12):
        group = f"Sample_{number}"
        arrays[f"{group}/a"] = 10_000 * number + field.astype("f8") + 0.5
        arrays[f"{group}/u"] = 10_000 * number + field.astype("f8")
        arrays[f"{group}/bc"] = np.full(bc, number / 8)
    dataset = open_dataset(write_h5(tmp_path / "Helmholtz.h5", arrays))
    assert [c.name for c in dataset.channels] == ["a", "bc", "u"] and len(dataset) == 12
    whole = dataset.read(10)
    assert np.array_equal(whole[1, 0], 100_000 + field + 0.5) and (whole[:, 1] == 1.25).all()
    assert np.array_equal(whole[1, 2], 100_000 + field) and whole.dtype == np.float64


@pytest.mark.parametrize(
    ("name", "channels", "valid", "test"),
    [("NS-PwC", 3, 120, 240), ("CE-RM", 5, 100, 130), ("GCE-RT", 6, 100, 130)],
)
def test_splits_by_the_tables_rule(tmp_path, name, channels, valid, test):
    variable = "velocity" if name.startswith("NS") else "solution"
    dataset = open_dataset(write_h5(tmp_path / f"{name}.nc", {variable: np.zeros((500, 2, channels, 1, 1), "f4")}))
    assert dataset.splits["train"].tolist() == list(range(500 - valid - test))
    assert dataset.splits["valid"].tolist() == list(range(500 - valid - test, 500 - test))
    assert dataset.splits["test"].tolist() == list(range(500 - test, 500))


def test_chunks_are_one_set(tmp_path):
    for number in range(2):
        chunk = coded(("sample", "time", "channel", "x", "y"), {**SIZES, "channel": 3}) + 60_000 * number
        write_h5(tmp_path / "NS-Sines" / f"velocity_{number}.nc", {"velocity": chunk})
    dataset = open_dataset(tmp_path / "NS-Sines")
    assert np.array_equal(dataset.read(8), frames(8, "xy", channels=3))
    assert dataset.splits["test"].tolist() == [11]


def test_a_netcdf_file_with_member_dimension_and_coordinates(tmp_path):
    xr = pytest.importorskip("xarray")
    values = coded(("sample", "time", "channel", "x", "y"))
    dims = ("member", "time", "channel", "x", "y")
    coords = {"time": np.linspace(0, 2, 5), "x": np.arange(4.0), "y": np.arange(3.0) - 1}
    xr.Dataset({"velocity": (dims, values)}, coords).to_netcdf(tmp_path / "mine.nc", engine="h5netcdf")
    dataset = open_dataset(tmp_path / "mine.nc")
    assert dataset.times.tolist() == [0, 0.5, 1, 1.5, 2] and dataset.axes[1].coordinates.tolist() == [-1, 0, 1]
    assert np.array_equal(dataset.read(1), frames(1, "xy", channels=2)) and not dataset.notes


def test_a_real_netcdf_file():
    dataset = open_dataset(LAYOUTS / "NS-Sines.nc")
    with h5py.File(LAYOUTS / "NS-Sines.nc") as file:
        assert np.array_equal(dataset.read(0, slice(1, 4), names=["tracer"])[:, 0], file["velocity"][0, 1:4, 2])
    # The netCDF dimensions hold zeros: they are no coordinates.
    assert dataset.axes[0].spacing == pytest.approx(1 / 128)


def test_unknown_shapes_are_named(tmp_path):
    path = write_h5(tmp_path / "a.nc", {"velocity": np.zeros((2, 3, 7, 4, 4), "f4")})
    with pytest.raises(DatasetError, match=r"velocity: has 7 channels on axis 2 .* expected \[2, 3\]"):
        open_dataset(path)
    path = write_h5(tmp_path / "b.nc", {"solution": np.zeros((2, 3), "f4")})
    with pytest.raises(DatasetError, match=r"solution: has shape \(2, 3\), expected"):
        open_dataset(path)
    path = write_h5(tmp_path / "Wave-Layer.nc", {"solution": np.zeros((2, 3, 4, 4)), "c": np.zeros((2, 4, 5))})
    with pytest.raises(DatasetError, match=r"c: has shape \(2, 4, 5\), expected \(2, 4, 4\)"):
        open_dataset(path)
