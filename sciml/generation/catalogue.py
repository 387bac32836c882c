"""All families, by name."""

from __future__ import annotations

import difflib

from sciml.generation.families.euler_1d import EULER_1D_RIEMANN
from sciml.generation.families.euler_2d import EULER_2D_KH, EULER_2D_RIEMANN, EULER_2D_SHEAR
from sciml.generation.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family for family in (EULER_1D_RIEMANN, EULER_2D_RIEMANN, EULER_2D_KH, EULER_2D_SHEAR)
}


def family_named(name: str) -> Family:
    """The family of that name.

    Raises:
        ValueError: there is none.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    close = difflib.get_close_matches(str(name), FAMILIES, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ValueError(f"Expected a family, one of {', '.join(FAMILIES)}; got {name!r}.{hint}")
