"""The loss of Poseidon: relative errors of groups of channels, averaged."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.operators.poseidon.architecture import ScOTConfig

_EMPTY = 1e-10  # beside sum |target|^p, as published


@dataclass(frozen=True)
class GroupedRelativeLoss:
    """The mean over groups of channels of mean |error|^p / mean |target|^p, for each sample.

    M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024, section 2. The reference takes one
    ratio over the whole batch, in which quiet samples hardly count and whose gradient depends on how the batch was
    split, and lets a group that is masked altogether lower the mean: ``reference=True`` does so. Here a group that is
    masked, or whose target is zero everywhere in a sample, as the pressure of incompressible flow is in normalised
    units, has no relative error and is left out of that sample's mean: such flows and compressible ones train together.

    Attributes:
        groups: number of channels in each, such as (1, 2, 1) for density, velocity and pressure; None for the plain
            mean of |error|^p over all.
        p: 1 or 2.
        reference: as published.
        mask: True where a value counts, of a shape that broadcasts against the fields.
    """

    groups: tuple[int, ...] | None = None
    p: int = 1
    reference: bool = False
    mask: Bool[Tensor, "..."] | None = None

    def __post_init__(self) -> None:
        if self.p not in (1, 2):
            raise ValueError(f"Expected p 1 or 2, got {self.p}.")
        if self.groups is not None and (not self.groups or min(self.groups) < 1):
            raise ValueError(f"Expected groups of at least one channel, or None, got {self.groups}.")

    @classmethod
    def of(cls, architecture: ScOTConfig, *, reference: bool = False) -> GroupedRelativeLoss:
        """The loss that an architecture's configuration asks for."""
        bounds: Sequence[int] | None = architecture.channel_slice_list_normalized_loss
        groups = None if bounds is None else tuple(b - a for a, b in itertools.pairwise(bounds))
        return cls(groups, architecture.p, reference)

    @classmethod
    def by_field(cls, channels: Iterable[Channel], p: int = 1, *, reference: bool = False) -> GroupedRelativeLoss:
        """A group for each field: velocity_x and velocity_y, of the field "velocity", form one.

        Static channels are left out, as ``fit`` leaves them out of what it compares.

        Raises:
            ValueError: the components of a field do not follow one another, or all channels are static.
        """
        moving = [channel.field for channel in channels if not channel.static]
        runs = [(field, len(list(members))) for field, members in itertools.groupby(moving)]
        apart = next((field for field, _ in runs if [other for other, _ in runs].count(field) > 1), None)
        if apart is not None:
            raise ValueError(
                f"Expected the components of the field {apart!r} to follow one another, got {moving}. "
                "Order the channels of the data with names=[...]."
            )
        if not runs:
            raise ValueError("Expected at least one channel that is not static, got none.")
        return cls(tuple(size for _, size in runs), p, reference)

    def masked(self, mask: Bool[Tensor, "..."]) -> GroupedRelativeLoss:
        """The same loss, of the values where ``mask`` is True."""
        return replace(self, mask=mask)

    def __call__(
        self, prediction: Float[Tensor, "batch channel *space"], target: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, " batch"]:
        """The loss of each sample, or the batch's one number for each with ``reference``.

        Raises:
            ValueError: the groups do not add up to the channels.
        """
        groups = self.groups or (target.shape[1],)
        if sum(groups) != target.shape[1]:
            raise ValueError(
                f"Expected groups that add up to {target.shape[1]} channels, those that are not static, got {groups}. "
                "Take GroupedRelativeLoss.by_field(train.channels)."
            )
        mask = torch.ones((), dtype=torch.bool, device=target.device) if self.mask is None else self.mask
        kept = mask.to(target.device).expand(target.shape)
        error = torch.where(kept, prediction - target, 0.0).abs() ** self.p
        size = (target if self.reference else torch.where(kept, target, 0.0)).abs() ** self.p
        errors, sizes, counts = (_sums(values, groups, self.reference) for values in (error, size, kept.to(error)))
        totals = _sums(torch.ones_like(error), groups, self.reference) if self.reference else counts
        if self.groups is None:
            return (errors / totals.clamp(min=1)).sum(dim=1)
        ratios = errors / totals.clamp(min=1) / (sizes / totals.clamp(min=1) + _EMPTY)
        if self.reference:
            return ratios.mean(dim=1)
        scored = sizes > 0
        return torch.where(scored, ratios, 0.0).sum(dim=1) / scored.sum(dim=1).clamp(min=1)


def _sums(values: Tensor, groups: tuple[int, ...], joint: bool) -> Float[Tensor, "batch group"]:
    """Over the channels and points of each group; over the batch too where it has one ratio."""
    sums = torch.stack([part.flatten(1).sum(dim=1) for part in values.split(groups, dim=1)], dim=1)
    return sums.sum(dim=0, keepdim=True).expand_as(sums) if joint else sums
