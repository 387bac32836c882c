"""Compiled steps beside those that are not; in a process of its own, for what checks arguments cannot be compiled.

python -m tests.solvers.material_point.compiled DEVICE BACKEND
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sciml.solvers.controller import FixedStep
from sciml.solvers.material_point import (
    FixedCorotated,
    Fluid,
    MaterialPointMethod,
    NeoHookean,
    Solid,
    material_points,
)
from sciml.solvers.solve import solve

F64 = torch.float64


def run_compiled(device: str, backend: str) -> None:
    """Run this file."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.solvers.material_point.compiled", device, backend],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr


def cloud(dim: int, device: str) -> dict[str, torch.Tensor]:
    """A body that spins and falls."""
    x = 0.3 + 0.3 * torch.rand(1, 40, dim, dtype=F64, generator=torch.Generator().manual_seed(dim))
    v = torch.stack([0.45 - x[..., 1], x[..., 0] - 0.45, *[0.5 + 0 * x[..., 0]] * (dim - 2)], dim=-1)
    return material_points(x.to(device), v.to(device))


def check_steps(dim: int, device: str, backend: str) -> None:
    """A solid and a fluid, through solve; what is wrong is said as ever."""
    bodies = [(Solid(FixedCorotated(1e5, 0.3)), 15), (Fluid(1e5, viscosity=2.0), 25)]
    y, ends = cloud(dim, device), []
    for chosen in (None, backend):
        method = MaterialPointMethod(
            bodies, spacing=1 / 12, shape=(12,) * dim, volume=1e-3, gravity=[0.0, -9.8, 0.0][:dim]
        ).to(device)
        method.compile(chosen)
        with torch.no_grad():
            solution = solve(method, y, torch.linspace(0, 5e-3, 6, dtype=F64), FixedStep(1e-3))
        ends.append(solution.ys)
        with pytest.raises(ValueError, match="CFL"):
            method(torch.zeros(1, device=device), torch.ones(1, device=device), y)
    for name in ends[0]:
        torch.testing.assert_close(ends[1][name], ends[0][name], rtol=1e-9, atol=1e-10)


def check_gradients(device: str, backend: str) -> None:
    """With respect to a material's parameter and the state."""
    found = []
    for chosen in (None, backend):
        young = torch.tensor(1e5, dtype=F64, device=device, requires_grad=True)
        method = MaterialPointMethod(
            Solid(NeoHookean(young, 0.3)), spacing=1 / 12, shape=(12, 12), volume=1e-3, gravity=[0.0, -9.8]
        ).to(device)
        method.compile(chosen)
        y = cloud(2, device)
        y["deformation"] = (1.02 * y["deformation"]).requires_grad_()
        one = torch.ones(1, dtype=F64, device=device)
        end = method(0 * one, 1e-3 * one, y).y
        found.append(torch.autograd.grad(end["velocity"].square().sum(), (young, y["deformation"])))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for dim in (2, 3):
        check_steps(dim, *sys.argv[1:])
    check_gradients(*sys.argv[1:])
