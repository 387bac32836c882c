"""LagrangeBench written: round trips through our reader, the suite's own statistics, and what cannot be written."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml.datasets.convert import convert
from sciml.datasets.errors import DatasetError
from sciml.datasets.lagrangebench_writer import write_lagrangebench
from sciml.datasets.memory import dataset_from_particles
from sciml.datasets.open import open_dataset
from sciml.datasets.particle_statistics import motion_statistics
from tests.datasets.test_gns_tfrecord import folder as gns_folder

LENNARD_JONES = Path(__file__).parents[1] / "data/layouts/lagrangebench/3D_LJ_3_1214every1"
KEYS = {
    "case", "solver", "density_evolution", "dim", "dx", "dt", "t_end", "viscosity", "p_bg_factor", "g_ext_magnitude",
    "artificial_alpha", "free_slip", "write_every", "is_bc_trick", "sequence_length_train", "num_trajs_train",
    "sequence_length_test", "num_trajs_test", "num_particles_max", "periodic_boundary_conditions", "bounds",
    "default_connectivity_radius", "vel_mean", "vel_std", "acc_mean", "acc_std", "description",
}  # fmt: skip


def walkers(*, periodic: bool = True, count: int = 4, frames: int = 9, nodes: int = 30, dim: int = 2):
    """Random walks of fluid beside walls that stay."""
    draw = np.random.default_rng(0)
    types = [np.where(np.arange(nodes) < nodes - 5, 0, 1) for _ in range(count)]
    steps = 0.02 * draw.standard_normal((count, frames, nodes, dim)) * (types[0] == 0)[:, None]
    x = (draw.random((count, 1, nodes, dim)) + steps.cumsum(1)).astype("f4")
    x = x % 1 if periodic else x
    splits = {"train": np.arange(count - 2), "valid": np.array([count - 2]), "test": np.array([count - 1])}
    return (
        dataset_from_particles(
            list(x), types=types, bounds=[[0.0, 1.0]] * dim, dt=0.1, periodic=periodic, splits=splits
        ),
        np.stack(list(x)),
        types,
    )


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("dim", [2, 3])
def test_a_round_trip(tmp_path: Path, periodic: bool, dim: int) -> None:
    dataset, x, types = walkers(periodic=periodic, dim=dim)
    lost = write_lagrangebench(dataset, tmp_path / "made")
    back = open_dataset(tmp_path / "made")
    assert back.layout == "lagrangebench" and lost == ()
    for number in range(4):
        u = back.read(number)
        np.testing.assert_array_equal(u[..., :dim], x[number])
        np.testing.assert_array_equal(u[0, :, dim], types[number])
    assert {n: m.tolist() for n, m in back.splits.items()} == {"train": [0, 1], "valid": [2], "test": [3]}
    assert (
        back.dt == pytest.approx(0.1) and [a.boundary for a in back.axes] == ["periodic" if periodic else "wall"] * dim
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"]


def test_all_keys_are_there_and_say_what_the_files_hold(tmp_path: Path) -> None:
    dataset, x, types = walkers()
    write_lagrangebench(dataset, tmp_path / "made", metadata={"dx": 0.02, "viscosity": 0.1})
    found = json.loads((tmp_path / "made/metadata.json").read_text())
    assert set(found) == KEYS
    assert found["case"] == "made" and found["viscosity"] == 0.1 and found["solver"] is None
    assert found["sequence_length_train"] == 8 and found["num_trajs_train"] == 2 and found["num_trajs_test"] == 1
    assert found["num_particles_max"] == 30 and found["periodic_boundary_conditions"] == [True] * 3
    assert found["default_connectivity_radius"] == 0.029  # the suite's, of dx = 0.02
    assert found["dt"] * found["write_every"] == pytest.approx(0.1) and found["t_end"] == pytest.approx(0.8)
    velocity = np.diff(x[:, :, types[0] == 0].astype("f8"), axis=1)
    velocity -= np.round(velocity)
    acceleration = np.diff(velocity, axis=1)
    for name, values in (("vel", velocity), ("acc", acceleration)):
        np.testing.assert_allclose(found[f"{name}_mean"], values.mean((0, 1, 2)), atol=1e-12)
        np.testing.assert_allclose(found[f"{name}_std"], values.std((0, 1, 2)), rtol=1e-9)


def test_statistics_are_the_suites_own() -> None:
    """Their test data has those of train and valid, which a former script computed in single precision."""
    dataset = open_dataset(LENNARD_JONES)
    found = motion_statistics(dataset, [0, 1])
    for name in ("vel_std", "acc_std"):
        np.testing.assert_allclose(getattr(found, name), dataset.attributes[name], rtol=2e-5)
    np.testing.assert_allclose(found.vel_mean, dataset.attributes["vel_mean"], atol=1e-7)


def test_statistics_do_not_depend_on_pieces(monkeypatch) -> None:
    dataset, _, types = walkers()
    keep = [kind == 0 for kind in types]
    whole = motion_statistics(dataset, keep=keep)
    monkeypatch.setattr("sciml.datasets.particle_statistics.PIECE", 1000)
    parts = motion_statistics(dataset, keep=keep)
    for name in ("vel_mean", "vel_std", "acc_mean", "acc_std"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=1e-15)


def test_what_stands_still_has_deviation_one(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((1, 20, 2)).repeat(5, 0).astype("f4")
    write_lagrangebench(dataset_from_particles([x], bounds=[[0.0, 1.0]] * 2, dt=1.0), tmp_path / "made")
    found = json.loads((tmp_path / "made/metadata.json").read_text())
    assert found["vel_std"] == [1, 1] and found["acc_std"] == [1, 1] and found["vel_mean"] == [0, 0]


def test_the_distance_of_particles_is_found(tmp_path: Path) -> None:
    axis = (np.arange(10) + 0.5) / 10
    x = np.stack(np.meshgrid(axis, axis), -1).reshape(1, -1, 2).repeat(3, 0).astype("f4")
    write_lagrangebench(dataset_from_particles([x], bounds=[[0.0, 1.0]] * 2, dt=1.0), tmp_path / "made")
    found = json.loads((tmp_path / "made/metadata.json").read_text())
    assert found["dx"] == pytest.approx(0.1) and found["default_connectivity_radius"] == pytest.approx(0.14, abs=0.011)


def test_positions_outside_are_wrapped_and_those_inside_kept(tmp_path: Path) -> None:
    x = np.float32([[-0.1, 0.3], [1.0, 1.2], [-1e-9, 0.999]])[None].repeat(4, 0)
    dataset = dataset_from_particles([x], bounds=[[0.0, 1.0]] * 2, dt=1.0, periodic=[True, False])
    lost = write_lagrangebench(dataset, tmp_path / "made")
    found = open_dataset(tmp_path / "made").read(0)[0]
    np.testing.assert_allclose(found[:, :2], [[0.9, 0.3], [0, 1.2], [0, 0.999]], atol=1e-6)
    assert (found[:, 0] < 1).all() and "Walls" in lost[-1]


def test_the_suites_own_files_come_back(tmp_path: Path) -> None:
    done = convert(LENNARD_JONES, tmp_path / "again", layout="lagrangebench")
    assert done.trajectories == 3 and done.lost == ()
    found, expected = open_dataset(tmp_path / "again"), open_dataset(LENNARD_JONES)
    for number in range(3):
        np.testing.assert_array_equal(found.read(number), expected.read(number))
    for name in ("solver", "dx", "dt", "bounds", "default_connectivity_radius", "description", "num_particles_max"):
        assert found.attributes[name] == expected.attributes[name]
    with h5py.File(tmp_path / "again/train.h5") as file:
        assert file["00000/position"].dtype == np.float32 and file["00000/position"].compression == "gzip"
        assert file["00000/particle_type"].dtype.kind == "i"


def test_gns_becomes_lagrangebench(tmp_path: Path) -> None:
    source = gns_folder(tmp_path / "gns")
    done = convert(source, tmp_path / "made", layout="lagrangebench")
    assert any("Materials" in line for line in done.lost) and any("lengths" in line for line in done.lost)
    found, expected = open_dataset(tmp_path / "made"), open_dataset(source)
    for number in range(3):
        here, there = found.read(number), expected.read(number)
        np.testing.assert_array_equal(here[..., :2], there[..., :2])
        renamed = np.where(there[0, :, 2] == 3, 1, np.where(there[0, :, 2] == 0, 3, 0))
        np.testing.assert_array_equal(here[0, :, 2], renamed)
    native = convert(tmp_path / "made", tmp_path / "native.h5").path
    again = convert(native, tmp_path / "again", layout="lagrangebench").path
    np.testing.assert_array_equal(open_dataset(again).read(2), found.read(2))


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    dataset, x, _ = walkers()
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="a directory that does not exist"):
        write_lagrangebench(dataset, tmp_path / "there")
    odd = {"bounds": [[0.0, 1.0]] * 2, "dt": 0.1}
    with pytest.raises(ValueError, match=r"types from -1 to 8, got 0 to 9 in trajectory 0"):
        write_lagrangebench(dataset_from_particles([x[0]], types=[np.arange(30) % 10], **odd), tmp_path / "a")
    with pytest.raises(ValueError, match=r"splits out of .* got \['other'\]"):
        write_lagrangebench(dataset_from_particles([x[0]], splits={"other": np.array([0])}, **odd), tmp_path / "a")
    with pytest.raises(DatasetError, match="three frames with particles that count"):
        write_lagrangebench(dataset_from_particles([x[0]], types=[np.ones(30, int)], **odd), tmp_path / "a")
    with pytest.raises(DatasetError, match=r"Expected particles with a position"):
        write_lagrangebench(open_dataset(Path(__file__).parents[1] / "data/layouts/pdegym/NS-Sines.nc"), tmp_path / "a")

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lagrangebench(dataset, tmp_path / "a", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": []}, "at least one trajectory"),
        ({"positions": [np.zeros((3, 4, 5), "f4")]}, r"positions 0: has shape \(3, 4, 5\)"),
        ({"types": [np.zeros(3)]}, "types of shape"),
        ({"bounds": [[0.0, 1.0]]}, r"bounds of shape \(2, 2\)"),
        ({"periodic": [True]}, "periodic of shape"),
    ],
)
def test_arrays_that_disagree_are_named(change: dict, message: str) -> None:
    given = {"positions": [np.zeros((3, 4, 2), "f4")], "bounds": [[0.0, 1.0]] * 2, "dt": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        dataset_from_particles(given.pop("positions"), **given)
