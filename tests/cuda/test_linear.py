"""Linear solvers, projections and implicit steps on a GPU: the same iterations and solutions as on the CPU."""

import pytest
import torch

from sciml.solvers.bandits import TsallisINF
from sciml.solvers.controller import FixedStep
from sciml.solvers.divergence_free import DivergenceFree
from sciml.solvers.equations.boundary import Neumann
from sciml.solvers.equations.implicit_diffusion import ImplicitDiffusion
from sciml.solvers.equations.variable_density import VariableDensityFlow
from sciml.solvers.linear import (
    CG,
    SOR,
    SSORPCG,
    BiCGStab,
    Diagonal,
    Jacobi,
    Multigrid,
    MultigridPCG,
    Rows,
    SSORPreconditioner,
    diffusion_matrix,
)
from sciml.solvers.solve import solve

pytestmark = pytest.mark.gpu

F64 = torch.float64
SOLVERS = {
    "SOR": lambda: SOR(1.5),
    "SOR, omega of each": lambda: SOR(torch.tensor([1.2, 1.5, 1.7])),
    "SSOR": lambda: SOR(1.4, symmetric=True),
    "red-black": lambda: SOR(1.5, red_black=True),
    "Jacobi": lambda: Jacobi(0.9),
    "SSOR-PCG": lambda: SSORPCG(1.4),
    "CG": CG,
    "CG, diagonal": lambda: CG(Diagonal()),
    "CG, SSOR": lambda: CG(SSORPreconditioner(1.3)),
    "BiCGStab": lambda: BiCGStab(Diagonal()),
    "multigrid": Multigrid,
    "multigrid, red-black": lambda: Multigrid(red_black=True),
    "multigrid-PCG": MultigridPCG,
    "a bandit": lambda: SSORPCG(TsallisINF([1.0, 1.3, 1.6], seed=3)),
}


def drawn(*shape, seed=0):
    return torch.rand(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def solved(make, shape, where):
    """x, iterations, and gradients in b and the conductivity."""
    k = (0.2 + drawn(3, *shape)).to(where).requires_grad_()
    b = (drawn(3, *shape, seed=1) - 0.5).to(where).requires_grad_()
    solution = make()(diffusion_matrix(k, spacing=0.3, boundary=Neumann()).shifted(0.5), b)
    gradients = torch.autograd.grad(solution.x.sin().sum(), (k, b))
    return solution.iterations, solution.x, *gradients


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("shape", [(7, 9), (5, 4, 6)], ids=str)
def test_solvers(name, shape, device):
    here, there = (solved(SOLVERS[name], shape, where) for where in (torch.device("cpu"), device))
    assert there[1].device.type == device.type
    assert int((here[0] - there[0].cpu()).abs().max()) <= 1
    for a, b in zip(here[1:], there[1:]):
        torch.testing.assert_close(b.cpu(), a, rtol=0, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: SOR(1.3), lambda: SSORPCG(1.3), CG, BiCGStab])
def test_rows(make, device):
    dense = torch.diag(4 + drawn(30)) - 0.1 * torch.ones(30, 30, dtype=F64)
    b = drawn(2, 30, seed=2)
    x = make()(Rows.of(dense.to(device)), b.to(device)).x
    torch.testing.assert_close(x.cpu(), torch.linalg.solve(dense, b.T).T, rtol=0, atol=1e-7)


@pytest.mark.parametrize("staggered", [False, True])
def test_projections(staggered, device):
    y = drawn(2, 3, 8, 9) + 0.1
    constraint = DivergenceFree(
        spacing=0.1, periodic=False, staggered=staggered, density=2 if staggered else None, solver=CG(tol=1e-12)
    )
    torch.testing.assert_close(constraint.project(y.to(device)).cpu(), constraint.project(y), rtol=0, atol=1e-9)


def test_steppers(device):
    ts = torch.tensor([0.0, 0.2], dtype=F64)
    k, u, y = 0.2 + drawn(2, 6, 7), drawn(2, 1, 6, 7), drawn(2, 3, 8, 8)
    y = torch.cat([0.1 * y[:, :2], 1 + y[:, 2:]], dim=1)
    ends = []
    for where in (torch.device("cpu"), device):
        heat = ImplicitDiffusion(diffusion_matrix(k.to(where), spacing=0.3), SSORPCG(1.3, tol=1e-12))
        flow = VariableDensityFlow(spacing=0.1, gravity=(0.0, -1.0), solver=SSORPCG(1.3, tol=1e-12))
        ends.append([
            solve(heat, u.to(where), ts.to(where), FixedStep(0.1)).ys[:, -1].cpu(),
            solve(flow, y.to(where), ts.to(where) / 10, FixedStep(0.01)).ys[:, -1].cpu(),
        ])  # fmt: skip
    for a, b in zip(*ends):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-8)
