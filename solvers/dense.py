"""The continuous solution of a solve that kept its dense output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .state import State, broadcast, map_state
from .stepper import Interpolant


@dataclass(frozen=True)
class Piece:
    """One attempted step of the samples ``members``: its interpolant holds from t to t_next where it was accepted."""

    members: Tensor
    t: Tensor
    dt: Tensor
    t_next: Tensor
    accept: Tensor
    interpolant: Interpolant


class DenseSolution:
    """The solution at any time that the solve has passed.

    Args:
        pieces: the steps, in order.
        t0: starting times, (batch,).
        sign: direction of time, (batch,).
    """

    def __init__(self, pieces: list[Piece], t0: Tensor, sign: Tensor) -> None:
        self.pieces, self.t0, self.sign = pieces, t0, sign
        end, ends, local = t0.detach(), [], []
        for piece in pieces:
            reached = torch.where(piece.accept, piece.t_next.detach(), end[piece.members])
            end = end.index_put((piece.members,), reached)
            ends.append(end)
            local.append(
                torch.zeros_like(piece.members.new_empty(len(t0))).index_put(
                    (piece.members,), torch.arange(len(piece.members), device=t0.device)
                )
            )
        self._ends = torch.stack(ends, dim=1) * sign[:, None]
        self._local = torch.stack(local, dim=1)

    def __call__(self, times: Float[Tensor, " time"] | Float[Tensor, "batch time"]) -> State:
        """The states (batch, time, ...), differentiable in the times.

        Raises:
            ValueError: a time lies outside what a sample has passed.
        """
        return self._evaluate(times, lambda piece, theta, rows: piece.interpolant(theta, rows))

    def derivative(self, times: Float[Tensor, " time"] | Float[Tensor, "batch time"]) -> State:
        """The time derivatives (batch, time, ...) of the interpolants."""

        def slope(piece: Piece, theta: Tensor, rows: Tensor) -> State:
            one = torch.ones_like(theta)
            tangent = torch.func.jvp(lambda s: piece.interpolant(s, rows), (theta,), (one,))[1]
            return map_state(lambda leaf: leaf / broadcast(piece.dt[rows], leaf), tangent)

        return self._evaluate(times, slope)

    def _evaluate(self, times: Tensor, of: Callable[[Piece, Tensor, Tensor], State]) -> State:
        batch = len(self.t0)
        times = torch.as_tensor(times, dtype=self.t0.dtype, device=self.t0.device)
        if times.dim() not in (1, 2) or (times.dim() == 2 and len(times) != batch):
            raise ValueError(f"Expected times of shape (time,) or ({batch}, time), got {tuple(times.shape)}.")
        times = times.expand(batch, -1)
        ahead = times.detach() * self.sign[:, None]
        if bool(((ahead > self._ends[:, -1:]) | (ahead < (self.t0 * self.sign)[:, None])).any()):
            raise ValueError("Expected times inside the solved span of each sample, got one before or after it.")
        piece_of = torch.searchsorted(self._ends.contiguous(), ahead.contiguous()).flatten()
        samples = torch.arange(batch, device=times.device).repeat_interleave(times.shape[1])
        order, parts = [], []
        for number in torch.unique(piece_of).tolist():
            piece = self.pieces[number]
            entries = (piece_of == number).nonzero().flatten()
            rows = self._local[samples[entries], number]
            theta = ((times.flatten()[entries] - piece.t[rows]) / piece.dt[rows]).clamp(0, 1)
            order.append(entries)
            parts.append(of(piece, theta, rows))
        back = torch.cat(order).argsort()
        return map_state(lambda *found: torch.cat(found)[back].reshape(*times.shape, *found[0].shape[1:]), *parts)
