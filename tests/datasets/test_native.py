"""Our own layout: every library reads it, its bytes depend on its content alone, a kill loses nothing whole."""

import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.errors import DatasetError
from sciml.datasets.handles import close_all
from sciml.datasets.header import Header, Trajectory
from sciml.datasets.moments import MOMENTS, compute_statistics
from sciml.datasets.native import open_native, store_statistics, verify_checksums
from sciml.datasets.open import open_dataset
from sciml.datasets.shards import NativeWriter, merge_shards, write_shard
from sciml.datasets.splits import assign_splits
from sciml.datasets.validate import validate
from sciml.datasets.writer import write_dataset
from tests.datasets import flows


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "flow.h5", flows.header(), flows.trajectories())


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_written_is_read_bit_for_bit(tmp_path: Path, compression: int, dtype: str) -> None:
    header, written = flows.header(dtype=dtype), flows.trajectories(dtype=dtype)
    opened = open_dataset(write_dataset(tmp_path / "flow.h5", header, written, compression=compression))
    assert opened.layout == "native" and opened.channels == flows.CHANNELS
    assert opened.time_units == "s" and [axis.boundary for axis in opened.axes] == ["periodic", "wall"]
    for number, trajectory in enumerate(written):
        u = opened.read(number)
        assert u.dtype == dtype
        np.testing.assert_array_equal(u[:, :3], trajectory.u)
        np.testing.assert_array_equal(u[0, 3:], trajectory.static)
    np.testing.assert_array_equal(opened.lengths, [5, 5, 5, 5, 5, 5, 4])
    np.testing.assert_allclose(opened.parameters["nu"], 0.1 * np.arange(7), rtol=0)
    assert {name: list(members) for name, members in opened.splits.items()} == {"train": [0, 1, 4, 5], "valid": [2, 6]}
    assert opened.attributes["generator"] == {"seed": 0, "modes": [1, 2]}
    assert opened.attributes["parameter_units"] == {"nu": "m2 s-1"}


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
@pytest.mark.parametrize("compression", [0, 4])
def test_xarray_reads_dimensions_coordinates_and_units(tmp_path: Path, engine: str, compression: int) -> None:
    written = flows.trajectories()
    path = write_dataset(tmp_path / "flow.h5", flows.header(), written, compression=compression)
    with xarray.open_dataset(path, engine=engine) as opened:
        assert opened["velocity"].dims == ("sample", "time", "velocity_component", "x", "y")
        assert opened["density"].dims == ("sample", "time", "x", "y") and opened["porosity"].dims == (
            "sample",
            "x",
            "y",
        )
        assert opened["density"].attrs["units"] == "kg m-3" and opened["nu"].attrs["units"] == "m2 s-1"
        assert opened["x"].attrs["boundary"] == "periodic" and opened["time"].attrs["units"] == "s"
        assert opened["split"].attrs["flag_meanings"] == "none train valid test"
        moving = opened["velocity"].sel(velocity_component="y", time=0.2, method=None).values
        np.testing.assert_array_equal(moving[0], written[0].u[2, 2])
        assert np.isnan(opened["density"].values[-1, -1]).all()
    with xarray.open_dataset(path, engine=engine, group="statistics") as statistics:
        assert list(statistics["channel"].values) == [channel.name for channel in flows.CHANNELS]


def test_netcdf4_and_h5py_read_it(path: Path) -> None:
    written = flows.trajectories()
    netCDF4 = pytest.importorskip("netCDF4")
    with netCDF4.Dataset(path) as opened:
        assert opened.data_model == "NETCDF4"
        assert opened["velocity"].dimensions == ("sample", "time", "velocity_component", "x", "y")
        np.testing.assert_array_equal(opened["velocity"][1], written[1].u[:, 1:])
        assert opened["density"].units == "kg m-3"
    with h5py.File(path) as opened:
        np.testing.assert_array_equal(opened["density"][2], written[2].u[:, 0])
        assert opened["density"].dims[2][0].name == "/x"


def test_bytes_are_the_same_in_one_go_in_shards_of_any_order_and_resumed(tmp_path: Path, path: Path) -> None:
    header, written = flows.header(), flows.trajectories()
    starts = list(range(0, 7, 2))
    random.Random(0).shuffle(starts)
    shards = [write_shard(tmp_path / f"{s}.h5", header, written[s : s + 2], start=s) for s in starts]
    assert digest(merge_shards(tmp_path / "merged.h5", shards)) == digest(path)

    writer = NativeWriter(tmp_path / "resumed.h5", header)
    writer.put(5, written[5:])
    writer.append(written[:3])
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not (tmp_path / "resumed.h5").exists()
    with NativeWriter(tmp_path / "resumed.h5", header) as writer:
        assert writer.done == 3 and writer.missing(7) == [3, 4]
        writer.append(written[3:5])
    assert digest(tmp_path / "resumed.h5") == digest(path)
    assert not writer.directory.exists()


KILLED = """
import sys, os, signal
sys.path.insert(0, {folder!r})
from tests.datasets import flows
from sciml.datasets.shards import NativeWriter
from sciml.datasets import writer as module
writer = NativeWriter({path!r}, flows.header())
written = flows.trajectories()
writer.append(written[:2])
put, puts = module.NativeFile.put, []
def dying(self, index, row):
    puts.append(index)
    put(self, index, row)
    if len(puts) == 2:
        self._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
module.NativeFile.put = dying
writer.append(written[2:5])
"""


def test_a_kill_in_the_middle_of_a_batch_loses_that_batch_alone(tmp_path: Path, path: Path) -> None:
    target = tmp_path / "killed.h5"
    script = KILLED.format(folder=str(Path(__file__).parents[2]), path=str(target))
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    with NativeWriter(target, flows.header()) as writer:
        assert writer.done == 2
        writer.append(flows.trajectories()[2:])
    assert digest(target) == digest(path)


def test_resuming_with_another_header_is_refused(tmp_path: Path) -> None:
    NativeWriter(tmp_path / "flow.h5", flows.header()).append(flows.trajectories()[:1])
    with pytest.raises(ValueError, match="same header"):
        NativeWriter(tmp_path / "flow.h5", flows.header(time_units="h"))


def test_merging_refuses_gaps_overlaps_other_headers_and_damage(tmp_path: Path) -> None:
    header, written = flows.header(), flows.trajectories()
    first = write_shard(tmp_path / "0.h5", header, written[:2], start=0)
    gap = write_shard(tmp_path / "3.h5", header, written[3:], start=3)
    overlap = write_shard(tmp_path / "1.h5", header, written[1:3], start=1)
    other = write_shard(tmp_path / "2.h5", flows.header(time_units="h"), written[2:], start=2)
    for shards, message in (([first, gap], "expected 2"), ([overlap, first], "expected 2"), ([first, other], "header")):
        with pytest.raises(DatasetError, match=message):
            merge_shards(tmp_path / "merged.h5", shards)
    with h5py.File(first, "r+") as file:
        file["density"][1, 0, 0, 0] += 1
    with pytest.raises(DatasetError, match="density: trajectory 1 does not match"):
        merge_shards(tmp_path / "merged.h5", [first])
    assert not (tmp_path / "merged.h5").exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, path: Path) -> None:
    before = digest(path)
    with pytest.raises(ValueError, match="u of shape"):
        write_dataset(path, flows.header(), [*flows.trajectories(2), *flows.trajectories(1, shape=(8, 7))])
    with pytest.raises(ValueError, match="Expected 3 trajectories, got 2"):
        write_dataset(path, flows.header(), iter(flows.trajectories(2)), count=3)
    assert digest(path) == before and os.listdir(tmp_path) == [path.name]


def test_checksums_find_a_flipped_bit(path: Path) -> None:
    assert verify_checksums(path) == 7
    with h5py.File(path) as file:
        at = file["velocity"].id.get_offset() + 3 * file["velocity"][0].nbytes
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DatasetError, match="velocity: trajectory 3 does not match"):
        verify_checksums(path)


def test_statistics_inside_are_those_of_the_training_split(path: Path) -> None:
    opened = open_native(path)
    assert opened.statistics is not None
    computed = compute_statistics(opened, [0, 1, 4, 5])
    for name in MOMENTS:
        np.testing.assert_allclose(getattr(opened.statistics, name), getattr(computed, name), rtol=1e-12, atol=1e-15)
    assert opened.statistics.count == computed.count == 4 * 5 * 48


def test_statistics_are_replaced_in_a_file(path: Path) -> None:
    computed = compute_statistics(open_native(path), [2])
    store_statistics(path, computed, of="valid")
    found = open_native(path).statistics
    assert found is not None and found.count == computed.count
    np.testing.assert_array_equal(found.std, computed.std)
    assert verify_checksums(path) == 7


def test_particles_of_different_numbers(tmp_path: Path) -> None:
    header, written = flows.particles()
    opened = open_dataset(write_dataset(tmp_path / "particles.h5", header, written))
    assert opened.kind == "particles" and list(opened.nodes) == [9, 8, 7]
    for number, trajectory in enumerate(written):
        u = opened.read(number, slice(1, 3))
        np.testing.assert_array_equal(u[..., :2], trajectory.u[1:3])
        np.testing.assert_array_equal(u[0, :, 2:], trajectory.static)
    with xarray.open_dataset(tmp_path / "particles.h5", engine="h5netcdf") as view:
        assert view["position"].dims == ("sample", "time", "node", "position_component")


def test_own_clocks_and_masks(tmp_path: Path) -> None:
    rng, shape = np.random.default_rng(0), (8, 6)
    written = [
        Trajectory(
            t.u, t.static, t.parameters, t.split, times=rng.random(len(t.u)).cumsum(), mask=rng.random(shape) > 0.5
        )
        for t in flows.trajectories(3)
    ]
    header = flows.header(own_times=True, own_masks=True)
    opened = open_native(write_dataset(tmp_path / "flow.h5", header, written))
    for number, trajectory in enumerate(written):
        np.testing.assert_array_equal(opened.times_of(number), trajectory.times)
        np.testing.assert_array_equal(opened.read_mask(number)[0], trajectory.mask)
    # Masked cells do not count.
    kept = np.concatenate([t.u[:, 0][:, ~t.mask].ravel() for t in written if t.split == "train"])
    assert opened.statistics is not None
    assert opened.statistics.mean[0] == pytest.approx(kept.mean(dtype=np.float64), rel=1e-12)


@pytest.mark.parametrize("space", [(16,), (4, 3), (4, 3, 2)])
def test_one_two_and_three_dimensions(tmp_path: Path, space: tuple[int, ...]) -> None:
    axes = tuple(Axis(name, np.arange(float(n))) for name, n in zip("xyz", space))
    header = Header(channels=(Channel("u"),), axes=axes, times=np.arange(3.0))
    u = np.random.default_rng(0).normal(size=(3, 1, *space)).astype("f4")
    opened = open_native(write_dataset(tmp_path / "u.h5", header, [Trajectory(u)], compression=1))
    np.testing.assert_array_equal(opened.read(0), u)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"density": ""}}, "different names"),
        ({"parameters": {"split": ""}}, "Rename"),
        ({"dtype": "int8"}, "float32"),
        ({"nodes": 3}, "particles"),
        ({"mask": np.zeros((2, 2), bool)}, "mask of shape"),
        ({"channels": (Channel("a b"),)}, "letters"),
        ({"channels": (Channel("c", static=True),)}, "changes in time"),
    ],
)
def test_a_header_that_cannot_be_written_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flows.header(**changes)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.attrs.__setitem__("sciml_layout", "99"), "layout version 99"),
        (lambda file: file.attrs.__setitem__("fields", "density"), "JSON"),
        (lambda file: file.__delitem__("velocity"), "velocity: is missing"),
        (lambda file: file["length"].__setitem__(0, 99), "length: holds 4 to 99"),
        (lambda file: file["density"].attrs.__setitem__("channels", "[1]"), "name, component"),
        (lambda file: (file.__delitem__("density"), file.create_dataset("density", (2, 2), "f4")), "density"),
    ],
)
def test_a_damaged_file_is_one_clear_line(path: Path, edit: object, message: str) -> None:
    with h5py.File(path, "r+") as file:
        edit(file)  # type: ignore[operator]
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_the_date_comes_from_the_caller_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    dated = write_dataset(tmp_path / "a.h5", flows.header(), flows.trajectories(1))
    assert open_native(dated).attributes["date_created"].startswith("1970-01-01")
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert "date_created" not in open_native(write_dataset(dated, flows.header(), flows.trajectories(1))).attributes


@pytest.mark.parametrize("count", [1, 2, 3, 10, 97])
def test_splits_are_disjoint_exhaustive_and_reproducible(count: int) -> None:
    splits = assign_splits(count, seed=3)
    assert sorted(np.concatenate(list(splits.values()))) == list(range(count))
    assert all(np.array_equal(members, assign_splits(count, seed=3)[name]) for name, members in splits.items())
    if count >= 3:
        assert all(len(members) for members in splits.values())
    if count == 97:
        assert [len(members) for members in splits.values()] == [77, 10, 10]


def test_validation_compares_statistics_with_their_split_and_values_with_their_checksums(tmp_path):
    """The test trajectories are a hundred times larger; the statistics are of the training split and right."""
    rng = np.random.default_rng(0)
    header = Header(channels=(Channel("u"),), axes=(Axis("x", np.arange(8.0)),), times=np.arange(3.0))
    size = {"train": 1.0, "test": 100.0}
    parts = [
        Trajectory(u=size[split] * rng.normal(size=(3, 1, 8)), split=split) for split in ("train", "train", "test")
    ]
    path = write_dataset(tmp_path / "a.h5", header, parts)
    assert {finding.severity for finding in validate(path).findings} <= {"note"}
    close_all()
    with h5py.File(path, "r+") as file:
        file["u"][1, 2, 3] += 1e-3
    errors = [finding.what for finding in validate(path).findings if finding.severity == "error"]
    assert len(errors) == 1 and "trajectory 1 does not match its checksum" in errors[0]


def test_more_particles_than_a_dimension_without_values_is_believed_to_have(tmp_path: Path) -> None:
    count = 50_000
    header = Header(
        channels=(Channel("position_x", field="position"), Channel("position_y", field="position")),
        axes=tuple(Axis(name, np.array([0.0, 1.0])) for name in "xy"),
        times=np.arange(2.0),
        kind="particles",
        nodes=count,
    )
    positions = np.random.default_rng(0).random((2, count, 2), dtype=np.float32)
    path = write_dataset(tmp_path / "many.h5", header, [Trajectory(u=positions)])
    np.testing.assert_array_equal(open_dataset(path).read(0), positions)
