"""Materials by name, as a TOML scene asks for them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from sciml.solvers.material_point.elasticity import FixedCorotated, Hencky, NeoHookean, StVenantKirchhoff
from sciml.solvers.material_point.material import Fluid, Material, Solid, stiffness_for
from sciml.solvers.material_point.materials import jelly, plasticine, sand, water
from sciml.solvers.material_point.plasticity import DruckerPrager, HerschelBulkley, VonMises


def fluid(
    speed: float = 3.0,
    *,
    bulk_modulus: float | None = None,
    gamma: float = 7.0,
    viscosity: float = 0.0,
    density: float = 1000.0,
) -> Fluid:
    """A weakly compressible Newtonian fluid.

    Args:
        speed: the largest expected, sqrt(2 g h) where it falls by h; sound is ten times as fast.
        bulk_modulus: the stiffness instead.
        gamma, viscosity, density: as of ``Fluid``.
    """
    stiffness = stiffness_for(speed, density=density, gamma=gamma) if bulk_modulus is None else bulk_modulus
    return Fluid(stiffness, gamma=gamma, viscosity=viscosity, density=density)


def fixed_corotated(young: float = 1e5, poisson: float = 0.2, *, density: float = 1000.0) -> Solid:
    """An elastic solid that bears any compression."""
    return Solid(FixedCorotated(young, poisson), density=density)


def neo_hookean(young: float = 1e5, poisson: float = 0.3, *, density: float = 1000.0) -> Solid:
    """Rubber."""
    return Solid(NeoHookean(young, poisson), density=density)


def hencky(young: float = 1e5, poisson: float = 0.3, *, density: float = 1000.0) -> Solid:
    """An elastic solid of logarithmic strain."""
    return Solid(Hencky(young, poisson), density=density)


def st_venant_kirchhoff(young: float = 1e5, poisson: float = 0.3, *, density: float = 1000.0) -> Solid:
    """An elastic solid of Green's strain; it softens in compression."""
    return Solid(StVenantKirchhoff(young, poisson), density=density)


def von_mises(
    young: float = 3e5, poisson: float = 0.25, *, yield_stress: float = 5e3, density: float = 1000.0
) -> Solid:
    """Metal, clay: plastic beyond a shear stress."""
    return Solid(Hencky(young, poisson), VonMises(yield_stress), density=density)


def drucker_prager(
    young: float = 1e6,
    poisson: float = 0.2,
    *,
    friction_angle: float = 30.0,
    cohesion: float = 0.0,
    density: float = 1000.0,
) -> Solid:
    """Soil: sand with cohesion, a strain that it bears in tension."""
    return Solid(Hencky(young, poisson), DruckerPrager(friction_angle, cohesion), density=density)


def herschel_bulkley(
    young: float = 1e5,
    poisson: float = 0.3,
    *,
    yield_stress: float = 200.0,
    viscosity: float = 20.0,
    exponent: float = 0.5,
    density: float = 1000.0,
) -> Solid:
    """Paste, foam, mud: beyond its yield stress it flows, the easier the faster (exponent < 1)."""
    return Solid(Hencky(young, poisson), HerschelBulkley(yield_stress, viscosity, exponent), density=density)


def bingham(
    young: float = 1e5,
    poisson: float = 0.3,
    *,
    yield_stress: float = 200.0,
    viscosity: float = 20.0,
    density: float = 1000.0,
) -> Solid:
    """Beyond its yield stress it flows like a Newtonian fluid: toothpaste, cement."""
    return Solid(Hencky(young, poisson), HerschelBulkley(yield_stress, viscosity), density=density)


MATERIALS: dict[str, Callable[..., Any]] = {
    builder.__name__: builder
    for builder in (
        jelly,
        plasticine,
        sand,
        water,
        fluid,
        bingham,
        herschel_bulkley,
        neo_hookean,
        hencky,
        fixed_corotated,
        st_venant_kirchhoff,
        von_mises,
        drucker_prager,
    )
}
"""Their names and what builds them."""


def material_named(name: str, parameters: Mapping[str, Any] | None = None) -> Material:
    """A material of ``MATERIALS`` with these parameters, defaults for the others.

    Raises:
        ValueError: there is none of that name, or it has no such parameter.
    """
    if name not in MATERIALS:
        close = difflib.get_close_matches(str(name), MATERIALS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ValueError(
            f"Expected a material, one of {', '.join(MATERIALS)}; got {name!r}.{hint} In Python any Material will do."
        )
    builder = MATERIALS[name]
    known = inspect.signature(builder).parameters
    for given, value in (parameters or {}).items():
        if given not in known:
            raise ValueError(f"Expected parameters of {name}: {', '.join(known)}; got {given!r}.")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"Expected {given} of {name} to be a number, got {value!r}.")
    return builder(**(parameters or {}))


def parameters_of(material: Material) -> dict[str, float]:
    """The numbers that a material holds, by the last part of their names; what differs among particles is left out."""
    found = {"density": float(material.density)}
    if isinstance(material, nn.Module):
        for name, value in [*material.named_parameters(), *material.named_buffers()]:
            if value.numel() == 1:
                found[name.rpartition(".")[2]] = float(value)
    return found
