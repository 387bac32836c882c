"""From stored axes to canonical ones: one slice of a variable, and several of them in one array."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .variable import Selection, Variable


def read_variable(
    variable: Variable, trajectory: int, time: slice, space: Mapping[str, slice], components: slice = slice(None)
) -> np.ndarray:
    """One slice of a variable as (time, channel, *space), of length 1 along the axes it does not vary on.

    Args:
        variable: what to read.
        trajectory: its number.
        time: which frames; a slice with explicit bounds.
        space: which points of each spatial axis (of "node" for particles), in canonical order.
        components: which of its channels.
    """
    whole_tensor = variable.axes.count("channel") > 1
    entries: dict[str, int | slice] = {
        "sample": trajectory,
        "time": time,
        "channel": slice(None) if whole_tensor else components,
        **space,
    }
    selection: Selection = tuple(entries[axis] for axis in variable.axes)
    block = variable.source(trajectory, selection)
    stored = [axis for axis in variable.axes if axis != "sample"]
    order = ["time", *["channel"] * max(1, stored.count("channel")), *space]
    block = _aligned(block, stored, order)
    frames, *tensor = block.shape[: block.ndim - len(space)]
    block = block.reshape(frames, math.prod(tensor), *block.shape[block.ndim - len(space) :])
    return block[:, components] if whole_tensor else block


def _aligned(block: np.ndarray, stored: Sequence[str], order: Sequence[str]) -> np.ndarray:
    """``block`` with its axes in ``order``; axes it lacks are added with length 1. A view."""
    # A tensor field has the axis "channel" twice: number the repetitions, their order is the same on both sides.
    have, want = _numbered(stored), _numbered(order)
    block = block.transpose([have.index(axis) for axis in want if axis in have])
    return block[tuple(slice(None) if axis in have else None for axis in want)]


def _numbered(axes: Sequence[str]) -> list[tuple[str, int]]:
    return [(axis, list(axes[:i]).count(axis)) for i, axis in enumerate(axes)]


def stack(
    blocks: Sequence[tuple[np.ndarray, Mapping[int, int]]], shape: tuple[int, ...], *, channel_axis: int = 1
) -> np.ndarray:
    """Blocks of (time, channel, *space) written into one array of that shape, repeated where they do not vary.

    Args:
        blocks: each with a map from the channel of the result to its own.
        shape: of the result, (time, channel, *space).
        channel_axis: where the result has its channel axis in memory and on return: 1, or -1 for particles.

    Returns:
        Of the widest dtype of the blocks, float32 at least.
    """
    dtype = np.result_type(np.float32, *(block.dtype for block, _ in blocks if block.dtype.kind == "f"))
    if len(blocks) == 1 and channel_axis == 1 and _is_result(*blocks[0], shape, dtype):
        return blocks[0][0]
    time, channel, *space = shape
    result = np.empty((time, channel, *space) if channel_axis == 1 else (time, *space, channel), dtype)
    canonical = np.moveaxis(result, channel_axis, 1)
    for block, places in blocks:
        for place, component in places.items():
            canonical[:, place] = block[:, component]
    return result


def _is_result(block: np.ndarray, places: Mapping[int, int], shape: tuple[int, ...], dtype: np.dtype) -> bool:
    in_order = all(place == component for place, component in places.items())
    return in_order and block.shape == shape and block.dtype == dtype and block.flags.c_contiguous
