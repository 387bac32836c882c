"""TFRecord files of GNS written by hand: framing, checksums and protocol buffers."""

import struct
from collections.abc import Sequence

import numpy as np

from sciml.datasets.crc32c import masked_crc32c


def record(data: bytes) -> bytes:
    """One record as it is stored."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def strings(*values: bytes) -> bytes:
    """A feature of byte strings."""
    return field(1, b"".join(field(1, value) for value in values))


def entry(name: str, value: bytes) -> bytes:
    """One entry of a map."""
    return field(1, field(1, name.encode()) + field(2, value))


def sequence_example(positions: np.ndarray, types: np.ndarray, context: np.ndarray | None = None) -> bytes:
    """Positions (time, node, dimension), types (node,), step context (time, number)."""
    number = field(3, field(1, varint(7)))  # an Int64List, packed
    features = entry("key", number) + entry("particle_type", strings(types.astype("<i8").tobytes()))
    lists = {"position": positions} if context is None else {"step_context": context, "position": positions}
    return field(1, features) + field(2, b"".join(entry(name, frames(values)) for name, values in lists.items()))


def frames(values: np.ndarray | Sequence[np.ndarray]) -> bytes:
    """A feature list, one byte string a frame."""
    return b"".join(field(1, strings(np.asarray(frame, "<f4").tobytes())) for frame in values)
