"""GNS as TFRecord: the numbers of the .npz form, random access, and damage that is named by its record."""

import json
from pathlib import Path

import numpy as np
import pytest

from sciml.datasets.convert import convert
from sciml.datasets.crc32c import crc32c
from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from sciml.datasets.windows import Trajectories
from tests.datasets.builders import METADATA
from tests.datasets.tfrecords import entry, field, frames, record, sequence_example, strings, varint

GNS = {k: v for k, v in METADATA.items() if k not in ("write_every", "periodic_boundary_conditions")}


def trajectories(context: int = 0) -> list[tuple[np.ndarray, ...]]:
    draw = np.random.default_rng(0)
    return [
        (
            draw.random((frames, nodes, 2)).astype("f4"),
            draw.integers(0, 9, nodes),
            *([draw.random((frames, context)).astype("f4")] if context else []),
        )
        for frames, nodes in ((7, 4), (5, 3), (6, 20))
    ]


def folder(path: Path, data: bytes | None = None, *, context: int = 0, split: str = "train") -> Path:
    path.mkdir(exist_ok=True)
    (path / "metadata.json").write_text(json.dumps(GNS))
    whole = b"".join(record(sequence_example(*parts)) for parts in trajectories(context))
    (path / f"{split}.tfrecord").write_bytes(whole if data is None else data)
    return path


def test_the_checksum_is_that_of_the_standard() -> None:
    """RFC 3720, appendix B.4, and one byte at a time for texts shorter and longer than all lanes."""
    assert crc32c(b"123456789") == 0xE3069283 and crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43 and crc32c(bytes(range(32))) == 0x46DD794E
    for size in (0, 1, 16_383, 16_384, 40_001, 3 * 16_384 + 5):
        text = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
        crc = 0xFFFFFFFF
        for byte in text.tolist():
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        assert crc32c(text.tobytes()) == crc32c(text) == crc ^ 0xFFFFFFFF


def test_the_same_dataset_as_of_npz(tmp_path: Path) -> None:
    files = folder(tmp_path / "tf")
    folder(files, split="test")
    arrays = folder(tmp_path / "np", b"")
    (arrays / "train.tfrecord").unlink()
    gns_data = np.empty(3, dtype=object)
    gns_data[:] = trajectories()
    for split in ("train", "test"):
        np.savez(arrays / f"{split}.npz", gns_data=gns_data)
    found, expected = open_dataset(files), open_dataset(arrays)
    assert found.layout == expected.layout == "gns" and found.channels == expected.channels
    assert found.lengths.tolist() == [7, 5, 6] * 2 and found.nodes.tolist() == [4, 3, 20] * 2
    assert {n: s.tolist() for n, s in found.splits.items()} == {"train": [0, 1, 2], "test": [3, 4, 5]}
    assert found.dt == expected.dt and [a.coordinates.tolist() for a in found.axes] == GNS["bounds"]
    for number in range(6):
        np.testing.assert_array_equal(found.read(number), expected.read(number))
    part = found.read(2, slice(1, 6, 2), names=["particle_type", "position_y"])
    np.testing.assert_array_equal(part, found.read(2)[1:6:2][..., [2, 1]])


def test_one_file_by_its_content_and_through_windows_and_conversion(tmp_path: Path) -> None:
    path = folder(tmp_path / "tf") / "train.tfrecord"
    renamed = path.rename(path.with_name("train.bin"))
    assert open_dataset(renamed).splits["train"].tolist() == [0, 1, 2]
    windows = Trajectories(renamed, split="train", window=2)
    assert len(windows) == 6 + 4 + 5
    np.testing.assert_array_equal(windows[6].u[..., :2], trajectories()[1][0][:2])
    native = open_dataset(convert(renamed, tmp_path / "native.h5").path)
    np.testing.assert_array_equal(native.read(2), open_dataset(renamed).read(2))


@pytest.mark.parametrize("count", [1, 3])
def test_the_step_context_is_the_same_for_all_particles(tmp_path: Path, count: int) -> None:
    dataset = open_dataset(folder(tmp_path / "tf", context=count))
    names = ["step_context"] if count == 1 else [f"step_context_{i}" for i in range(3)]
    assert [channel.name for channel in dataset.channels][3:] == names
    for number, (position, _, context) in enumerate(trajectories(count)):
        u = dataset.read(number)
        np.testing.assert_array_equal(u[..., :2], position)
        np.testing.assert_array_equal(u[..., 3:], np.broadcast_to(context[:, None], (*u.shape[:2], count)))


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    whole = folder(tmp_path / "tf") / "train.tfrecord"
    good = whole.read_bytes()
    first = len(record(sequence_example(*trajectories()[0])))
    for place in range(0, len(good), 7):
        bad = bytearray(good)
        bad[place] ^= 0x10
        whole.write_bytes(bad)
        number = 0 if place < first else "[12]"
        with pytest.raises(DatasetError, match=f"train.tfrecord: record {number}: "):
            read_all(whole)


def read_all(path: Path) -> None:
    dataset = open_dataset(path)
    for number in range(len(dataset)):
        dataset.read(number)


def test_a_truncated_file_is_noticed_at_every_length(tmp_path: Path) -> None:
    path = folder(tmp_path / "tf") / "train.tfrecord"
    good, sizes = path.read_bytes(), [len(record(sequence_example(*parts))) for parts in trajectories()]
    whole = {0, *np.cumsum(sizes).tolist()}
    for length in range(0, len(good), 11):
        path.write_bytes(good[:length])
        if length in whole - {0}:
            continue
        message = "holds no records" if length == 0 else r"record [012]: .*(truncated|checksum)"
        with pytest.raises(DatasetError, match=message):
            read_all(path)


ONE = np.zeros((2, 3, 2), "f4")
LIST = strings(np.zeros(3, "<i8").tobytes())
HOSTILE = {
    "not a message": (b"\xff" * 40, "does not end"),
    "a field beyond the record": (varint(1 << 3 | 2) + varint(10**6), "longer than what holds it"),
    "groups": (b"\x0b\x0c", "unknown wire type 3"),
    "nothing": (b"", "has no particle_type; it holds"),
    "meshes": (field(1, entry("cells", strings(b"x"))), r"has no particle_type; it holds \['cells'\].*meshes"),
    "no positions": (field(1, entry("particle_type", LIST)), "has no position"),
    "two strings": (field(1, entry("particle_type", strings(b"a" * 8, b"b" * 8))), "2 byte strings, expected one"),
    "wrong dimension": (sequence_example(np.zeros((2, 3, 3)), np.zeros(3)), "24 bytes of particle_type and 36"),
    "no frames": (sequence_example(ONE[:0], np.zeros(3)), "position has no frames"),
    "uneven frames": (
        field(1, entry("particle_type", LIST)) + field(2, entry("position", frames([ONE[0], ONE[0, :1]]))),
        "frames of different sizes",
    ),
    "context of other frames": (sequence_example(ONE, np.zeros(3), np.zeros((3, 1))), "step_context of 3 frames for 2"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_trajectory_of_gns_is_named(tmp_path: Path, case: str) -> None:
    data, message = HOSTILE[case]
    good = record(sequence_example(ONE, np.zeros(3)))
    with pytest.raises(DatasetError, match=f"record 1: .*{message}"):
        open_dataset(folder(tmp_path / "tf", good + record(data)))


def test_frames_that_differ_inside_are_found_on_reading(tmp_path: Path) -> None:
    """Three frames whose sizes add up to three of the first."""
    big, small = np.zeros((4, 2), "f4"), np.zeros((2, 2), "f4")
    middle = np.zeros((3, 2), "f4")
    data = field(1, entry("particle_type", LIST)) + field(2, entry("position", frames([middle, big, small])))
    path = folder(tmp_path / "tf", record(data))
    with pytest.raises(DatasetError, match="record 0: position has frames of different sizes"):
        read_all(path)


def test_missing_or_wrong_metadata(tmp_path: Path) -> None:
    path = folder(tmp_path / "tf")
    (path / "metadata.json").write_text(json.dumps({**GNS, "dim": 4}))
    with pytest.raises(DatasetError, match=r"metadata.json: dim: is 4, expected 2 or 3"):
        open_dataset(path)
    (path / "metadata.json").unlink()
    with pytest.raises(DatasetError, match=r"metadata.json: is missing"):
        open_dataset(path / "train.tfrecord")
