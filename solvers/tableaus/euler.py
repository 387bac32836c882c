"""Euler's method (L. Euler, "Institutionum calculi integralis" I, 1768)."""

from __future__ import annotations

from ..tableau import ButcherTableau

EULER = ButcherTableau(
    name="Euler",
    order=1,
    c=(0.0,),
    a=((),),
    b=(1.0,),
    interpolant=((1.0,),),
    dense_order=1,
    stability=2.0,
)
