"""CRC-32C (Castagnoli) in NumPy: many stretches of the data side by side, then joined.

The checksum of a text is linear in it over GF(2), so that of two texts end to end follows from theirs: the first's,
moved on by as many zero bytes as the second has, plus the second's (as zlib's ``crc32_combine``).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

POLYNOMIAL = 0x82F63B78  # reflected
MASK = 0xA282EAD8  # of TFRecord, which stores checksums rotated and shifted
LANES = 4096


def masked_crc32c(data: bytes | np.ndarray) -> int:
    """The checksum as TFRecord stores it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + MASK) & 0xFFFFFFFF


def crc32c(data: bytes | np.ndarray) -> int:
    """CRC-32C of bytes."""
    content = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    words = len(content) // (4 * LANES)
    crc = 0xFFFFFFFF
    if words:
        whole = content[: 4 * LANES * words]
        # The state before it counts as four bytes more at the front of the text.
        crc = _joined(_lanes(whole.reshape(LANES, -1)), 4 * words) ^ _moved(crc, 4 * LANES * words)
        content = content[len(whole) :]
    table = _byte_table()
    for byte in content.tobytes():
        crc = int(table[(crc ^ byte) & 0xFF]) ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _lanes(rows: np.ndarray) -> np.ndarray:
    """The state after each row (lane, byte), from state zero, four bytes at a time."""
    low, high = _word_tables()
    words = np.ascontiguousarray(np.ascontiguousarray(rows).view("<u4").T)
    crc = np.zeros(len(rows), np.uint32)
    for word in words:
        crc ^= word
        crc = low[crc & 0xFFFF] ^ high[crc >> 16]
    return crc


def _joined(crc: np.ndarray, size: int) -> int:
    """The state after all rows of ``size`` bytes, neighbours joined in pairs."""
    while len(crc) > 1:
        crc = _apply(_advance(size), crc[0::2]) ^ crc[1::2]
        size *= 2
    return int(crc[0])


def _moved(crc: int, size: int) -> int:
    """A state moved on by zero bytes."""
    return int(_apply(_advance(size), np.array([crc], np.uint32))[0])


def _apply(matrix: np.ndarray, crc: np.ndarray) -> np.ndarray:
    """A matrix over GF(2), given by the images of single bits, on states."""
    result = np.zeros_like(crc)
    for bit, image in enumerate(matrix):
        result ^= np.where(crc >> np.uint32(bit) & np.uint32(1), image, np.uint32(0))
    return result


@lru_cache(maxsize=64)
def _advance(size: int) -> np.ndarray:
    """The matrix that moves a state on by ``size`` zero bytes, by repeated squaring."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    table = _byte_table()
    power, result = table[bits & 0xFF] ^ (bits >> np.uint32(8)), bits
    while size:
        if size & 1:
            result = _apply(power, result)
        power, size = _apply(power, power), size >> 1
    return result


@lru_cache(maxsize=1)
def _byte_table() -> np.ndarray:
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = (crc >> np.uint32(1)) ^ np.where(crc & np.uint32(1), np.uint32(POLYNOMIAL), np.uint32(0))
    return crc


@lru_cache(maxsize=1)
def _word_tables() -> tuple[np.ndarray, np.ndarray]:
    """The state after four bytes, by the lower and the upper half of (state xor bytes)."""
    halves = np.arange(1 << 16, dtype=np.uint32)
    matrix = _advance(4)
    return _apply(matrix, halves), _apply(matrix, halves << np.uint32(16))
