"""The whole forward solution as polynomials, one a step and sample, in tables that are read for all samples at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..state import State, broadcast, map_state, select
from .gradient_stepper import VectorField, interpolant
from .protocol import TakenStep


class Trajectory:
    """Records the dense output of each accepted step by its values at as many points as its polynomial needs.

    A scheme without dense output gets the cubic through the ends of its steps, at the cost of two evaluations a step.

    Args:
        field: the vector field that is solved.
        t0, end: first and last times, (batch,).
        order: of the dense output, None without one.
    """

    def __init__(self, field: VectorField, t0: Tensor, end: Tensor, order: int | None) -> None:
        self._field, self._sign = field, torch.sign(end - t0)
        self._nodes = _lobatto(1 + (3 if order is None else order))
        self._count = torch.zeros_like(t0, dtype=torch.int64)
        self._where: list[tuple[Tensor, Tensor]] = []
        self._clocks: list[Tensor] = []
        self._values: list[State] = []
        self._tables: _Tables | None = None

    def observe(self, taken: TakenStep) -> None:
        """Record a step."""
        rows = taken.accept.nonzero().flatten()
        members = taken.members[rows]
        field = getattr(taken.stepper, "vector_field", self._field)
        dense = interpolant(field, taken.t, taken.dt, taken.y, taken.step)
        inside = [dense(torch.full_like(taken.t[rows], node), rows) for node in self._nodes[1:-1]]
        points = (select(taken.y, rows), *inside, select(taken.step.y, rows))
        self._values.append(map_state(lambda *parts: torch.stack(parts, dim=1), *points))
        self._clocks.append(torch.stack([taken.t[rows], taken.dt[rows]], dim=1))
        self._where.append((members, self._count[members]))
        self._count = self._count.index_add(0, members, torch.ones_like(members))

    def __call__(self, t: Tensor, samples: Tensor) -> State:
        """The states of ``samples`` (rows,), in order and each at most once, at times t (rows,)."""
        tables = self._tables = self._tables or self._tabulated()
        starts = tables.starts if len(samples) == len(tables.starts) else tables.starts[samples]
        step = torch.searchsorted(starts, (t * self._sign[samples])[:, None], right=True)[:, 0] - 1
        step = torch.minimum(step.clamp(min=0), self._count[samples] - 1)
        entry = tables.entries[samples, step]
        start, length = tables.clocks[entry].unbind(1)
        weights = self._weights((t - start) / length)

        def leaf(table: Tensor) -> Tensor:
            parts = table[entry].unbind(1)
            return sum(broadcast(weight, part) * part for weight, part in zip(weights, parts))  # type: ignore[return-value]

        return map_state(leaf, tables.values)

    def _weights(self, theta: Tensor) -> list[Tensor]:
        """Lagrange's polynomials at theta (rows,)."""
        offsets = [theta - node for node in self._nodes]
        weights = []
        for j, node in enumerate(self._nodes):
            others = [i for i in range(len(offsets)) if i != j]
            scale = 1.0 / math.prod(node - self._nodes[i] for i in others)
            weights.append(math.prod((offsets[i] for i in others), start=torch.full_like(theta, scale)))
        return weights

    def _tabulated(self) -> _Tables:
        index = tuple(torch.cat(parts) for parts in zip(*self._where, strict=True))
        shape = len(self._count), int(self._count.max())
        clocks, values = torch.cat(self._clocks), map_state(lambda *parts: torch.cat(parts), *self._values)
        starts = clocks.new_full(shape, torch.inf).index_put(index, clocks[:, 0] * self._sign[index[0]])
        entries = index[1].new_zeros(shape).index_put(index, torch.arange(len(clocks), device=clocks.device))
        self._values, self._clocks, self._where = [], [], []
        return _Tables(starts, entries, clocks, values)


class _Tables(NamedTuple):
    """All steps of all samples.

    Attributes:
        starts: of each sample's steps, (batch, steps), increasing in the direction of time; infinite after the last.
        entries: where each step stands in the others, (batch, steps).
        clocks: start and length, (entries, 2).
        values: at the nodes, (entries, nodes, ...).
    """

    starts: Tensor
    entries: Tensor
    clocks: Tensor
    values: State


def _lobatto(count: int) -> list[float]:
    """Chebyshev's extrema on [0, 1]."""
    return [0.5 - 0.5 * math.cos(math.pi * k / (count - 1)) for k in range(count)]
