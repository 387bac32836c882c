"""Material points step on a GPU as on the CPU: every material, contact and obstacle, alone and through a solve."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sciml.kernels.rotation_svd import rotation_svd
from sciml.solvers import FixedStep, solve
from sciml.solvers.courant import Courant
from sciml.solvers.material_point import (
    ADHERING_SLIP,
    NO_SLIP,
    SLIP,
    STICKY,
    Contact,
    DruckerPrager,
    FixedCorotated,
    Fluid,
    Hencky,
    HerschelBulkley,
    MaterialPointMethod,
    MaterialPoints,
    NeoHookean,
    Obstacle,
    Solid,
    StVenantKirchhoff,
    jelly,
    material_points,
    plasticine,
    water,
)
from sciml.solvers.signed_distance import box, sphere
from tests.cuda.solver_comparison import CPU, F64, assert_same, moved, numbers
from tests.solvers.material_point.compiled import run_compiled

MATERIALS: dict[str, Any] = {
    "jelly": jelly,
    "plasticine": lambda: plasticine(yield_stress=300.0),
    "water": water,
    "sand": lambda: Solid(Hencky(1e5, 0.3), DruckerPrager(30.0, 0.01)),
    "neo-Hookean": lambda: Solid(NeoHookean(torch.tensor([[1e5], [2e5]], dtype=F64), 0.3)),
    "Green": lambda: Solid(StVenantKirchhoff(1e5, 0.3)),
    "mud": lambda: Solid(Hencky(1e5, 0.3), HerschelBulkley(200.0, 20.0, 0.5)),
    "fluid": lambda: Fluid(1e5, viscosity=2.0, deviatoric=True),
}


def scene(dim: int, material: Any, **settings: Any) -> tuple[MaterialPointMethod, MaterialPoints]:
    """Two samples of a cloud that turns and falls."""
    x = 0.3 + 0.3 * torch.rand(2, 60, dim, dtype=F64, generator=torch.Generator().manual_seed(dim))
    v = numbers(2, 60, dim) * 0.2 - torch.tensor([1.0, 2.0, 0.0], dtype=F64)[:dim]
    chosen = {"gravity": [0.0, -9.8, 0.0][:dim], **settings}
    method = MaterialPointMethod(material, spacing=0.1, shape=(10,) * dim, volume=0.3**dim / 60, **chosen)
    return method, material_points(x, v)


@pytest.mark.parametrize("name", MATERIALS)
@pytest.mark.parametrize("dim", [2, 3])
def test_materials(name: str, dim: int, device: torch.device) -> None:
    method, y = scene(dim, MATERIALS[name]())
    t, dt = torch.zeros(2, dtype=F64), torch.tensor([1e-3, 5e-4], dtype=F64)
    outcomes = []
    for place in (device, CPU):
        here, reuse = moved(y, place), None
        stepper = method.to(place)
        for _ in range(5):
            step = stepper(t.to(place), dt.to(place), here, reuse)
            here, reuse = step.y, step.reuse
        outcomes.append(here)
    assert_same(outcomes[0], outcomes[1], device, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("walls", [SLIP, NO_SLIP, STICKY, ADHERING_SLIP, Contact(friction=0.3)])
def test_walls_and_obstacles_through_a_solve(walls: Contact, device: torch.device) -> None:
    obstacles = [
        Obstacle(box([0.0, 0.0], [0.35, 0.35]), Contact(friction=0.2)),
        Obstacle(sphere([0.7, 0.5], 0.15), path=lambda t: torch.stack([-t, 0.5 * t], dim=-1)),
    ]
    method, y = scene(2, jelly(), walls=walls, obstacles=obstacles)
    ts = torch.tensor([0.0, 0.01, 0.02], dtype=F64)
    found, expected = (
        solve(Courant(method.to(place)), moved(y, place), ts.to(place), FixedStep(0.01)).ys for place in (device, CPU)
    )
    assert_same(found, expected, device, rtol=1e-6, atol=1e-7)


def test_gradients_through_a_solve(device: torch.device) -> None:
    gradients = []
    for place in (device, CPU):
        young = torch.nn.Parameter(torch.tensor(1e4, dtype=F64, device=place))
        method, y = scene(2, Solid(FixedCorotated(young, 0.3)))
        ts = torch.tensor([0.0, 0.01], dtype=F64, device=place)
        end = solve(method.to(place), moved(y, place), ts, FixedStep(1e-3)).y_end
        gradients.append(torch.autograd.grad(end["position"].square().sum(), young)[0])
    assert_same(gradients[0], gradients[1], device, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("dim", [2, 3])
def test_rotation_svd(dim: int, device: torch.device) -> None:
    matrices = numbers(500, dim, dim)
    left, stretches, right = rotation_svd(matrices.to(device))
    assert_same(stretches, rotation_svd(matrices).stretches, device)
    assert_same(left @ torch.diag_embed(stretches) @ right.mT, matrices, device)


def test_compiled_steps(device: torch.device) -> None:
    run_compiled(device.type, "inductor" if device.type == "cuda" else "aot_eager")
