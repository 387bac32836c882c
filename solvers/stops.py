"""Times that steps must not cross."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stops:
    """Times on which steps land.

    Attributes:
        jumps: times at which the vector field is discontinuous: no stage of a step straddles one, and nothing computed
            before it is reused after it.
        steps: times to land on, nothing more.

    Both are of shape (time,), or (batch, time) for times per sample, in any order; those outside the span are ignored.
    """

    jumps: Tensor | None = None
    steps: Tensor | None = None

    def table(self, like: Tensor, last: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """All stops of each sample in the order in which it meets them, and which of them are jumps.

        Args:
            like: starting times (batch,).
            last: times (batch,) at which the samples end; stops there or beyond are left out.
            sign: direction of time (batch,).

        Returns:
            Times (batch, stops + 1), closed by a column at infinity, and a mask of the same shape.

        Raises:
            ValueError: stops of a wrong shape or not finite.
        """
        jumps, steps = (self._expanded(getattr(self, name), name, like) for name in ("jumps", "steps"))
        never = (sign * torch.inf)[:, None]
        times = torch.cat([jumps, steps, never], dim=1)
        times = torch.where((times - last[:, None]) * sign[:, None] >= 0, never, times)
        is_jump = torch.arange(times.shape[1], device=like.device).expand_as(times) < jumps.shape[1]
        order = (times * sign[:, None]).argsort(dim=1, stable=True)
        return times.gather(1, order), is_jump.gather(1, order)

    def _expanded(self, times: Tensor | None, name: str, like: Tensor) -> Tensor:
        if times is None:
            return like.new_empty(len(like), 0)
        times = torch.as_tensor(times, dtype=like.dtype, device=like.device)
        if times.dim() not in (1, 2) or (times.dim() == 2 and len(times) != len(like)):
            raise ValueError(f"Expected {name} of shape (time,) or ({len(like)}, time), got {tuple(times.shape)}.")
        if not bool(torch.isfinite(times).all()):
            raise ValueError(f"Expected finite {name}, got NaN or infinity.")
        return times.expand(len(like), -1)
