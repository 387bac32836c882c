"""Shock tubes: the compressible Euler equations in one dimension from two constant states."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from sciml.datasets.channel import Channel
from sciml.generation.families.gas import gas_scheme
from sciml.generation.family import Family, Initial, Parameter
from sciml.generation.grid import Domain, Grid
from sciml.generation.restriction import average
from sciml.solvers.ideal_gas import is_physical


def _sample(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    (x,) = grid.points()
    states = torch.tensor(
        [[parameters[f"{name}_{side}"] for side in ("left", "right")] for name in ("density", "velocity", "pressure")],
        dtype=torch.float64,
    )
    return Initial(u=torch.where(x < parameters["interface"], states[:, :1], states[:, 1:]))


EULER_1D_RIEMANN = Family(
    name="euler-1d-riemann",
    title="Compressible Euler, 1D shock tubes",
    equation="d/dt (rho, m, E) + d/dx (m, m v + p, (E + p) v) = 0, p = (gamma - 1) (E - m v / 2)",
    source="E. F. Toro, Riemann Solvers and Numerical Methods for Fluid Dynamics (2009), chapter 4; G. A. Sod, "
    "J. Comput. Phys. 27 (1978)",
    channels=(Channel("density"), Channel("velocity"), Channel("pressure")),
    domain=Domain((0.0,), (1.0,), boundary="open", centred=True),
    parameters=(
        Parameter("density_left", (0.2, 1.0), "density left of the interface"),
        Parameter("density_right", (0.2, 1.0), "density right of the interface"),
        Parameter("velocity_left", (-0.5, 0.5), "velocity left of the interface", positive=False),
        Parameter("velocity_right", (-0.5, 0.5), "velocity right of the interface", positive=False),
        Parameter("pressure_left", (0.1, 1.0), "pressure left of the interface", log=True),
        Parameter("pressure_right", (0.1, 1.0), "pressure right of the interface", log=True),
        Parameter("interface", (0.35, 0.65), "position of the interface"),
        Parameter("gamma", 1.4, "ratio of specific heats"),
    ),
    sample=_sample,
    scheme=gas_scheme,
    restrict=average,
    is_valid=is_physical,
    size=256,
    frames=21,
    dt=0.01,
    shard_size=16,
    supersample=2,
)
