"""All families, by name."""

from __future__ import annotations

import difflib

from sciml.generation.families.advection import ADVECTION_1D
from sciml.generation.families.burgers import BURGERS_1D
from sciml.generation.families.euler_1d import EULER_1D_RIEMANN
from sciml.generation.families.euler_2d import EULER_2D_KH, EULER_2D_RIEMANN, EULER_2D_SHEAR
from sciml.generation.families.heat import HEAT_2D
from sciml.generation.families.material_points import MATERIAL_POINTS
from sciml.generation.families.navier_stokes import KOLMOGOROV_2D, NAVIER_STOKES_2D
from sciml.generation.families.reaction_diffusion import ALLEN_CAHN_2D, FITZHUGH_NAGUMO_2D, GRAY_SCOTT_2D
from sciml.generation.families.wave import WAVE_2D
from sciml.generation.family import Family

_ALL = (
    ADVECTION_1D,
    BURGERS_1D,
    NAVIER_STOKES_2D,
    KOLMOGOROV_2D,
    EULER_1D_RIEMANN,
    EULER_2D_RIEMANN,
    EULER_2D_KH,
    EULER_2D_SHEAR,
    HEAT_2D,
    WAVE_2D,
    GRAY_SCOTT_2D,
    ALLEN_CAHN_2D,
    FITZHUGH_NAGUMO_2D,
    *MATERIAL_POINTS,
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


def family_named(name: str) -> Family:
    """The family of that name.

    Raises:
        ValueError: there is none.
    """
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    close = difflib.get_close_matches(str(name), FAMILIES, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ValueError(f"Expected a family, one of {', '.join(FAMILIES)}; got {name!r}.{hint}")
