"""Which unknowns of a sweep can be updated at once: wavefronts of the natural order, or colours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


class Schedule(NamedTuple):
    """Sets of unknowns in the order in which a sweep visits them; no two of a set are coupled.

    Attributes:
        order: all unknowns, set after set.
        sizes: of the sets.
    """

    order: Int[Tensor, " unknown"]
    sizes: tuple[int, ...]


def wavefronts(neighbours: Int[Tensor, "coupling unknown"]) -> Schedule:
    """A sweep in natural order, as few sets as possible: the anti-diagonals of a grid of nearest neighbours.

    A set holds what depends on earlier sets alone (level scheduling; Saad, "Iterative Methods for Sparse Linear
    Systems", 2003, section 11.6), so that the result is that of visiting one unknown after another.
    """
    return _schedule(_levels(_symmetric(neighbours.cpu().numpy())), neighbours.device)


def colours(neighbours: Int[Tensor, "coupling unknown"]) -> Schedule:
    """Greedy colouring in natural order: every unknown gets the first colour that none of its neighbours before has."""
    table = _symmetric(neighbours.cpu().numpy())
    level = _levels(table)
    count = table.shape[1]
    colour = np.zeros(count, dtype=np.int64)
    order = np.argsort(level, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(level))[:-1]):
        near = table[:, rows]
        taken = np.where(near < rows, colour[near], -1)
        choice = np.zeros(len(rows), dtype=np.int64)
        while (clash := (taken == choice).any(axis=0)).any():
            choice += clash
        colour[rows] = choice
    return _schedule(colour, neighbours.device)


def _levels(table: np.ndarray) -> np.ndarray:
    """The length of the longest chain of ever smaller neighbours that starts at each unknown."""
    count = table.shape[1]
    own = np.arange(count)
    waiting = (table < own).sum(axis=0)
    target = np.broadcast_to(own, table.shape)[table < own]
    source = table[table < own]
    order = np.argsort(source, kind="stable")
    target, begin = target[order], np.concatenate([[0], np.cumsum(np.bincount(source, minlength=count))])
    level, front, depth = np.zeros(count, dtype=np.int64), np.flatnonzero(waiting == 0), 0
    while len(front):
        level[front] = depth
        lengths = begin[front + 1] - begin[front]
        first = np.repeat(begin[front] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        reached = target[first + np.arange(lengths.sum())]
        np.subtract.at(waiting, reached, 1)
        front, depth = np.unique(reached[waiting[reached] == 0]), depth + 1
    return level


def _symmetric(table: np.ndarray) -> np.ndarray:
    """The table with further rows, so that whoever is coupled to an unknown is also among its neighbours."""
    count = table.shape[1]
    own = np.broadcast_to(np.arange(count), table.shape)
    real = table != own
    source, target = own[real], table[real]
    missing = ~np.isin(target * count + source, source * count + target)
    if not missing.any():
        return table
    pairs = np.unique(target[missing] * count + source[missing])
    at, other = np.divmod(pairs, count)
    place = np.arange(len(at)) - np.searchsorted(at, at)
    extra = np.broadcast_to(np.arange(count), (place.max() + 1, count)).copy()
    extra[place, at] = other
    return np.concatenate([table, extra])


def _schedule(label: np.ndarray, device: torch.device) -> Schedule:
    order = torch.from_numpy(np.argsort(label, kind="stable")).to(device)
    return Schedule(order, tuple(int(n) for n in np.bincount(label)))
