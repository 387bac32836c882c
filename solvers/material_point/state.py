"""The state of a cloud of material points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import torch
from jaxtyping import Float
from torch import Tensor


class MaterialPoints(TypedDict):
    """A state of ``MaterialPointMethod``.

    Keys:
        position, velocity: (batch, node, d).
        gradient: of the velocity, C of APIC, (batch, node, d, d).
        deformation: elastic deformation gradient F, (batch, node, d, d).
    """

    position: Tensor
    velocity: Tensor
    gradient: Tensor
    deformation: Tensor


def material_points(
    position: Float[Tensor, "batch node d"],
    velocity: Float[Tensor, "batch node d"] | None = None,
    *,
    gradient: Float[Tensor, "batch node d d"] | None = None,
    deformation: Float[Tensor, "batch node d d"] | None = None,
) -> MaterialPoints:
    """A state; what is left out is at rest and undeformed.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if position.dim() != 3 or position.shape[-1] not in (2, 3):
        raise ValueError(
            f"Expected position of shape (batch, node, 2 or 3), got {tuple(position.shape)}. Add the batch axis: "
            "x[None]."
        )
    dim = position.shape[-1]
    square = (*position.shape, dim)
    identity = torch.eye(dim, dtype=position.dtype, device=position.device)
    state = MaterialPoints(
        position=position,
        velocity=torch.zeros_like(position) if velocity is None else velocity,
        gradient=position.new_zeros(square) if gradient is None else gradient,
        deformation=identity.expand(square).contiguous() if deformation is None else deformation,
    )
    check_state(state, dim)
    return state


def check_state(y: Mapping[str, Any], dim: int) -> None:
    """Refuse what is not a state in ``dim`` dimensions.

    Raises:
        ValueError: a key is missing, or shapes, dtypes or devices differ.
    """
    wanted = {"position": 1, "velocity": 1, "gradient": 2, "deformation": 2}
    if not isinstance(y, dict) or set(y) != set(wanted):
        found = sorted(y) if isinstance(y, dict) else type(y).__name__
        raise ValueError(
            f"Expected a state with the keys {', '.join(wanted)}, got {found}. Make it: "
            "material_points(position, velocity)."
        )
    position = y["position"]
    for name, axes in wanted.items():
        shape = (*position.shape[:2], *(dim,) * axes)
        leaf = y[name]
        if leaf.shape != shape or leaf.dtype != position.dtype or leaf.device != position.device:
            raise ValueError(
                f"Expected {name} of shape {shape}, {position.dtype} on {position.device}, got {tuple(leaf.shape)}, "
                f"{leaf.dtype} on {leaf.device}."
            )
