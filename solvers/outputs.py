"""Where a running solve collects its states until they are put in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .state import State, map_state, where


@dataclass
class Outputs:
    """Collected (sample, time, state) entries; put into place once, at the end, so that autograd records one write."""

    rows: list[Tensor] = field(default_factory=list)
    times: list[Tensor] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    def add(self, rows: Tensor, times: Tensor, state: State) -> None:
        """Entries of equal length; ``rows`` number the samples of the whole batch."""
        if len(rows):
            self.rows.append(rows)
            self.times.append(times)
            self.states.append(state)

    def gather(self, like: State, shape: torch.Size) -> State:
        """The states (batch, time, ...), NaN where nothing was stored."""
        if self._in_step(shape):
            return map_state(lambda *parts: torch.stack(parts, dim=1), *self.states)
        index = torch.cat(self.rows), torch.cat(self.times)

        def scatter(leaf: Tensor, *parts: Tensor) -> Tensor:
            hole = torch.nan if leaf.is_floating_point() or leaf.is_complex() else 0
            empty = torch.full((*shape, *leaf.shape[1:]), hole, dtype=parts[0].dtype, device=leaf.device)
            return empty.index_put(index, torch.cat(parts))

        return map_state(scatter, like, *self.states)

    def _in_step(self, shape: torch.Size) -> bool:
        """Whether every entry holds all samples at the next output time."""
        if len(self.rows) != shape[1] or any(len(rows) != shape[0] for rows in self.rows):
            return False
        return bool((torch.stack(self.times, dim=1) == torch.arange(shape[1], device=self.times[0].device)).all())


@dataclass
class MappedOutputs:
    """The same under ``torch.func.vmap``, where no shape may depend on values: whole batches under masks."""

    states: dict[int, State] = field(default_factory=dict)

    def put(self, time: int, mask: Tensor, state: State) -> None:
        """Store the states of the samples of ``mask`` at one output time."""
        hole = torch.nan
        before = self.states.get(time, map_state(lambda leaf: torch.full_like(leaf, hole), state))
        self.states[time] = where(mask, state, before)

    def gather(self, like: State, shape: torch.Size) -> State:
        """The states (batch, time, ...), NaN where nothing was stored."""
        empty = map_state(lambda leaf: torch.full_like(leaf, torch.nan), like)
        frames = (self.states.get(time, empty) for time in range(shape[1]))
        return map_state(lambda *parts: torch.stack(parts, dim=1), *frames)
