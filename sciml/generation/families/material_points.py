"""Bodies of one material thrown into a box, by the material point method: what learned particle simulators train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.generation.bodies import random_body
from sciml.generation.family import Batch, Family, Initial, Parameter, Restriction, Scheme
from sciml.generation.grid import Domain, Grid
from sciml.kernels.material_point.contact import SLIP, Contact
from sciml.solvers.courant import Courant
from sciml.solvers.material_point import (
    DruckerPrager,
    FixedCorotated,
    Fluid,
    Hencky,
    HerschelBulkley,
    Material,
    MaterialPointMethod,
    MaterialPoints,
    Solid,
    VonMises,
    material_points,
)

_VOLUME = {2: 0.09, 3: 0.04}  # of every body, in a unit box
_PER_CELL = 2  # points along each axis of a cell
_MARGIN = 2  # cells beyond the box that walls need
_CLEARANCE = 0.05  # between a body and the walls, at the start

_YOUNG = Parameter("young", (5e4, 2e5), "Young's modulus", "Pa", log=True)
_SPEED = Parameter("speed", (0.0, 2.0), "of the body at the start", "m/s", positive=False)
_SPIN = Parameter("spin", (0.0, 4.0), "angular velocity at the start", "1/s", positive=False)
_GRAVITY = Parameter("gravity", 9.8, "downwards", "m/s^2", positive=False)
_MOTION = (_SPEED, _SPIN, _GRAVITY)

Build = Callable[[Mapping[str, Tensor]], Material]
"""The material of a batch, from its parameters (batch, 1)."""


def _sample(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float], *, particle_type: int) -> Initial:
    """A body of random shape, place, direction and axis; the state is (position, velocity)."""
    dim = grid.domain.dimensions
    body, radius = random_body(generator, grid.size, _VOLUME[dim], dim)
    free = max(0.5 - radius - _CLEARANCE, 0.0)
    middle = 0.5 + free * (2 * torch.rand(dim, generator=generator, dtype=torch.float64) - 1)
    direction = torch.randn(dim, generator=generator, dtype=torch.float64)
    velocity = parameters["speed"] * direction / direction.norm() + _turning(generator, body) * parameters["spin"]
    kind = torch.full((grid.size, 1), float(particle_type), dtype=torch.float64)
    return Initial(u=torch.cat([middle + body, velocity], dim=1), static=kind)


def _turning(generator: torch.Generator, body: Tensor) -> Tensor:
    """Velocities of a body that turns once a second over 2 pi, about a random axis."""
    if body.shape[1] == 2:
        sense = 1.0 if float(torch.rand((), generator=generator)) < 0.5 else -1.0
        return sense * torch.stack([-body[:, 1], body[:, 0]], dim=1)
    axis = torch.randn(3, generator=generator, dtype=torch.float64)
    return torch.linalg.cross((axis / axis.norm()).expand_as(body), body)


def _scheme(grid: Grid, batch: Batch, dt: float, *, build: Build, contact: Contact) -> Scheme:
    """A grid of two points along each axis of a cell; the box ends where its walls begin."""
    dim, device = grid.domain.dimensions, batch.u.device
    volume = _VOLUME[dim] / grid.size
    cells = max(8, round(1 / (_PER_CELL * volume ** (1 / dim))))
    down = torch.zeros(len(batch.u), dim, dtype=torch.float64, device=device)
    down[:, 1] = -batch.parameters["gravity"].double()
    method = MaterialPointMethod(
        build({name: value.double()[:, None] for name, value in batch.parameters.items()}),
        spacing=1 / cells,
        shape=(cells + 2 * _MARGIN,) * dim,
        origin=(-_MARGIN / cells,) * dim,
        volume=volume,
        gravity=down,
        walls=contact,
    )
    position, velocity = batch.u.chunk(2, dim=-1)
    return Scheme(Courant(method.to(device)), material_points(position, velocity), _positions)


def _as_it_is(field: Tensor, factor: int, dimensions: int) -> Tensor:
    return field


def _positions(y: MaterialPoints, restrict: Restriction) -> Tensor:
    return y["position"]


def _family(
    material: str,
    dim: int,
    title: str,
    equation: str,
    source: str,
    parameters: tuple[Parameter, ...],
    build: Build,
    contact: Contact,
    particle_type: int,
) -> Family:
    """One family; ``particle_type`` follows the data sets of GNS: 5 water, 6 sand, 7 goop; 4 and 8 are free there."""
    names = ("position_x", "position_y", "position_z")[:dim]
    return Family(
        name=f"{material}-{dim}d",
        title=f"{title}, {dim}D, as particles",
        equation=equation,
        source=source,
        channels=(
            *(Channel(name, field="position", component="xyz"[k], units="m") for k, name in enumerate(names)),
            Channel("particle_type", static=True),
        ),
        domain=Domain((0.0,) * dim, (1.0,) * dim, boundary="wall", units="m"),
        parameters=(*parameters, *_MOTION),
        sample=partial(_sample, particle_type=particle_type),
        scheme=partial(_scheme, build=build, contact=contact),
        restrict=_as_it_is,
        size=1000 if dim == 2 else 2000,
        frames=101,
        dt=0.005,
        trajectories=100,
        shard_size=8,
        kind="particles",
    )


def _elastic(own: Mapping[str, Tensor]) -> Material:
    return Solid(FixedCorotated(own["young"], 0.2))


def _plasticine(own: Mapping[str, Tensor]) -> Material:
    return Solid(Hencky(own["young"], 0.25), VonMises(own["yield_stress"]))


def _sand(own: Mapping[str, Tensor]) -> Material:
    return Solid(Hencky(own["young"], 0.2), DruckerPrager(own["friction_angle"]))


def _water(own: Mapping[str, Tensor]) -> Material:
    return Fluid(own["bulk_modulus"], viscosity=own["viscosity"])


def _mud(own: Mapping[str, Tensor]) -> Material:
    flow = HerschelBulkley(own["yield_stress"], own["viscosity"], own["exponent"])
    return Solid(Hencky(own["young"], 0.3), flow)


def _both(*description: object) -> tuple[Family, ...]:
    material, *rest = description
    return tuple(_family(material, dim, *rest) for dim in (2, 3))  # type: ignore[arg-type]


_ROUGH = Contact(friction=0.4)
_NCLAW = "material of Ma et al., Learning Neural Constitutive Laws From Motion Observations, ICML 2023"

ELASTIC = _both(
    "elastic", "Jelly thrown into a box", "fixed corotated elasticity", _NCLAW, (_YOUNG,), _elastic, SLIP, 4
)
PLASTICINE = _both(
    "plasticine",
    "Plasticine thrown into a box",
    "Hencky elasticity, von Mises plasticity",
    _NCLAW,
    (
        Parameter("young", (1e5, 3e5), "Young's modulus", "Pa", log=True),
        Parameter("yield_stress", (1e3, 5e3), "norm of the deviatoric stress at yield", "Pa", log=True),
    ),
    _plasticine,
    _ROUGH,
    7,
)
SAND = _both(
    "sand",
    "Sand thrown into a box",
    "Hencky elasticity, Drucker-Prager plasticity",
    "Klar et al., Drucker-Prager Elastoplasticity for Sand Animation, SIGGRAPH 2016",
    (
        Parameter("young", (2e5, 1e6), "Young's modulus", "Pa", log=True),
        Parameter("friction_angle", (20.0, 40.0), "of the grains", "degree"),
    ),
    _sand,
    _ROUGH,
    6,
)
WATER = _both(
    "water",
    "Water thrown into a box",
    "weakly compressible Newtonian fluid, Tait's pressure with gamma = 7",
    "Monaghan, Simulating Free Surface Flows with SPH, 1994",
    (
        Parameter("bulk_modulus", 5e4, "of a change of volume", "Pa"),
        Parameter("viscosity", (0.1, 3.0), "dynamic", "Pa s", log=True),
    ),
    _water,
    SLIP,
    5,
)
NON_NEWTONIAN = _both(
    "non-newtonian",
    "Mud thrown into a box",
    "Hencky elasticity, Herschel-Bulkley flow",
    "Yue et al., Continuum Foam, TOG 34, 2015",
    (
        Parameter("young", (1e5, 2e5), "Young's modulus", "Pa", log=True),
        Parameter("yield_stress", (50.0, 500.0), "of a uniaxial test", "Pa", log=True),
        Parameter("viscosity", (10.0, 100.0), "in Pa s^exponent", "", log=True),
        Parameter("exponent", (0.5, 1.5), "below 1 it thins under shear"),
    ),
    _mud,
    _ROUGH,
    8,
)
MATERIAL_POINTS = (*ELASTIC, *PLASTICINE, *SAND, *WATER, *NON_NEWTONIAN)
