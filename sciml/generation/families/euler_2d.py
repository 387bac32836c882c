"""The compressible Euler equations on a periodic square, from quadrants, a band and smooth shear layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from sciml.datasets.channel import Channel
from sciml.generation.families.gas import PERIODIC_LAWS_2D, gas_scheme
from sciml.generation.family import Family, Initial, Parameter
from sciml.generation.grid import Domain, Grid
from sciml.generation.restriction import average
from sciml.solvers.equations.euler_initial import kelvin_helmholtz, quadrants, shear_layer
from sciml.solvers.ideal_gas import is_physical

_EQUATION = "d/dt (rho, m, E) + div (m, m v^T + p I, (E + p) v) = 0, m = rho v, p = (gamma - 1) (E - m . v / 2)"
_POSEIDON = "M. Herde et al., Poseidon: Efficient Foundation Models for PDEs (2024), appendix B"
_QUADRANT_STATES = tuple(
    f"{name}_{quadrant}"
    for quadrant in ("upper_right", "upper_left", "lower_left", "lower_right")  # as quadrants() counts
    for name in ("density", "velocity_x", "velocity_y", "pressure")
)
_GAMMA = Parameter("gamma", 1.4, "ratio of specific heats")

_gas_family = partial(
    Family,
    equation=_EQUATION,
    channels=(
        Channel("density"),
        Channel("velocity_x", field="velocity", component="x"),
        Channel("velocity_y", field="velocity", component="y"),
        Channel("pressure"),
    ),
    domain=Domain((0.0, 0.0), (1.0, 1.0), centred=True),
    scheme=gas_scheme,
    restrict=average,
    is_valid=is_physical,
    size=64,
    frames=21,
    shard_size=8,
    invariants=PERIODIC_LAWS_2D,
)


def _sample_quadrants(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    """A constant state in each quadrant, density and pressure in (0.1, 1), velocities in (-1, 1)."""
    low, high = torch.tensor([[0.1, -1.0, -1.0, 0.1], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    states = low + (high - low) * torch.rand(4, 4, generator=generator, dtype=torch.float64)
    recorded = dict(zip(_QUADRANT_STATES, states.flatten().tolist()))
    return Initial(u=quadrants(states[None], grid.size)[0], recorded=recorded)


def _sample_kelvin_helmholtz(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    width, amplitude = parameters["width"], parameters["amplitude"]
    u = kelvin_helmholtz(1, grid.size, generator, width=width, amplitude=amplitude, dtype=torch.float64)
    return Initial(u=u[0])


def _sample_shear(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    u = shear_layer(
        1,
        grid.size,
        generator,
        mach=parameters["mach"],
        gamma=parameters["gamma"],
        width=parameters["width"],
        amplitude=parameters["amplitude"],
        dtype=torch.float64,
    )
    return Initial(u=u[0])


EULER_2D_RIEMANN = _gas_family(
    name="euler-2d-riemann",
    title="Compressible Euler, 2D, four constant quadrants",
    source=f"{_POSEIDON}, CE-RP; P. D. Lax, X.-D. Liu, SIAM J. Sci. Comput. 19 (1998)",
    parameters=(_GAMMA,),
    dt=0.05,
    sample=_sample_quadrants,
    recorded=dict.fromkeys(_QUADRANT_STATES, ""),
)

EULER_2D_KH = _gas_family(
    name="euler-2d-kh",
    title="Compressible Euler, 2D, Kelvin-Helmholtz instability",
    source=f"{_POSEIDON}, CE-KH; edges after C. P. McNally, W. Lyra, J.-C. Passy, Astrophys. J. Suppl. 201 (2012)",
    parameters=(
        Parameter("width", (0.01, 0.03), "half thickness of the edges of the band"),
        Parameter("amplitude", (0.01, 0.05), "largest displacement of the edges", log=True),
        _GAMMA,
    ),
    dt=0.1,
    sample=_sample_kelvin_helmholtz,
)

EULER_2D_SHEAR = _gas_family(
    name="euler-2d-shear",
    title="Compressible Euler, 2D, smooth double shear layer",
    source="D. L. Brown, M. L. Minion, J. Comput. Phys. 122 (1995), made compressible and random",
    parameters=(
        Parameter("width", (0.02, 0.06), "half thickness of the layers"),
        Parameter("amplitude", (0.02, 0.1), "largest velocity across the layers", log=True),
        Parameter("mach", (0.2, 0.6), "speed of the layers over the speed of sound"),
        _GAMMA,
    ),
    dt=0.1,
    sample=_sample_shear,
)
