"""The relative error of Poseidon: per sample and group of channels, median over samples, mean over groups.

M. Herde et al., Poseidon: Efficient Foundation Models for PDEs, NeurIPS 2024, section 5 (median relative L1 error, in
percent). The published numbers are computed on normalised fields: give normalised fields to compare with them.

Masked values (a pressure the data set does not have, the inside of an airfoil) are left out by default. The published
evaluation overwrites them with the label, which keeps them in the denominator, and counts a group of masked channels as
a perfect 0 in the mean over groups; ``reference=True`` does as published. The paper's figures use the groups of
interest only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .metric import Metric
from .pair import Trajectories, field_pair

EMPTY = 1e-10
"""Stands for sum |y|^p where that is zero, as published: such a sample scores a huge error, ignored by the median."""

GroupErrors = Float[Tensor, "batch time group"]
Mask = Bool[Tensor, "..."]


def absolute_error(
    prediction: Trajectories,
    target: Trajectories,
    *,
    groups: Sequence[int] | None = None,
    order: int = 1,
    mask: Mask | None = None,
) -> GroupErrors:
    """(sum |e|^p)^(1/p) over the channels and pixels of a group: a plain sum, it grows with the grid.

    Args:
        groups: number of channels in each group, such as (1, 2, 1) for density, velocity, pressure; one each by
        default. order: the p. mask: True where a value counts; broadcasts over (batch, time, channel, *space). A mask
        of channels is (channel, 1, 1).

    Raises:
        ValueError: shapes that differ, groups that do not add up to the channels, or a mask that does not broadcast.
    """
    prediction, target = field_pair(prediction, target)
    error = _kept(prediction - target, _full_mask(mask, target))
    return _group_sums(error, groups, order) ** (1 / order)


def relative_error(
    prediction: Trajectories,
    target: Trajectories,
    *,
    groups: Sequence[int] | None = None,
    order: int = 1,
    mask: Mask | None = None,
    reference: bool = False,
) -> GroupErrors:
    """100 (sum |e|^p / sum |y|^p)^(1/p) over a group, in percent; arguments as ``absolute_error``.

    A group without any unmasked value in a sample scores NaN, or 0 with ``reference``.
    """
    prediction, target = field_pair(prediction, target)
    mask = _full_mask(mask, target)
    size = _group_sums(target if reference else _kept(target, mask), groups, order)
    error = _group_sums(_kept(prediction - target, mask), groups, order)
    ratio = 100 * (error / torch.where(size == 0, EMPTY, size)) ** (1 / order)
    return ratio if reference else torch.where(_group_sums(mask.to(error), groups, 1) > 0, ratio, torch.nan)


def median_over_samples(errors: GroupErrors) -> Float[Tensor, "time group"]:
    """Median over the batch, of an even number the mean of the middle two; NaN where any sample is NaN.

    The errors of several batches join first: ``median_over_samples(torch.cat([...]))``; medians of batches do not
    combine.
    """
    return 0.5 * (errors.median(dim=0).values - (-errors).median(dim=0).values)


def median_relative_error(
    prediction: Trajectories,
    target: Trajectories,
    *,
    groups: Sequence[int] | None = None,
    order: int = 1,
    mask: Mask | None = None,
    reference: bool = False,
) -> Float[Tensor, " time"]:
    """Median over samples of ``relative_error``, mean over groups not wholly masked (``reference``: over all)."""
    errors = relative_error(prediction, target, groups=groups, order=order, mask=mask, reference=reference)
    medians = median_over_samples(errors)
    if reference or mask is None:
        return medians.mean(-1)
    scored = _group_sums(_full_mask(mask, target).to(errors), groups, 1).sum((0, 1)) > 0
    return medians[:, scored].mean(-1)


def _full_mask(mask: Tensor | None, target: Tensor) -> Tensor:
    if mask is None:
        return torch.ones((), dtype=torch.bool, device=target.device).expand(target.shape)
    try:
        return mask.to(target.device).expand(target.shape)
    except RuntimeError:
        raise ValueError(
            f"Expected mask to broadcast over (batch, time, channel, *space) = {tuple(target.shape)}, got "
            f"{tuple(mask.shape)}. A mask of channels needs the spatial axes: mask[:, None, None]."
        ) from None


def _kept(u: Tensor, mask: Tensor) -> Tensor:
    # where, not a product: a masked NaN must not count, and its gradient is 0.
    return torch.where(mask, u, 0)


def _group_sums(u: Tensor, groups: Sequence[int] | None, order: int) -> Tensor:
    groups = tuple(groups or (1,) * u.shape[2])
    if sum(groups) != u.shape[2]:
        raise ValueError(f"Expected groups that add up to {u.shape[2]} channels, got {groups}.")
    parts = (u.abs() ** order).flatten(3).sum(-1).split(groups, dim=-1)
    return torch.stack([part.sum(-1) for part in parts], dim=-1)


def _over_time(prediction: Tensor, target: Tensor) -> Tensor:
    return median_relative_error(prediction, target).mean()


METRICS = {
    "poseidon/rel-L1": Metric(
        "rel-L1", "mean over groups of median_b 100 sum |e| / sum |y|, mean over time", _over_time, "%"
    ),
}
