"""Checks of a family's laws on the trajectories as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.generation.family import Invariant


def violation(
    invariant: Invariant, u: Float[Tensor, "batch time channel *space"], parameters: Mapping[str, Tensor]
) -> Float[Tensor, " batch"]:
    """By how much each trajectory breaks the law, relative to the mean modulus of the density.

    For "conserved" the largest distance of the mean from its first value, for "decaying" the largest growth between
    consecutive frames.
    """
    density = invariant.density(u.double(), parameters).flatten(start_dim=2)
    total, scale = density.mean(dim=2), density.abs().mean(dim=2).amax(dim=1)
    if invariant.law == "conserved":
        worst = (total - total[:, :1]).abs().amax(dim=1)
    else:
        worst = total.diff(dim=1).amax(dim=1).clamp(min=0)
    return worst / scale.clamp(min=torch.finfo(torch.float64).tiny)


def violations(
    invariants: Iterable[Invariant], u: Float[Tensor, "batch time channel *space"], parameters: Mapping[str, Tensor]
) -> dict[str, float]:
    """The largest violation of each law over the batch."""
    return {invariant.name: float(violation(invariant, u, parameters).max()) for invariant in invariants}


def report(invariants: Iterable[Invariant], found: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float | str]]:
    """One entry per law: the largest violation over all shards, the tolerance and whether it was kept."""
    found = list(found)
    entries: dict[str, dict[str, float | str]] = {}
    for invariant in invariants:
        worst = max(shard[invariant.name] for shard in found)
        entries[invariant.name] = {
            "law": invariant.law,
            "violation": worst,
            "tolerance": invariant.tolerance,
            "verdict": "kept" if worst <= invariant.tolerance else "broken",
        }
    return entries
