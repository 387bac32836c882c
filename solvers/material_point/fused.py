"""Materials that the native kernels know, described for them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sciml.kernels.material_point import native
from sciml.kernels.material_point.native import ELASTICITIES, FLOWS, Law

from .lame import lame
from .plasticity import DruckerPrager, HerschelBulkley, VonMises


def fused_deform(
    elasticity: Any, flow: str, numbers: list[Tensor], deformation: Tensor, gradient: Tensor, dt: Tensor
) -> tuple[Tensor, Tensor] | None:
    """F after dt and its stress in one pass; None where that has to be done in torch.

    Args:
        elasticity: of the solid, or None for a fluid.
        flow: one of ``FLOWS``.
        numbers: of the flow, as materials.cpp wants them.
        deformation, gradient, dt: as for ``Material.deform``.
    """
    name = type(elasticity).__name__
    if flow not in FLOWS or (elasticity is not None and name not in ELASTICITIES):
        return None
    if not native.serves(deformation, gradient, dt) or (torch.is_grad_enabled() and _learns(elasticity, numbers)):
        return None
    moduli = [torch.zeros(()), torch.zeros(())] if elasticity is None else list(lame(elasticity))
    constants = _table([*moduli, *numbers], dt)
    if constants is None:
        return None
    law = Law(0 if elasticity is None else ELASTICITIES.index(name), FLOWS.index(flow), constants)
    return native.deform(law, deformation, gradient, dt)


def flow_of(plasticity: Any) -> tuple[str, list[Tensor]]:
    """The name of a return mapping among ``FLOWS`` and its numbers; "" for one that the kernels do not know."""
    if plasticity is None:
        return "elastic", []
    if type(plasticity) is VonMises:
        return "von Mises", [plasticity.yield_stress]
    if type(plasticity) is DruckerPrager:
        return "Drucker-Prager", [plasticity.slope(), plasticity.cohesion]
    if type(plasticity) is HerschelBulkley:
        bound = math.sqrt(2 / 3) * plasticity.yield_stress
        return "Herschel-Bulkley", [bound, plasticity.viscosity, plasticity.exponent]
    return "", []


def _learns(elasticity: nn.Module | None, numbers: list[Tensor]) -> bool:
    own = [] if elasticity is None else list(elasticity.parameters()) + list(elasticity.buffers())
    return any(tensor.requires_grad for tensor in (*own, *numbers))


def _table(values: list[Tensor], dt: Tensor) -> Tensor | None:
    """(batch or 1, 6), or None where one of the values differs from point to point."""
    if any(value.dim() and value.shape[-1] != 1 for value in values):
        return None
    columns = [value.to(dt).reshape(-1) for value in values]
    batch = max(len(column) for column in columns)
    columns += [dt.new_zeros(1)] * (6 - len(columns))
    return torch.stack([column.expand(batch) for column in columns], dim=1)
