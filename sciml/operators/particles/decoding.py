"""Dense clouds from sparse ones: what the decoders share, and their view of a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.operators.physical import ChannelLike, parse_channels

from .state import reference_channels


@runtime_checkable
class Decoder(Protocol):
    """Moves dense points by the motion of sparse ones."""

    def prepare(self, sparse: Tensor, dense: Tensor, mask: Tensor | None = None) -> Any:
        """What depends on the reference configuration alone.

        Args:
            sparse: where the sparse particles are at first, (batch, node, dim).
            dense: where the dense points are then, (batch, query, dim).
            mask: True where ``sparse`` has a particle, (batch, node).

        Raises:
            ValueError: a dense point with no sparse particle near it.
        """
        ...

    def decode(self, prepared: Any, moved: Tensor) -> Tensor:
        """Where the dense points are when the sparse ones are at ``moved`` (batch, node, dim): (batch, query, dim)."""
        ...


class DenseView:
    """Dense frames of a sparse rollout: the reference configuration is looked at once, a frame costs a sum over it.

    ::

        solution = solve(model, model.pack(frames, static), ts, FixedStep(dt))
        view = DenseView(decoder, frames[:, 0], dense)
        points = view(model.newest(solution.ys)[:, 40])  # (batch, 100_000, dim)

    Args:
        decoder: ``ReferenceDecoder`` or ``GridDecoder``.
        sparse: where the sparse particles are in the reference frame.
        dense: where the dense points are in it.
        chunk: dense points that are decoded at once, which bounds memory.

    Raises:
        ValueError: a dense point has no sparse particle near it.
    """

    @torch.no_grad()
    def __init__(
        self,
        decoder: Decoder,
        sparse: Float[Tensor, "batch node dim"],
        dense: Float[Tensor, "batch query dim"],
        *,
        chunk: int = 32_768,
    ) -> None:
        if chunk < 1:
            raise ValueError(f"Expected chunk >= 1, got {chunk}.")
        self.decoder, self.nodes = decoder, sparse.shape
        self._prepared = [decoder.prepare(sparse, part) for part in dense.split(chunk, dim=1)]

    @torch.no_grad()
    def __call__(self, moved: Float[Tensor, "batch node dim"]) -> Float[Tensor, "batch query dim"]:
        """The dense points when the sparse ones are at ``moved``.

        Raises:
            ValueError: other particles than those of the reference.
        """
        if moved.shape != self.nodes:
            raise ValueError(
                f"Expected positions of shape {tuple(self.nodes)}, those of the sparse reference, got "
                f"{tuple(moved.shape)}. Take one frame: model.newest(solution.ys)[:, k]."
            )
        return torch.cat([self.decoder.decode(prepared, moved) for prepared in self._prepared], dim=1)


def decoder_channels(dim: int, units: str = "") -> tuple[Channel, ...]:
    """The channels that a decoder is trained on: positions, those in the reference frame, and which are known.

    Where ``sparse`` is 1 the positions going in are the present ones; elsewhere they are not looked at.
    """
    axes = "xyz"[:dim]
    return (
        *(Channel(f"position_{c}", units, field="position", component=c) for c in axes),
        *reference_channels(dim, units),
        Channel("sparse", static=True),
    )


def parse_decoder_channels(channels: Sequence[ChannelLike]) -> tuple[Channel, ...]:
    """Those of ``decoder_channels``; ValueError for others."""
    parsed = parse_channels(channels)
    dim = len(parsed) // 2
    if [c.name for c in parsed] != [c.name for c in decoder_channels(max(1, min(dim, 3)))]:
        raise ValueError(f"Expected the channels of decoder_channels(dim), got {[c.name for c in parsed]}.")
    return parsed


def decode_state(
    decoder: Decoder, dt: Float[Tensor, " batch"], u: Float[Tensor, "batch node channel"]
) -> Float[Tensor, "batch node channel"]:
    """The state with all positions decoded from those that are known; how a decoder is trained, as a steady map."""
    dim = u.shape[2] // 2
    if dt.shape != u.shape[:1]:
        raise ValueError(f"Expected dt of shape ({len(u)},), one per sample, got {tuple(dt.shape)}.")
    known: Bool[Tensor, "batch node"] = u[..., -1] > 0.5
    reference = u[..., dim : 2 * dim]
    moved = torch.where(known[..., None], u[..., :dim], reference)
    positions = decoder.decode(decoder.prepare(reference, reference, known), moved).to(u.dtype)
    return torch.cat([torch.where((dt != 0)[:, None, None], positions, u[..., :dim]), u[..., dim:]], dim=-1)
