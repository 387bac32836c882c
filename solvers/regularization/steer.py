"""STEER: random integration times, so that the dynamics are simple around the end too.

Source: A. Ghosh, H. Behl, E. Dupont, P. Torr, V. Namboodiri, "STEER: Simple Temporal Regularization For Neural ODEs",
NeurIPS 2020.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def random_end(
    ts: Float[Tensor, "*batch time"], width: float, *, generator: torch.Generator | None = None
) -> Float[Tensor, "*batch time"]:
    """Output times whose last one T is drawn from U(T - width, T + width), the same for all samples. Training only.

    Raises:
        ValueError: the last time could pass the one before.
    """
    gap = (ts[..., -1] - ts[..., -2]).abs().min()
    if not 0 <= width < float(gap):
        raise ValueError(f"Expected 0 <= width < {float(gap)}, the last gap of ts, got {width}.")
    shift = width * (2 * _uniform((), ts, generator) - 1)
    return torch.cat([ts[..., :-1], ts[..., -1:] + shift], dim=-1)


def jitter(
    ts: Float[Tensor, "*batch time"], fraction: float = 0.5, *, generator: torch.Generator | None = None
) -> Float[Tensor, "*batch time"]:
    """Output times each moved uniformly by at most ``fraction`` of the gap to its neighbour; the ends only inwards.

    Their order is kept, and nothing is moved past the first and the last time. Training only.

    Raises:
        ValueError: ``fraction`` is above 1/2, where neighbours could meet.
    """
    if not 0 <= fraction <= 0.5:
        raise ValueError(
            f"Expected 0 <= fraction <= 0.5, got {fraction}: beyond, neighbouring times could change places."
        )
    uniform = _uniform(ts.shape, ts, generator)
    gaps = ts.diff(dim=-1)
    none = torch.zeros_like(ts[..., :1])
    before, after = torch.cat([none, gaps], dim=-1), torch.cat([gaps, none], dim=-1)
    return ts + fraction * torch.where(uniform < 0.5, (2 * uniform - 1) * before, (2 * uniform - 1) * after)


def _uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Numbers in [0, 1), drawn where the generator is, by default on the host."""
    device = "cpu" if generator is None else generator.device
    return torch.rand(shape, generator=generator, dtype=like.dtype, device=device).to(like.device)
