"""Materials that the native kernels know, described for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from sciml.kernels.material_point import native
from sciml.kernels.material_point.native import FLOWS, Law

from .elasticity import FixedCorotated, Hencky, NeoHookean, StVenantKirchhoff, Volumetric
from .plasticity import DruckerPrager, HerschelBulkley, VonMises

_ELASTICITIES = (FixedCorotated, NeoHookean, StVenantKirchhoff, Hencky, Volumetric)
"""In the order of materials.cpp."""

Flow = tuple[str, list[Tensor]]
"""One of ``FLOWS``, or "" for one that the kernels do not know; and its numbers, as materials.cpp wants them."""


def fused_deform(
    material: nn.Module,
    elasticity: Any,
    flow: Callable[[], Flow],
    deformation: Tensor,
    gradient: Tensor,
    dt: Tensor | None,
) -> tuple[Tensor, Tensor] | None:
    """F after dt and its stress in one pass; None where that has to be done in torch.

    Args:
        material: whose description is remembered until its parameters change.
        elasticity: of a solid, or None for a fluid.
        flow: what the points do beyond deforming elastically.
        deformation, gradient, dt: as for ``Material.deform``; dt = None for the stress of F as it is.
    """
    if dt is None:
        dt = deformation.new_zeros(len(deformation))
    if not native.serves(deformation, gradient, dt):
        return None
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in material.parameters()):
        return None
    law = _law(material, elasticity, flow)
    return None if law is None else native.deform(law, deformation, gradient, dt)


def flow_of(plasticity: Any) -> Flow:
    """That of a return mapping."""
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


_laws: WeakKeyDictionary[nn.Module, dict[Any, Law | None]] = WeakKeyDictionary()


def _law(material: nn.Module, elasticity: Any, flow: Callable[[], Flow]) -> Law | None:
    held = [*material.parameters(), *material.buffers()]
    if any(tensor.is_inference() for tensor in held):  # no count of their changes is kept
        return _described(elasticity, *flow())
    key = (flow.__name__, *((id(tensor), tensor._version) for tensor in held))
    known = _laws.setdefault(material, {})
    if key not in known:
        if len(known) > 1:  # of a material whose parameters change
            known.clear()
        known[key] = _described(elasticity, *flow())
    return known[key]


def _described(elasticity: Any, flow: str, numbers: list[Tensor]) -> Law | None:
    if flow not in FLOWS or (elasticity is not None and type(elasticity) not in _ELASTICITIES):
        return None
    moduli = [torch.zeros(()), torch.zeros(())] if elasticity is None else list(elasticity.lame())
    constants = _table([value.detach() for value in (*moduli, *numbers)])
    if constants is None:
        return None
    return Law(0 if elasticity is None else _ELASTICITIES.index(type(elasticity)), FLOWS.index(flow), constants)


def _table(values: list[Tensor]) -> Tensor | None:
    """(batch or 1, 6) in float64, or None where one of the values differs from point to point."""
    if any(value.dim() and value.shape[-1] != 1 for value in values):
        return None
    columns = [value.double().reshape(-1) for value in values]
    batch = max(len(column) for column in columns)
    columns += [columns[0].new_zeros(1)] * (6 - len(columns))
    return torch.stack([column.expand(batch) for column in columns], dim=1)
