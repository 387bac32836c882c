"""PDEBench to the letter: every file of both families, and what its files get wrong."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from tests.datasets.builders import SIZES, coded, frames, write_grouped, write_h5, write_pdebench

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts" / "pdebench"


@pytest.mark.parametrize("space", ["x", "xy", "xyz"])
def test_named_fields_in_every_dimension(tmp_path, space):
    names = ["density", "pressure", *(f"V{axis}" for axis in space)]
    dataset = open_dataset(write_pdebench(tmp_path / "CFD.hdf5", names, space))
    assert [c.name for c in dataset.channels] == ["density", "pressure", *(f"velocity_{axis}" for axis in space)]
    assert dataset.shape == tuple(SIZES[axis] for axis in space)
    for trajectory in (0, 5):
        values = dataset.read(trajectory)
        expected = frames(trajectory, space) + 0.5 * np.arange(len(names)).reshape(1, -1, *[1] * len(space))
        assert np.allclose(values, expected, rtol=1e-6)
    assert np.allclose(dataset.axes[0].coordinates, [0.125, 0.375, 0.625, 0.875])


def test_the_time_axis_that_is_one_too_long(tmp_path):
    dataset = open_dataset(write_pdebench(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5", ["tensor"], "x"))
    assert np.allclose(dataset.times, 0.05 * np.arange(5)) and dataset.dt == pytest.approx(0.05)
    assert any("1 value too many" in note for note in dataset.notes)
    short = write_pdebench(tmp_path / "short.hdf5", ["tensor"], "x", extra_time=-1)
    with pytest.raises(DatasetError, match=r"t-coordinate: has 4 values, but tensor has 5 frames"):
        open_dataset(short)


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("1D_Advection_Sols_beta0.1.hdf5", {}, {"beta": 0.1}),
        ("1D_Burgers_Sols_Nu0.001.hdf5", {"Nu": 0.25}, {"nu": 0.25}),
        ("ReacDiff_Nu0.5_Rho10.0.hdf5", {"rho": 10.0}, {"nu": 0.5, "rho": 10.0}),
        ("1D_CFD_Rand_Eta1.e-8_Zeta1.e-8_periodic_Train.hdf5", {}, {"eta": 1e-8, "zeta": 1e-8}),
        ("1D_CFD_Rand_M0.1_Eta1e-08_Zeta1e-08_trans_Train.hdf5", {}, {"M": 0.1, "eta": 1e-8, "zeta": 1e-8}),
        ("mine.hdf5", {}, {}),
    ],
)
def test_parameters_from_attributes_first_and_the_name_second(tmp_path, name, attributes, expected):
    dataset = open_dataset(write_pdebench(tmp_path / name, ["tensor"], "x", attributes=attributes))
    assert {key: values.tolist() for key, values in dataset.parameters.items()} == {
        k: [v] * 6 for k, v in expected.items()
    }
    boundary = {"1D_CFD_Rand_M": "open", "mine": ""}.get(name.split("0")[0].split(".")[0], "periodic")
    assert dataset.axes[0].boundary == boundary


def test_darcy_is_a_steady_map_from_nu_to_u(tmp_path):
    path = write_h5(
        tmp_path / "2D_DarcyFlow_beta1.0_Train.hdf5",
        {
            "tensor": coded(("sample", "x", "y"))[:, None],
            "nu": coded(("sample", "x", "y")) + 0.5,
            "x-coordinate": np.arange(4.0),
            "y-coordinate": np.arange(3.0),
        },
        {"beta": 1.0},
    )
    dataset = open_dataset(path)
    assert [(c.name, c.static) for c in dataset.channels] == [("nu", True), ("u", False)]
    assert dataset.times.tolist() == [0, 1] and dataset.shape == (4, 3)
    whole, field = dataset.read(3), coded(("sample", "x", "y"))[3]
    assert (whole[:, 0] == field + 0.5).all() and (whole[0, 1] == 0).all() and (whole[1, 1] == field).all()
    assert dataset.parameters["beta"].tolist() == [1.0] * 6


@pytest.mark.parametrize("space", ["x", "xy"])
def test_a_leading_device_axis_is_dropped(tmp_path, space):
    path = write_pdebench(tmp_path / "a.hdf5", ["tensor"], space)
    with h5py.File(path, "a") as file:
        values = file["tensor"][()][None]
        del file["tensor"]
        file["tensor"] = values
    dataset = open_dataset(path)
    assert np.array_equal(dataset.read(2, slice(1, 3)), frames(2, space)[1:3])
    assert any("device axis" in note for note in dataset.notes)


def test_the_reference_splits(tmp_path):
    path = write_h5(tmp_path / "a.hdf5", {"tensor": np.zeros((40, 3, 2), "f4")})
    single = open_dataset(path).splits
    assert single["test"].tolist() == [0, 1, 2, 3] and single["valid"].tolist() == [36, 37, 38, 39]
    grouped = open_dataset(
        write_grouped(tmp_path / "g.h5", [f"{i:04d}" for i in range(40)], stored=("time", "x", "channel"), name="d")
    ).splits
    assert grouped["test"].tolist() == [36, 37, 38, 39] and grouped["valid"].tolist() == [32, 33, 34, 35]
    for splits in (single, grouped):
        assert sorted(np.concatenate(list(splits.values()))) == list(range(40))


def test_groups_are_sorted_as_strings_and_have_parameters(tmp_path):
    path = write_grouped(
        tmp_path / "1D_diff-sorp.h5", ["0023", "0000", "0007"], stored=("time", "x", "channel"), name="s"
    )
    dataset = open_dataset(path)
    assert dataset.attributes["seeds"] == ["0000", "0007", "0023"]
    assert np.array_equal(dataset.read(2), frames(2, "x", channels=2))
    assert dataset.parameters["D"].tolist() == [0.1] * 3 and set(dataset.parameters) == {"D"}
    assert dataset.times.tolist() == pytest.approx([0, 1.25, 2.5, 3.75, 5])


def test_the_axes_of_diffusion_reaction_are_told_by_the_grid_where_it_is_not_square(tmp_path):
    seeds, shown = ["0000", "0001"], frames(1, "xy", channels=2)
    for stored in (("time", "x", "y", "channel"), ("time", "y", "x", "channel")):
        path = write_grouped(tmp_path / f"2D_diff-react_{stored[1]}.h5", seeds, stored=stored, name="2d_diff-react")
        dataset = open_dataset(path)
        assert [c.name for c in dataset.channels] == ["u", "v"] and dataset.shape == (4, 3)
        assert np.array_equal(dataset.read(1), shown)


@pytest.mark.parametrize(("name", "swapped"), [("2D_diff-react_NA_NA", True), ("2D_rdb_NA_NA", False)])
def test_square_grids_are_read_as_their_generator_wrote_them(tmp_path, name, swapped):
    values = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype("f4")
    grid = {f"0000/grid/{axis}": np.arange(n, dtype="f4") for axis, n in (("x", 4), ("y", 4), ("t", 2))}
    dataset = open_dataset(write_h5(tmp_path / f"{name}.h5", {"0000/data": values, **grid}))
    expected = values[..., 0].swapaxes(1, 2) if swapped else values[..., 0]
    assert np.array_equal(dataset.read(0)[:, 0], expected)
    assert any("(time, y, x)" in note for note in dataset.notes) == swapped
    assert dataset.channels[0].name == ("u" if swapped else "h")


def test_a_seed_without_data_is_named(tmp_path):
    path = write_grouped(tmp_path / "a.h5", ["0000", "0001", "0002"], stored=("time", "x", "channel"), name="d")
    with h5py.File(path, "a") as file:
        del file["0001/data"]
    with pytest.raises(DatasetError, match="0001/data: is missing"):
        open_dataset(path)


def test_a_seed_of_another_shape_is_named_when_read(tmp_path):
    path = write_grouped(tmp_path / "a.h5", ["0000", "0001"], stored=("time", "x", "channel"), name="d")
    with h5py.File(path, "a") as file:
        del file["0001/data"]
        file["0001/data"] = np.zeros((5, 9, 2), "f4")
    dataset = open_dataset(path)
    dataset.read(0)
    with pytest.raises(DatasetError, match=r"0001/data: has shape \(5, 9, 2\), expected \(5, 4, 2\)"):
        dataset.read(1)


def test_incompressible_navier_stokes(tmp_path):
    stored = ("sample", "time", "x", "y", "channel")
    scalar = coded(stored, {**SIZES, "channel": 1}) + 0.5
    clock = np.arange(5.0) + np.arange(6)[:, None] / 10
    force = coded(("sample", "x", "y", "channel")) + 0.25
    path = write_h5(
        tmp_path / "ns_incom_inhom_2d_512-0.h5",
        {"velocity": coded(stored), "particles": scalar, "force": force, "t": clock},
        {"config": "sim_name: x\nnu: 0.01\n", "latestIndex": 5},
    )
    dataset = open_dataset(path)
    assert [c.name for c in dataset.channels] == ["velocity_x", "velocity_y", "tracer", "force_x", "force_y"]
    assert [c.static for c in dataset.channels] == [False, False, False, True, True]
    whole = dataset.read(4)
    assert np.array_equal(whole[:, :2], frames(4, "xy", channels=2))
    assert np.array_equal(whole[:, 2], frames(4, "xy")[:, 0] + 0.5)
    assert np.array_equal(whole[3, 3:], np.moveaxis(force[4], -1, 0))
    assert dataset.times_of(4) == pytest.approx(clock[4]) and dataset.parameters["nu"][0] == 0.01


def test_disagreeing_shapes_are_named(tmp_path):
    path = write_pdebench(tmp_path / "a.hdf5", ["density", "pressure"], "xy")
    with h5py.File(path, "a") as file:
        del file["pressure"]
        file["pressure"] = np.zeros((6, 5, 4, 4), "f4")
    with pytest.raises(DatasetError, match=r"pressure: has shape \(6, 5, 4, 4\), expected \(6, 5, 4, 3\)"):
        open_dataset(path)
    path = write_h5(tmp_path / "b.hdf5", {"tensor": np.zeros((6, 5, 4)), "x-coordinate": np.arange(5.0)})
    with pytest.raises(DatasetError, match="x-coordinate: has 5 values, but tensor has 4 points"):
        open_dataset(path)


def test_files_of_several_parameters_open_as_one_directory(tmp_path):
    for beta in (0.1, 0.4):
        write_pdebench(tmp_path / "all" / f"1D_Advection_Sols_beta{beta}.hdf5", ["tensor"], "x")
    dataset = open_dataset(tmp_path / "all")
    assert dataset.parameters["beta"].tolist() == [0.1] * 6 + [0.4] * 6
    assert np.array_equal(dataset.read(8), frames(2, "x"))
    assert dataset.splits["test"].tolist() == [0, 6]


def test_files_of_the_generators():
    burgers = open_dataset(LAYOUTS / "1D_Burgers_Sols_Nu0.01.hdf5")
    assert burgers.read(0).shape == (41, 1, 256) and burgers.times[-1] == pytest.approx(2.0)
    assert burgers.parameters["nu"].tolist() == [0.01] * 6
    sorption = open_dataset(LAYOUTS / "1D_diff-sorp_NA_NA.h5")
    assert len(sorption) == 5 and sorption.parameters["rho_s"][0] == 2880
    assert set(sorption.parameters) == {"D", "k_f", "n_f", "por", "rho_s", "sol"}
    with h5py.File(LAYOUTS / "1D_diff-sorp_NA_NA.h5") as file:
        assert np.array_equal(sorption.read(4)[:, 0], file["0023/data"][..., 0])
