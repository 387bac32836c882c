"""The whole forward solution as polynomials, one a step and sample, in tables that are read for all samples at once."""

from __future__ import annotations

import math

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
        self._tables: tuple[Tensor, State] | None = None

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
        """The states of ``samples`` (rows,) at times t (rows,)."""
        clock, values = self._tables = self._tables or self._tabulated()
        sign = self._sign[samples]
        starts = (clock[samples, :, 0] * sign[:, None]).contiguous()
        step = torch.searchsorted(starts, (t * sign)[:, None], right=True)[:, 0] - 1
        step = torch.minimum(step.clamp(min=0), self._count[samples] - 1)
        start, length = clock[samples, step].unbind(1)
        weights = self._weights((t - start) / length)

        def leaf(table: Tensor) -> Tensor:
            parts = table[samples, step].unbind(1)
            return sum(broadcast(weight, part) * part for weight, part in zip(weights, parts))  # type: ignore[return-value]

        return map_state(leaf, values)

    def _weights(self, theta: Tensor) -> list[Tensor]:
        """Lagrange's polynomials at theta (rows,)."""
        offsets = [theta - node for node in self._nodes]
        weights = []
        for j, node in enumerate(self._nodes):
            others = [i for i in range(len(offsets)) if i != j]
            scale = 1.0 / math.prod(node - self._nodes[i] for i in others)
            weights.append(math.prod((offsets[i] for i in others), start=torch.full_like(theta, scale)))
        return weights

    def _tabulated(self) -> tuple[Tensor, State]:
        """Clocks (batch, steps, 2) and values (batch, steps, nodes, ...), padded with steps that start at infinity."""
        index = tuple(torch.cat(parts) for parts in zip(*self._where, strict=True))
        shape = len(self._count), int(self._count.max())

        def table(parts: tuple[Tensor, ...], padding: float) -> Tensor:
            entries = torch.cat(parts)
            return entries.new_full((*shape, *entries.shape[1:]), padding).index_put(index, entries)

        clock = table(tuple(self._clocks), torch.inf)
        clock = torch.where(torch.isfinite(clock), clock, self._sign[:, None, None] * clock)
        values = map_state(lambda *parts: table(parts, 0.0), *self._values)
        self._values, self._clocks = [], []
        return clock, values


def _lobatto(count: int) -> list[float]:
    """Chebyshev's extrema on [0, 1]."""
    return [0.5 - 0.5 * math.cos(math.pi * k / (count - 1)) for k in range(count)]
