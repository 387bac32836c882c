"""Patterns of species that react and diffuse: Gray-Scott, Allen-Cahn and FitzHugh-Nagumo."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from sciml.datasets.channel import Channel
from sciml.generation.family import Batch, Family, Initial, Parameter, Scheme
from sciml.generation.fields import random_field
from sciml.generation.grid import Domain, Grid
from sciml.generation.restriction import truncate
from sciml.generation.substeps import Substeps, steps_for
from sciml.solvers.equations.reaction_diffusion import AllenCahn, FitzHughNagumo, GrayScott, ReactionDiffusion
from sciml.solvers.exponential import ETDRK4, ExponentialRungeKutta
from sciml.solvers.initial import blobs, matern_spectrum

_SPECIES = (Channel("u"), Channel("v"))


def _sample_gray_scott(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    """The resting state u = 1, v = 0 with patches towards u = 1/2, v = 1/4, as Pearson's."""
    patches = blobs(1, grid.shape, generator=generator, count=12, width=0.06, dtype=torch.float64)[0]
    patches = (2 * patches).clamp(max=1.0)
    return Initial(u=torch.cat([1 - 0.5 * patches, 0.25 * patches]))


def _sample_fitzhugh_nagumo(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    spectrum = matern_spectrum(exponent=4.0, scale=15.0)
    return Initial(u=torch.stack([random_field(generator, grid, spectrum) for _ in range(2)]))


def _sample_allen_cahn(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    spectrum = matern_spectrum(exponent=4.0, scale=15.0)
    return Initial(u=0.5 * random_field(generator, grid, spectrum)[None])


def _gray_scott(grid: Grid, batch: Batch, dt: float) -> Scheme:
    # Rates are of order 1 per unit of time at most (u v^2 with u, v < 1); ETDRK4 resolves them with steps of one.
    return _stepped(GrayScott(batch.parameters["feed"], batch.parameters["kill"]), 1.0, grid, batch, dt)


def _fitzhugh_nagumo(grid: Grid, batch: Batch, dt: float) -> Scheme:
    # The fastest rate, that of -u^3, is about 3 u^2: 30 where the initial state reaches 3.
    return _stepped(FitzHughNagumo(batch.parameters["threshold"]), 0.02, grid, batch, dt)


def _allen_cahn(grid: Grid, batch: Batch, dt: float) -> Scheme:
    # The fastest rate is 2 at the phases, and about 3 u^2 where the initial state lies beyond them.
    return _stepped(AllenCahn(batch.parameters["rate"]), 0.05, grid, batch, dt, species=("u",))


def _stepped(
    reaction: nn.Module,
    longest: float,
    grid: Grid,
    batch: Batch,
    dt: float,
    species: tuple[str, ...] = ("u", "v"),
) -> Scheme:
    diffusivity = torch.stack([batch.parameters[f"diffusivity_{name}"] for name in species], dim=1)
    equation = ReactionDiffusion(reaction, diffusivity, length=grid.domain.lengths, degree=1)
    return Scheme(Substeps(ExponentialRungeKutta(equation, ETDRK4), steps_for(dt, longest)), y0=batch.u)


GRAY_SCOTT_2D = Family(
    name="gray-scott-2d",
    title="Gray-Scott reaction-diffusion, 2D",
    equation="u_t = D_u laplace u - u v^2 + feed (1 - u), v_t = D_v laplace v + u v^2 - (feed + kill) v",
    source="J. E. Pearson, Complex Patterns in a Simple System, Science 261 (1993)",
    channels=_SPECIES,
    domain=Domain((0.0, 0.0), (1.25, 1.25)),
    parameters=(
        Parameter("feed", (0.03, 0.05), "rate at which u is fed"),
        Parameter("kill", (0.058, 0.062), "rate at which v is removed beyond the feed"),
        Parameter("diffusivity_u", 2e-5, "of u"),
        Parameter("diffusivity_v", 1e-5, "of v"),
    ),
    sample=_sample_gray_scott,
    scheme=_gray_scott,
    restrict=truncate,
    size=128,
    frames=21,
    dt=50.0,
    shard_size=4,
)

ALLEN_CAHN_2D = Family(
    name="allen-cahn-2d",
    title="Allen-Cahn phase separation, 2D",
    equation="u_t = D laplace u + rate (u - u^3)",
    source="S. M. Allen, J. W. Cahn, A microscopic theory for antiphase boundary motion, Acta Metall. 27 (1979)",
    channels=(Channel("u"),),
    domain=Domain((0.0, 0.0), (1.0, 1.0)),
    parameters=(
        Parameter("rate", 1.0, "of separation"),
        Parameter("diffusivity_u", 5e-4, "of u; interfaces are sqrt(2 D / rate) wide"),
    ),
    sample=_sample_allen_cahn,
    scheme=_allen_cahn,
    restrict=truncate,
    size=64,
    frames=21,
    dt=0.25,
    shard_size=8,
)

FITZHUGH_NAGUMO_2D = Family(
    name="fitzhugh-nagumo-2d",
    title="FitzHugh-Nagumo reaction-diffusion, 2D",
    equation="u_t = D_u laplace u + u - u^3 - threshold - v, v_t = D_v laplace v + u - v",
    source="M. Takamoto et al., PDEBench: An Extensive Benchmark for Scientific Machine Learning (2022), appendix D.4, "
    "on a periodic square and from smooth fields",
    channels=_SPECIES,
    domain=Domain((-1.0, -1.0), (1.0, 1.0)),
    parameters=(
        Parameter("threshold", 5e-3, "k", positive=False),
        Parameter("diffusivity_u", 1e-3, "of u"),
        Parameter("diffusivity_v", 5e-3, "of v"),
    ),
    sample=_sample_fitzhugh_nagumo,
    scheme=_fitzhugh_nagumo,
    restrict=truncate,
    size=64,
    frames=41,
    dt=0.125,
    shard_size=8,
)
