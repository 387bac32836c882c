"""LagrangeBench and GNS: lengths from the positions, boxes from the metadata, and no code run from data."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml.datasets.errors import DatasetError
from sciml.datasets.handles import close_all
from sciml.datasets.open import open_dataset
from tests.datasets.builders import METADATA, SIZES, coded, write_lagrangebench

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts" / "lagrangebench" / "3D_LJ_3_1214every1"


def positions(frames: int, nodes: int) -> np.ndarray:
    return coded(("time", "node", "channel"), {**SIZES, "time": frames, "node": nodes})


def test_a_directory_of_splits(tmp_path):
    folder = write_lagrangebench(tmp_path / "2D_TGV", lengths={"train": [5, 4], "valid": [3], "test": [3, 6]})
    dataset = open_dataset(folder)
    assert dataset.kind == "particles" and dataset.shape == ()
    assert dataset.lengths.tolist() == [5, 4, 3, 3, 6]  # not the metadata's sequence_length
    assert dataset.nodes.tolist() == [4, 3, 4, 4, 3]
    assert {n: s.tolist() for n, s in dataset.splits.items()} == {"train": [0, 1], "valid": [2], "test": [3, 4]}
    whole = dataset.read(4)
    assert whole.shape == (6, 3, 3) and whole.dtype == np.float32
    assert np.array_equal(whole[..., :2], positions(6, 3)) and np.array_equal(whole[2, :, 2], [0, 1, 2])
    assert [c.name for c in dataset.channels] == ["position_x", "position_y", "particle_type"]
    assert dataset.dt == pytest.approx(0.1)  # dt * write_every
    assert dataset.times_of(2) == pytest.approx([0, 0.1, 0.2])


def test_box_and_periodicity(tmp_path):
    dataset = open_dataset(write_lagrangebench(tmp_path / "p", lengths={"train": [5]}))
    assert [a.coordinates.tolist() for a in dataset.axes] == [[0, 1], [-1, 2]]
    assert [a.boundary for a in dataset.axes] == ["periodic", "wall"]  # three entries in the file, even in 2D
    assert dataset.attributes["vel_std"] == [1.0, 1.0]


def test_one_file_is_its_split_and_windows_are_parts(tmp_path):
    folder = write_lagrangebench(tmp_path / "p", lengths={"train": [5, 4], "test": [6]})
    dataset = open_dataset(folder / "test.h5")
    assert dataset.splits["test"].tolist() == [0]
    part = dataset.read(0, slice(1, 5, 2), names=["particle_type", "position_y"])
    assert np.array_equal(part, dataset.read(0)[1:5:2][:, :, [2, 1]])


def test_the_suites_own_files():
    dataset = open_dataset(LAYOUTS)
    assert dataset.lengths.tolist() == [1214, 405, 405]
    with h5py.File(LAYOUTS / "test.h5") as file:
        assert np.array_equal(dataset.read(2, slice(7, 9))[..., :3], file["00000/position"][7:9])
    assert [a.boundary for a in dataset.axes] == ["periodic"] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "metadata.json: is missing"),
        ("{", "metadata.json: is not JSON"),
        ("[]", "is not a JSON table"),
        (json.dumps({**METADATA, "bounds": [[0, 1]]}), "metadata.json: bounds: is"),
        (json.dumps({**METADATA, "dt": "fast"}), "metadata.json: dt: is 'fast', expected a number"),
    ],
)
def test_bad_metadata_is_named(tmp_path, change, message):
    folder = write_lagrangebench(tmp_path / "p", lengths={"train": [5]})
    (folder / "metadata.json").unlink()
    if change is not None:
        (folder / "metadata.json").write_text(change)
    with pytest.raises(DatasetError, match=message):
        open_dataset(folder / "train.h5")


def test_bad_positions_are_named(tmp_path):
    folder = write_lagrangebench(tmp_path / "p", lengths={"train": [5, 5]})
    with h5py.File(folder / "train.h5", "a") as file:
        del file["00001/particle_type"]
        file["00001/particle_type"] = np.zeros(9)
    with pytest.raises(DatasetError, match=r"00001/particle_type: has shape \(9,\), expected \(3,\)"):
        open_dataset(folder)
    close_all()
    with h5py.File(folder / "train.h5", "a") as file:
        del file["00001/position"]
        file["00001/position"] = np.zeros((5, 3, 3))
    with pytest.raises(DatasetError, match=r"00001/position: has shape \(5, 3, 3\), expected \(time, node, 2\)"):
        open_dataset(folder)


def objects(*values: object) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def gns_folder(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir()
    (folder / "metadata.json").write_text(json.dumps({k: v for k, v in METADATA.items() if k != "write_every"}))
    np.savez(folder / "train.npz", **arrays)
    return folder


def gns_forms() -> dict[str, dict[str, np.ndarray]]:
    first, second = (positions(5, 4), np.arange(4)), (positions(4, 3), 5)
    return {
        "gns_data": {"gns_data": objects(first, second)},
        "one key each": {"trajectory_0": objects(*first), "trajectory_1": objects(*second)},
        "material": {"gns_data": objects((*first, np.array([2.5])), (*second, 3.5))},
    }


@pytest.mark.parametrize("form", gns_forms())
def test_gns_object_arrays(tmp_path, form):
    dataset = open_dataset(gns_folder(tmp_path / "g", **gns_forms()[form]))
    assert dataset.layout == "gns" and dataset.lengths.tolist() == [5, 4] and dataset.nodes.tolist() == [4, 3]
    assert np.array_equal(dataset.read(0)[..., :2], positions(5, 4))
    assert np.array_equal(dataset.read(0)[1, :, 2], np.arange(4)) and (dataset.read(1)[..., 2] == 5).all()
    assert dataset.dt == pytest.approx(0.01) and dataset.splits["train"].tolist() == [0, 1]
    assert dataset.parameters.get("material", np.array([2.5, 3.5])).tolist() == [2.5, 3.5]


def test_gns_plain_arrays_need_no_pickle(tmp_path):
    dataset = open_dataset(gns_folder(tmp_path / "g", a=positions(5, 4), b=positions(3, 2)))
    assert np.array_equal(dataset.read(1)[..., :2], positions(3, 2)) and (dataset.read(1)[..., 2] == 0).all()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_pickled_by_any_protocol(tmp_path, protocol):
    folder = gns_folder(tmp_path / "g", a=np.zeros(1))
    pickled_npz(folder / "train.npz", pickle.dumps(objects((positions(5, 4), np.arange(4))), protocol))
    assert np.array_equal(open_dataset(folder).read(0)[..., :2], positions(5, 4))


def pickled_npz(path: Path, payload: bytes) -> None:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("gns_data.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload)


class Attack:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (lambda mark: Attack(os.system, f"touch {mark}"), "posix.system|nt.system"),
        (lambda mark: Attack(eval, f"open({str(mark)!r}, 'w')"), "builtins.eval"),
        (lambda mark: Attack(np.load, str(mark)), "load"),
        (lambda mark: Attack(getattr, np, "save"), "builtins.getattr"),
    ],
)
def test_a_malicious_pickle_is_refused(tmp_path, attack, named):
    folder, mark = gns_folder(tmp_path / "g", a=np.zeros(1)), tmp_path / "mark"
    try:
        payload = pickle.dumps(attack(mark))
    except TypeError:  # a module cannot be pickled: name it by hand
        payload = b"cbuiltins\ngetattr\n(S'a'\nS'b'\ntR."
    pickled_npz(folder / "train.npz", payload)
    with pytest.raises(DatasetError, match=f"a pickle that is refused: it would call .*({named})"):
        open_dataset(folder)
    assert not mark.exists()


def test_a_tfrecord_file_of_something_else(tmp_path):
    (tmp_path / "metadata.json").write_text(json.dumps(METADATA))
    (tmp_path / "train.tfrecord").write_bytes(b"\x10" * 64)
    for path in (tmp_path, tmp_path / "train.tfrecord"):
        with pytest.raises(DatasetError, match=r"record 0: its length has a wrong checksum. Fetch it again"):
            open_dataset(path)
