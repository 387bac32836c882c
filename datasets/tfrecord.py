"""TFRecord files without TensorFlow: the frames of records, and as much of the protocol buffers in them as GNS needs.

A record is its length (8 bytes, little-endian), the masked CRC-32C of those, the data, and the masked CRC-32C of the
data (tensorflow/core/lib/io/record_writer.h). A ``SequenceExample`` is a protocol buffer of maps from names to
features, each a list of byte strings, floats or integers (tensorflow/core/example/example.proto). Nothing is executed,
and every length is checked against what surrounds it before it is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .crc32c import masked_crc32c
from .errors import DatasetError

HEADER, FOOTER = 12, 4
REMEDY = "Fetch it again."


@dataclass(frozen=True)
class Span:
    """Bytes of a file: from ``start`` up to ``stop``."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Frames:
    """Byte strings of equal size at equal distances, one a frame.

    Attributes:
        start: of the first frame's bytes in the file.
        size: of each.
        stride: from one to the next.
        count: how many.
        header: bytes before each, the same for all.
    """

    start: int
    size: int
    stride: int
    count: int
    header: int


def is_tfrecord(path: Path) -> bool:
    """Whether a file begins with a length and its checksum."""
    with open(path, "rb") as file:
        head = file.read(HEADER)
    return len(head) == HEADER and masked_crc32c(head[:8]) == int.from_bytes(head[8:], "little")


def mapped(path: Path) -> np.ndarray:
    """The file as bytes in memory, read where they are looked at."""
    state = path.stat()
    return _mapped(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _mapped(path: Path, modified: int, size: int) -> np.ndarray:
    return np.asarray(np.memmap(path, np.uint8, "r")) if size else np.empty(0, np.uint8)


def records(path: Path) -> list[Span]:
    """Where the data of each record lies; of each record, only the length is read, and checked.

    Raises:
        DatasetError: a damaged length, or a file that ends within a record.
    """
    content, start = mapped(path), 0
    found: list[Span] = []
    while start < len(content):
        head = content[start : start + HEADER].tobytes()
        length = int.from_bytes(head[:8], "little")
        if len(head) == HEADER and masked_crc32c(head[:8]) != int.from_bytes(head[8:], "little"):
            raise DatasetError(path, "its length has a wrong checksum.", where=_name(found), remedy=REMEDY)
        data = Span(start + HEADER, start + HEADER + length)
        if len(head) < HEADER or data.stop + FOOTER > len(content):
            problem = f"the file ends within it, at byte {len(content)}: it is truncated."
            raise DatasetError(path, problem, where=_name(found), remedy=REMEDY)
        found.append(data)
        start = data.stop + FOOTER
    return found


def check_record(path: Path, number: int, data: Span) -> None:
    """Compare a record with its checksum.

    Raises:
        DatasetError: they differ.
    """
    content = mapped(path)
    stored = int.from_bytes(content[data.stop : data.stop + FOOTER].tobytes(), "little")
    if masked_crc32c(content[data.start : data.stop]) != stored:
        raise DatasetError(path, "its data have a wrong checksum.", where=f"record {number}", remedy=REMEDY)


class SequenceExample:
    """The features of one record by name."""

    def __init__(self, path: Path, number: int, data: Span) -> None:
        self._path, self._number, self._content = path, number, mapped(path)
        self.context = self._entries(data, 1)
        self.lists = self._entries(data, 2)

    def bytes_of(self, name: str) -> Span | None:
        """Where the only byte string of a feature of the context lies; None without such a feature.

        Raises:
            DatasetError: a feature of another kind.
        """
        feature = self.context.get(name)
        return None if feature is None else self._byte_string(feature, name)

    def frames_of(self, name: str) -> Frames | None:
        """Where the byte strings of a feature list lie, one of equal size a frame; None without such a list.

        The first tells the size of all; ``check_frames`` compares the others with it.

        Raises:
            DatasetError: features of another kind, or of different sizes.
        """
        whole = self.lists.get(name)
        if whole is None:
            return None
        first = next((span for field, span in self._fields(whole) if field == 1), None)
        if first is None:
            raise self._damaged(f"{name} has no frames")
        inner = self._byte_string(first, name)
        stride = first.stop - whole.start
        if len(whole) % stride or inner.stop != first.stop:
            raise self._damaged(f"{name} has frames of different sizes")
        return Frames(inner.start, len(inner), stride, len(whole) // stride, inner.start - whole.start)

    def check_frames(self, frames: Frames, name: str) -> None:
        """Raise a ``DatasetError`` unless all frames are written like the first."""
        begin = frames.start - frames.header
        rows = self._content[begin : begin + frames.stride * frames.count].reshape(frames.count, frames.stride)
        if (rows[:, : frames.header] != rows[0, : frames.header]).any():
            raise self._damaged(f"{name} has frames of different sizes")

    def _byte_string(self, feature: Span, name: str) -> Span:
        lists = [span for field, span in self._fields(feature) if field == 1]
        strings = [span for inner in lists for field, span in self._fields(inner) if field == 1]
        if len(strings) != 1:
            raise self._damaged(f"{name} holds {len(strings)} byte strings, expected one")
        return strings[0]

    def _entries(self, message: Span, number: int) -> dict[str, Span]:
        """Name -> value of a map in the field of that number."""
        found = {}
        for outer in [span for field, span in self._fields(message) if field == number]:
            for entry in [span for field, span in self._fields(outer) if field == 1]:
                parts = dict(self._fields(entry))
                name = self._content[parts[1].start : parts[1].stop].tobytes() if 1 in parts else b""
                found[name.decode("utf8", "replace")] = parts.get(2, Span(entry.stop, entry.stop))
        return found

    def _fields(self, message: Span) -> Iterator[tuple[int, Span]]:
        """(number, place) of the length-delimited fields of a message; numbers in it are skipped."""
        at = message.start
        while at < message.stop:
            tag, at = self._varint(at, message.stop)
            kind = tag & 7
            if kind == 0:
                _, at = self._varint(at, message.stop)
                continue
            if kind not in (1, 2, 5):
                raise self._damaged(f"has a field of the unknown wire type {kind}")
            length, at = self._varint(at, message.stop) if kind == 2 else ((8 if kind == 1 else 4), at)
            if at + length > message.stop:
                raise self._damaged("has a field that is longer than what holds it")
            if kind == 2:
                yield tag >> 3, Span(at, at + length)
            at += length

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        value = 0
        for place, byte in enumerate(self._content[at : min(at + 10, stop)].tolist()):
            value |= (byte & 127) << (7 * place)
            if byte < 128:
                return value, at + place + 1
        raise self._damaged("has a number that does not end")

    def _damaged(self, problem: str) -> DatasetError:
        remedy = "Expected a SequenceExample as GNS writes it: fetch it again, or convert it to .npz."
        return DatasetError(self._path, f"{problem}.", where=f"record {self._number}", remedy=remedy)


def _name(found: list[Span]) -> str:
    return f"record {len(found)}"
