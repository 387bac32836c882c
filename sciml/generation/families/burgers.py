"""Viscous Burgers: sums of sines that steepen into shocks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.generation.family import Batch, Family, Initial, Invariant, Parameter, Scheme
from sciml.generation.grid import Domain, Grid
from sciml.generation.restriction import truncate
from sciml.generation.substeps import Substeps, steps_for
from sciml.solvers.equations.burgers import Burgers
from sciml.solvers.exponential import ETDRK4, ExponentialRungeKutta
from sciml.solvers.initial import sine_sums

_CFL = 0.5


def _sample(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    u = sine_sums(1, grid.size, generator=generator, terms=4, largest=4, dtype=torch.float64)[0]
    return Initial(u=u * (parameters["speed"] / u.abs().max()))


def _scheme(grid: Grid, batch: Batch, dt: float) -> Scheme:
    fastest = float(batch.parameters["speed"].max())  # the maximum principle: no value ever exceeds the first ones
    equation = Burgers(batch.parameters["viscosity"], length=grid.domain.lengths[0])
    stepper = Substeps(ExponentialRungeKutta(equation, ETDRK4), steps_for(dt, _CFL * grid.spacing[0] / fastest))
    return Scheme(stepper, y0=batch.u)


def _momentum(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0]


def _energy(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0].square()


BURGERS_1D = Family(
    name="burgers-1d",
    title="Viscous Burgers, 1D, sums of four sines",
    equation="u_t + (u^2 / 2)_x = viscosity u_xx",
    source="M. Takamoto et al., PDEBench: An Extensive Benchmark for Scientific Machine Learning (2022), appendix D.2, "
    "with four sines of fixed largest value",
    channels=(Channel("u"),),
    domain=Domain((0.0,), (1.0,)),
    parameters=(
        Parameter("viscosity", (2e-3, 2e-2), "diffusion; the default grid resolves 1e-3 and above", log=True),
        Parameter("speed", 1.0, "largest |u| at the start"),
    ),
    sample=_sample,
    scheme=_scheme,
    restrict=truncate,
    size=256,
    frames=21,
    dt=0.05,
    shard_size=16,
    supersample=4,
    invariants=(Invariant("momentum", _momentum), Invariant("energy", _energy, law="decaying")),
)
