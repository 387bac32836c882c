"""One step of the method: recorded runs, an independent implementation for every material, and what is conserved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.solvers.material_point import (
    NO_SLIP,
    SLIP,
    DruckerPrager,
    FixedCorotated,
    Fluid,
    Hencky,
    HerschelBulkley,
    MaterialPointMethod,
    MaterialPoints,
    NeoHookean,
    Solid,
    StVenantKirchhoff,
    Volumetric,
    VonMises,
    material_points,
)
from sciml.solvers.material_point.material import Material
from tests.solvers.material_point import reference
from tests.solvers.material_point.compiled import run_compiled

DATA = Path(__file__).parents[2] / "data" / "mpm"
MU, LA = reference.moduli(1e5, 0.3)

MATERIALS: dict[str, tuple[Callable[[], Material], reference.Law, reference.Map]] = {
    "corotated": (lambda: Solid(FixedCorotated(1e5, 0.3)), reference.corotated(MU, LA), reference.elastic),
    "neo-Hookean": (lambda: Solid(NeoHookean(1e5, 0.3)), reference.neo_hookean(MU, LA), reference.elastic),
    "Green": (lambda: Solid(StVenantKirchhoff(1e5, 0.3)), reference.green(MU, LA), reference.elastic),
    "Hencky": (lambda: Solid(Hencky(1e5, 0.3)), reference.hencky(MU, LA), reference.elastic),
    "von Mises": (
        lambda: Solid(Hencky(1e5, 0.3), VonMises(500.0)),
        reference.hencky(MU, LA),
        reference.von_mises(MU, 500.0),
    ),
    "corotated von Mises": (
        lambda: Solid(FixedCorotated(1e5, 0.3), VonMises(500.0)),
        reference.corotated(MU, LA),
        reference.von_mises(MU, 500.0),
    ),
    "sand": (
        lambda: Solid(Hencky(1e5, 0.3), DruckerPrager(30.0)),
        reference.hencky(MU, LA),
        reference.drucker_prager(MU, LA, 30.0, 0.0),
    ),
    "cohesive sand": (
        lambda: Solid(Hencky(1e5, 0.3), DruckerPrager(30.0, cohesion=0.01)),
        reference.hencky(MU, LA),
        reference.drucker_prager(MU, LA, 30.0, 0.01),
    ),
    "Bingham": (
        lambda: Solid(Hencky(1e5, 0.3), HerschelBulkley(200.0, viscosity=20.0)),
        reference.hencky(MU, LA),
        reference.herschel_bulkley(MU, 200.0, 20.0, 1.0),
    ),
    "shear thinning": (
        lambda: Solid(Hencky(1e5, 0.3), HerschelBulkley(100.0, viscosity=50.0, exponent=0.5)),
        reference.hencky(MU, LA),
        reference.herschel_bulkley(MU, 100.0, 50.0, 0.5),
    ),
    "shear thickening": (
        lambda: Solid(Hencky(1e5, 0.3), HerschelBulkley(100.0, viscosity=5.0, exponent=2.0)),
        reference.hencky(MU, LA),
        reference.herschel_bulkley(MU, 100.0, 5.0, 2.0),
    ),
    "NCLaw water": (
        lambda: Solid(Volumetric(1e5, 0.3), volume_only=True),
        reference.pressure(LA),
        reference.volume_only,
    ),
    "Tait": (
        lambda: Fluid(2e4, viscosity=2.0),
        reference.tait(2e4, 7.0, 2.0, False),
        reference.density_only,
    ),
    "Tait deviatoric": (
        lambda: Fluid(5e4, gamma=1.1, viscosity=5.0, deviatoric=True),
        reference.tait(5e4, 1.1, 5.0, True),
        reference.density_only,
    ),
}


def recorded(name: str, dtype: torch.dtype) -> tuple[Any, dict[str, Any], MaterialPointMethod, MaterialPoints]:
    """A run of the original implementations: its file, its description, our method and the first state."""
    stored = np.load(DATA / f"{name}.npz")
    meta = json.loads(str(stored["meta"]))
    elasticity = {"fixed_corotated": FixedCorotated, "hencky": Hencky}[meta["elastic"]](meta["E"], meta["nu"])
    plasticity = {
        "identity": lambda: None,
        "von_mises": lambda: VonMises(meta["par"]["sigma_y"]),
        "drucker_prager": lambda: DruckerPrager(meta["par"]["friction_deg"]),
    }[meta["plastic"]]()
    method = MaterialPointMethod(
        Solid(elasticity, plasticity, density=meta["mass"] / meta["vol0"]),
        spacing=meta["dx"],
        shape=(meta["n_grid"],) * meta["dim"],
        volume=meta["vol0"],
        gravity=meta["gravity"],
        wall_thickness=meta["bound"],
        margin=meta["clip_bound_cells"],
        mass_floor=meta["eps"],
    )
    x, v = (torch.tensor(stored[key][:1], dtype=dtype) for key in "xv")
    return stored, meta, method, material_points(x, v)


@torch.no_grad()
def stepped(method: MaterialPointMethod, y: MaterialPoints, dt: float, steps: int) -> list[MaterialPoints]:
    """The states after each step."""
    length = torch.full((len(y["position"]),), dt, dtype=torch.float64)
    reuse, states = None, []
    for k in range(steps):
        step = method(k * length, length, y, reuse)
        y, reuse = step.y, step.reuse
        states.append(y)
    return states


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        ("mpm2d_fixed_corotated_block", torch.float64, 1e-13),
        ("mpm2d_fixed_corotated_block", torch.float32, 2e-5),
        ("mpm2d_hencky_von_mises_block", torch.float64, 1e-12),
        ("mpm2d_hencky_von_mises_block", torch.float32, 2e-5),
        ("mpm3d_nclaw_sand", torch.float64, 1e-11),
        ("mpm3d_nclaw_sand", torch.float32, 2e-5),
    ],
)
def test_recorded_runs(name: str, dtype: torch.dtype, tolerance: float) -> None:
    stored, meta, method, y = recorded(name, dtype)
    states = stepped(method, y, meta["dt"], meta["steps"])
    for frame, number in enumerate(stored["frame_steps"][1:], start=1):
        found = states[number - 1]["position"][0].double().numpy()
        assert np.abs(found - stored["x"][frame]).max() < tolerance
    if dtype == torch.float64:
        for number in meta["snap_steps"]:
            state = states[number - 1]
            np.testing.assert_allclose(state["deformation"][0], stored[f"snap{number}_F"], atol=1e-11)
            np.testing.assert_allclose(state["gradient"][0], stored[f"snap{number}_C"], atol=1e-9)


def block(dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A small body that turns and falls towards the floor and a wall."""
    drawn = np.random.default_rng(seed)
    side = 6 if dim == 2 else 3
    axes = [np.arange(side) / side] * dim
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dim) * 0.25 + 0.27
    x = x + drawn.normal(scale=1e-3, size=x.shape)
    spin = x - x.mean(axis=0)
    v = np.tile(np.array([-1.0, -2.0, 0.5])[:dim], (len(x), 1))
    v[:, 0] -= 3 * spin[:, 1]
    v[:, 1] += 3 * spin[:, 0]
    return x, v


@pytest.mark.parametrize("name", MATERIALS)
@pytest.mark.parametrize("dim", [2, 3])
def test_every_material_steps_as_the_independent_implementation(name: str, dim: int) -> None:
    build, law, mapping = MATERIALS[name]
    x, v = block(dim)
    volume, gravity, noslip = 0.25**dim / len(x), np.array([0.0, -9.8, 0.0])[:dim], name == "Green"
    expected = reference.Reference(
        x.copy(), v.copy(), law, mapping, n=12, volume=volume, mass=volume * 1000, gravity=gravity, noslip=noslip
    )
    method = MaterialPointMethod(
        build(), spacing=1 / 12, shape=(12,) * dim, volume=volume, gravity=gravity, walls=NO_SLIP if noslip else SLIP
    )
    dt, steps = 1e-3, 20 if dim == 2 else 8
    states = stepped(method, material_points(torch.tensor(x)[None], torch.tensor(v)[None]), dt, steps)
    for state in states:
        expected.step(dt)
        np.testing.assert_allclose(state["position"][0], expected.x, atol=1e-10)
        np.testing.assert_allclose(state["velocity"][0], expected.v, atol=1e-8)
        np.testing.assert_allclose(state["deformation"][0], expected.F, atol=1e-8)
    assert np.abs(expected.F - np.eye(dim)).max() > 1e-3  # something has happened


def test_a_compiled_step_is_the_step() -> None:
    run_compiled("cpu", "aot_eager")


def angular_momentum(method: MaterialPointMethod, y: MaterialPoints) -> Tensor:
    """About the origin in the plane of the first two axes, with the affine part, (batch,)."""
    mass = method.mass(y)
    x, v, c = y["position"], y["velocity"], y["gradient"]
    orbital = mass * (x[..., 0] * v[..., 1] - x[..., 1] * v[..., 0])
    inner = mass * method.lattice.spacing**2 / 4 * (c[..., 1, 0] - c[..., 0, 1])
    return (orbital + inner).sum(dim=1)


@pytest.mark.parametrize("dim", [2, 3])
def test_momentum_and_angular_momentum_are_conserved(dim: int) -> None:
    x, v = block(dim)
    y = material_points(torch.tensor(x)[None] + 0.1, torch.tensor(v)[None] * 0.3)
    method = MaterialPointMethod(
        Solid(FixedCorotated(1e5, 0.3)), spacing=1 / 12, shape=(12,) * dim, volume=1e-3, walls=None
    )
    last = stepped(method, y, 1e-3, 100)[-1]
    for found, expected in (
        ((method.mass(last)[..., None] * last["velocity"]).sum(1), (method.mass(y)[..., None] * y["velocity"]).sum(1)),
        (angular_momentum(method, last), angular_momentum(method, y)),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
