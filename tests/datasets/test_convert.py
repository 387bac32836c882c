"""From layout to layout: values bit for bit, and The Well's own package as judge of what is written for it."""

import os
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.convert import convert
from sciml.datasets.dataset import Dataset
from sciml.datasets.errors import DatasetError
from sciml.datasets.header import Header, Trajectory
from sciml.datasets.moments import MOMENTS
from sciml.datasets.native import verify_checksums
from sciml.datasets.open import open_dataset
from sciml.datasets.writer import write_dataset
from tests.datasets import flows

LAYOUTS = Path(__file__).parents[1] / "data/layouts"
BURGERS = LAYOUTS / "pdebench/1D_Burgers_Sols_Nu0.01.hdf5"
WELL = LAYOUTS / "well/shear_layer_mini"


def whole(count: int = 8) -> tuple[Header, list[Trajectory]]:
    """Flows of equal length in splits The Well knows, on coordinates and times that float32 holds."""
    axes = (Axis("x", np.arange(8) / 8, "m", "periodic"), Axis("y", np.arange(6) / 4, "m", "wall"))
    header = flows.header(axes=axes, times=np.arange(5) / 8, attributes={})
    splits = ("train", "train", "valid", "test")
    return header, [
        Trajectory(t.u, t.static, {"nu": 0.1 * i}, splits[i % 4])
        for i, t in enumerate(flows.trajectories(count + 1)[:count])
    ]


def assert_same(ours: Dataset, theirs: Dataset) -> None:
    """Values, names, clocks, coordinates, boundaries, parameters and splits."""
    names = [channel.name for channel in ours.channels]
    assert sorted(names) == sorted(channel.name for channel in theirs.channels)
    assert len(ours) == len(theirs)
    for number in range(len(ours)):
        np.testing.assert_array_equal(ours.read(number), theirs.read(number, names=names))
        np.testing.assert_array_equal(ours.times_of(number), theirs.times_of(number))
    for here, there in zip(ours.axes, theirs.axes, strict=True):
        assert here.name == there.name and here.boundary == there.boundary
        np.testing.assert_array_equal(here.coordinates, there.coordinates)
    assert set(ours.parameters) == set(theirs.parameters)
    for name, values in ours.parameters.items():
        np.testing.assert_array_equal(values, theirs.parameters[name])


def in_order_of_splits(dataset: Dataset) -> list[int]:
    return [int(i) for split in ("train", "valid", "test") for i in dataset.splits[split]]


def test_native_to_the_well_and_back_keeps_everything_it_can_hold(tmp_path: Path) -> None:
    header, written = whole()
    native = write_dataset(tmp_path / "flow.h5", header, written)
    made = convert(native, tmp_path / "flow", layout="the_well")
    assert made.trajectories == 8 and any("float64" in line for line in made.lost)
    back = open_dataset(convert(tmp_path / "flow", tmp_path / "back.h5").path)
    assert {name: len(members) for name, members in back.splits.items()} == {"train": 4, "valid": 2, "test": 2}
    # The Well's directory orders trajectories by split: compare with the original in that order.
    order = in_order_of_splits(open_dataset(native))
    again = write_dataset(tmp_path / "ordered.h5", header, [written[i] for i in order])
    assert_same(open_dataset(again), back)
    assert verify_checksums(tmp_path / "back.h5") == 8


def test_the_well_to_native_and_back(tmp_path: Path) -> None:
    convert(WELL, tmp_path / "native.h5")
    convert(tmp_path / "native.h5", tmp_path / "well", layout="the_well")
    original, back = open_dataset(WELL), open_dataset(tmp_path / "well")
    assert_same(original, back)
    assert {n: list(m) for n, m in original.splits.items()} == {n: list(m) for n, m in back.splits.items()}
    np.testing.assert_array_equal(original.attributes["scalars"]["energy"], back.attributes["scalars"]["energy"])
    assert [channel.component for channel in back.channels] == [channel.component for channel in original.channels]


def test_the_package_of_the_well_reads_what_is_written_for_it(tmp_path: Path) -> None:
    the_well = pytest.importorskip("the_well.data", reason="the-well is an optional oracle")
    header, written = whole()
    native = write_dataset(tmp_path / "flow.h5", header, written)
    convert(native, tmp_path / "flow", layout="the_well")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = the_well.WellDataset(
            path=str(tmp_path / "flow"), well_split_name="train", n_steps_input=2, n_steps_output=1
        )
        item = theirs[4]  # three windows a trajectory: the second trajectory's second
    metadata = theirs.metadata
    assert metadata.field_names == {0: ["density"], 1: ["velocity_x", "velocity_y"], 2: []}
    assert metadata.constant_field_names[0] == ["porosity"] and metadata.n_trajectories_per_file == [4]
    expected = np.moveaxis(written[1].u[1:4], 1, -1)
    np.testing.assert_array_equal(item["input_fields"], expected[:2])
    np.testing.assert_array_equal(item["output_fields"], expected[2:])
    np.testing.assert_array_equal(item["constant_fields"][..., 0], written[1].static[0])
    np.testing.assert_allclose(item["constant_scalars"], [0.1], rtol=1e-6)
    np.testing.assert_array_equal(item["boundary_conditions"], [[2, 2], [0, 0]])  # PERIODIC, WALL
    np.testing.assert_array_equal(item["space_grid"][:, 0, 0], header.axes[0].coordinates)
    view = theirs.to_xarray(backend="numpy")
    assert view["density"].shape[1:] == (5, 8, 6)


def test_the_package_normalises_with_the_statistics_written(tmp_path: Path) -> None:
    the_well = pytest.importorskip("the_well.data", reason="the-well is an optional oracle")
    normalization = pytest.importorskip("the_well.data.normalization", reason="the-well is an optional oracle")
    header, written = whole()
    convert(write_dataset(tmp_path / "flow.h5", header, written), tmp_path / "flow", layout="the_well")
    theirs = the_well.WellDataset(
        path=str(tmp_path / "flow"),
        well_split_name="train",
        full_trajectory_mode=True,
        use_normalization=True,
        normalization_type=normalization.ZScoreNormalization,
    )
    items = [theirs[number] for number in range(4)]
    values = np.concatenate([part for item in items for part in (item["input_fields"], item["output_fields"])])
    np.testing.assert_allclose(values.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(values.std((0, 1, 2)), 1, atol=1e-3)
    tables = yaml.safe_load((tmp_path / "flow/stats.yaml").read_text())
    assert set(tables) == set(MOMENTS) and len(tables["std"]["velocity"]) == 2
    assert "porosity" not in tables["std_delta"] and "porosity" in tables["std"]


def test_a_well_file_has_every_group_and_flag_the_format_asks_for(tmp_path: Path) -> None:
    convert(WELL, tmp_path / "one.hdf5", layout="the_well")
    with h5py.File(tmp_path / "one.hdf5") as file:
        assert {type(file.attrs[name]) for name in ("dataset_name", "grid_type")} == {str}
        assert all(name in file.attrs for name in file.attrs["simulation_parameters"])
        assert file.attrs["n_trajectories"] == len(open_dataset(WELL)) and file.attrs["n_spatial_dims"] == 2
        sizes = {name: file["dimensions"][name].shape[-1] for name in ("x", "y")}
        for order in range(3):
            group = file[f"t{order}_fields"]
            assert sorted(group.attrs["field_names"]) == sorted(group)
            for field in group.values():
                frames = (12,) * int(field.attrs["time_varying"])
                assert field.shape == (file.attrs["n_trajectories"], *frames, *sizes.values(), *(2,) * order)
                assert field.attrs["dim_varying"].dtype == bool and isinstance(field.attrs["sample_varying"], np.bool_)
        for item in (*file["dimensions"].values(), *file["scalars"].values(), *file["boundary_conditions"].values()):
            assert isinstance(item.attrs["sample_varying"], np.bool_) and isinstance(
                item.attrs["time_varying"], np.bool_
            )
        for condition in file["boundary_conditions"].values():
            assert condition["mask"].dtype == bool and len(condition["values"]) == condition["mask"][:].sum()
            assert set(condition.attrs["associated_dims"]) <= set(sizes) and condition.attrs["bc_type"].isupper()


def test_a_mask_survives_the_well(tmp_path: Path) -> None:
    header, written = whole()
    mask = np.random.default_rng(0).random((8, 6)) > 0.7
    masked = Header(**{**{n: getattr(header, n) for n in header.__dataclass_fields__}, "mask": mask})
    native = write_dataset(tmp_path / "flow.h5", masked, written)
    convert(native, tmp_path / "flow.hdf5", layout="the_well")
    convert(tmp_path / "flow.hdf5", tmp_path / "back.h5")
    found = open_dataset(tmp_path / "back.h5").read_mask(3)
    assert found is not None
    np.testing.assert_array_equal(found[0], mask)


def test_pdebench_to_native_and_back(tmp_path: Path) -> None:
    convert(BURGERS, tmp_path / "native.h5")
    target = tmp_path / BURGERS.name
    made = convert(tmp_path / "native.h5", target, layout="pdebench")
    assert_same(open_dataset(BURGERS), open_dataset(target))
    assert any("Splits" in line for line in made.lost)
    with h5py.File(BURGERS) as original, h5py.File(target) as written:
        assert set(original) == set(written)
        for name in original:
            assert original[name].shape == written[name].shape and original[name].dtype == written[name].dtype
            np.testing.assert_array_equal(original[name], written[name])
        assert written["t-coordinate"].shape[0] == written["tensor"].shape[1] + 1


def test_pdebench_names_of_compressible_flow_and_of_darcy(tmp_path: Path) -> None:
    rng, space = np.random.default_rng(0), (4, 4)
    names = ("density", "pressure", "velocity_x", "velocity_y")
    channels = tuple(Channel(n, field=n[:8], component=n[9:]) if n[:8] == "velocity" else Channel(n) for n in names)
    axes = tuple(Axis(name, (np.arange(4) + 0.5) / 4) for name in "xy")
    header = Header(channels=channels, axes=axes, times=np.arange(3) / 4, parameters={"eta": "", "zeta": ""})
    written = [Trajectory(rng.random((3, 4, *space)).astype("f4"), None, {"eta": 0.1, "zeta": i}) for i in range(3)]
    native = write_dataset(tmp_path / "cfd.h5", header, written)
    made = convert(native, tmp_path / "cfd.hdf5", layout="pdebench")
    assert any("zeta" in line for line in made.lost)
    with h5py.File(made.path) as file:
        np.testing.assert_array_equal(file["Vy"][1], written[1].u[:, 3])
        assert file.attrs["eta"] == 0.1 and "zeta" not in file.attrs
    flow = open_dataset(made.path)
    np.testing.assert_array_equal(flow.read(2), written[2].u)

    darcy = Header(channels=(Channel("nu", static=True), Channel("u")), axes=axes, times=np.array([0.0, 1.0]))
    answers = [np.stack([np.zeros((1, *space)), rng.random((1, *space))]).astype("f4") for _ in range(3)]
    steady = [Trajectory(answer, rng.random((1, *space)).astype("f4")) for answer in answers]
    target = convert(write_dataset(tmp_path / "d.h5", darcy, steady), tmp_path / "d.hdf5", layout="pdebench").path
    assert_same(open_dataset(tmp_path / "d.h5"), open_dataset(target))


@pytest.mark.parametrize(
    "name", ["pdebench/1D_diff-sorp_NA_NA.h5", "pdegym/NS-Sines.nc", "lagrangebench/3D_LJ_3_1214every1"]
)
def test_every_layout_becomes_native(tmp_path: Path, name: str) -> None:
    told: list[int] = []
    made = convert(LAYOUTS / name, tmp_path / "native.h5", progress=lambda done, _: told.append(done), compression=1)
    original = open_dataset(LAYOUTS / name)
    assert_same(original, open_dataset(made.path))
    assert told == list(range(1, len(original) + 1)) and made.trajectories == len(original)


def test_names_that_are_taken_are_changed_and_said(tmp_path: Path) -> None:
    from sciml.datasets.memory import dataset_from_arrays

    source = dataset_from_arrays(
        np.zeros((2, 3, 2, 4)), np.arange(3.0), channels=["x", "c"], parameters={"c": np.arange(2.0), "d e": np.ones(2)}
    )
    made = convert(source, tmp_path / "native.h5")
    assert set(made.lost) == {"x is called field_x.", "c is called parameter_c.", "d e is called d_e."}
    opened = open_dataset(made.path)
    assert [channel.field for channel in opened.channels] == ["field_x", "c"]
    np.testing.assert_array_equal(opened.parameters["parameter_c"], [0, 1])


def test_what_a_layout_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    header, written = flows.particles()
    particles = write_dataset(tmp_path / "p.h5", header, written)
    ragged = write_dataset(tmp_path / "r.h5", flows.header(), flows.trajectories())
    for source, layout, message in (
        (particles, "the_well", "particles"),
        (particles, "pdebench", "PDEBench has no name"),
        (ragged, "the_well", "one length"),
        (ragged, "pdebench", "porosity"),
        (particles, "zarr", "Expected layout"),
    ):
        with pytest.raises(ValueError, match=message):
            convert(source, tmp_path / "out", layout=layout)
    with pytest.raises(ValueError, match="other than the source"):
        convert(ragged, ragged)
    with pytest.raises(DatasetError):
        convert(tmp_path / "missing.h5", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["p.h5", "r.h5"]


def test_a_directory_is_not_overwritten(tmp_path: Path) -> None:
    header, written = whole()
    native = write_dataset(tmp_path / "flow.h5", header, written)
    (tmp_path / "flow").mkdir()
    with pytest.raises(ValueError, match="does not exist"):
        convert(native, tmp_path / "flow", layout="the_well")
