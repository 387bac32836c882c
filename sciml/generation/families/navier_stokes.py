"""Incompressible flow on a periodic square in vorticity form: decaying eddies, and Kolmogorov's forced flow."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.generation.family import Batch, Family, Initial, Invariant, Parameter, Scheme
from sciml.generation.fields import random_field
from sciml.generation.grid import Domain, Grid
from sciml.generation.restriction import truncate
from sciml.generation.substeps import Substeps, steps_for
from sciml.solvers.equations.navier_stokes import NavierStokes, kolmogorov_forcing, velocity_of
from sciml.solvers.exponential import ETDRK4, ExponentialRungeKutta

_CFL = 1.0
_WAVENUMBER = 4


def _eddies(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    """Random vorticity about one scale, scaled to the largest speed asked for."""
    peak = 2 * math.pi / grid.domain.lengths[0] * parameters["eddies"]
    # Power k^4 exp(-2 k^2 / peak^2): most of it at the peak, none at the scale of the box or of the grid.
    vorticity = random_field(generator, grid, lambda k: k**4 * torch.exp(-2 * (k / peak).square()))[None, None]
    speed = torch.linalg.vector_norm(velocity_of(vorticity, length=grid.domain.lengths), dim=1).max()
    return Initial(u=vorticity[0] * (parameters["speed"] / speed))


def _decaying(grid: Grid, batch: Batch, dt: float) -> Scheme:
    equation = NavierStokes(batch.parameters["viscosity"], length=grid.domain.lengths)
    return _stepped(equation, float(batch.parameters["speed"].max()), grid, batch, dt)


def _forced(grid: Grid, batch: Batch, dt: float) -> Scheme:
    viscosity, drag = batch.parameters["viscosity"], batch.parameters["drag"]
    length = grid.domain.lengths[0]
    forcing = kolmogorov_forcing(batch.u[:1], wavenumber=_WAVENUMBER, length=length)
    k = 2 * math.pi * _WAVENUMBER / length
    laminar = (1 / (viscosity * k**2 + drag)).max()  # the speed of the steady shear, which the flow does not exceed
    fastest = max(float(batch.parameters["speed"].max()), float(laminar))
    equation = NavierStokes(viscosity, length=grid.domain.lengths, drag=drag, forcing=forcing)
    return _stepped(equation, fastest, grid, batch, dt)


def _stepped(equation: NavierStokes, fastest: float, grid: Grid, batch: Batch, dt: float) -> Scheme:
    count = steps_for(dt, _CFL * min(grid.spacing) / fastest)
    return Scheme(Substeps(ExponentialRungeKutta(equation, ETDRK4), count), y0=batch.u)


def _circulation(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0]


def _enstrophy(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0].square()


NAVIER_STOKES_2D = Family(
    name="navier-stokes-2d",
    title="Incompressible Navier-Stokes, 2D, decaying eddies",
    equation="w_t + u . grad w = viscosity laplace w, w = v_x - u_y, div u = 0",
    source="J. C. McWilliams, The emergence of isolated coherent vortices in turbulent flow, J. Fluid Mech. 146 (1984)",
    channels=(Channel("vorticity"),),
    domain=Domain((0.0, 0.0), (1.0, 1.0)),
    parameters=(
        Parameter("viscosity", 1e-3, "kinematic viscosity"),
        Parameter("speed", 1.0, "largest speed at the start"),
        Parameter("eddies", 4.0, "eddies along an axis at the start"),
    ),
    sample=_eddies,
    scheme=_decaying,
    restrict=truncate,
    size=64,
    frames=21,
    dt=0.05,
    shard_size=8,
    supersample=2,
    invariants=(Invariant("circulation", _circulation), Invariant("enstrophy", _enstrophy, law="decaying")),
)

KOLMOGOROV_2D = Family(
    name="kolmogorov-2d",
    title="Incompressible Navier-Stokes, 2D, Kolmogorov flow",
    equation="w_t + u . grad w = viscosity laplace w - drag w + curl (sin(4 y), 0), w = v_x - u_y, div u = 0",
    source="G. J. Chandler, R. R. Kerswell, J. Fluid Mech. 722 (2013); drag as in D. Kochkov et al., PNAS 118 (2021)",
    channels=(Channel("vorticity"),),
    domain=Domain((0.0, 0.0), (2 * math.pi, 2 * math.pi)),
    parameters=(
        Parameter("viscosity", 1e-2, "kinematic viscosity"),
        Parameter("drag", 0.1, "rate of linear damping", positive=False),
        Parameter("speed", 2.0, "largest speed at the start"),
        Parameter("eddies", 4.0, "eddies along an axis at the start"),
    ),
    sample=_eddies,
    scheme=_forced,
    restrict=truncate,
    size=64,
    frames=41,
    dt=0.25,
    shard_size=8,
    supersample=2,
    invariants=(Invariant("circulation", _circulation),),
)
