"""Stiff test problems against scipy's implicit codes at tight tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from sciml.solvers import PIDController, Stepper, solve
from sciml.solvers.arguments import PerSample
from sciml.solvers.implicit.collocation import Collocation
from sciml.solvers.implicit.imex import IMEX
from sciml.solvers.implicit.krylov import GMRES
from sciml.solvers.implicit.newton import Newton
from sciml.solvers.implicit.rosenbrock import Rosenbrock
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableaus.kencarp4 import KENCARP4
from sciml.solvers.implicit.tableaus.kvaerno5 import KVAERNO5
from sciml.solvers.implicit.tableaus.radau import RADAU_IIA5
from sciml.solvers.implicit.tableaus.rodas5p import RODAS5P

VectorField = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class StiffProblem:
    """A stiff problem, with the tolerances to solve it at."""

    name: str
    field: VectorField
    y0: tuple[float, ...]
    end: float
    rtol: float
    atol: float


def _robertson(t: Tensor, y: Tensor) -> Tensor:
    a, b, c = y.unbind(1)
    slow, catalysed, fast = 0.04 * a, 1e4 * b * c, 3e7 * b**2
    return torch.stack([catalysed - slow, slow - catalysed - fast, fast], dim=1)


def _van_der_pol(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], 1000 * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], dim=1)


def _hires(t: Tensor, y: Tensor) -> Tensor:
    """The high irradiance response of plants (Hairer, Wanner II, equation IV.10.4)."""
    a, b, c, d, e, f, g, h = y.unbind(1)
    bound = 280 * f * h
    return torch.stack(
        [
            -1.71 * a + 0.43 * b + 8.32 * c + 0.0007,
            1.71 * a - 8.75 * b,
            -10.03 * c + 0.43 * d + 0.035 * e,
            8.32 * b + 1.71 * c - 1.12 * d,
            -1.745 * e + 0.43 * f + 0.43 * g,
            -bound + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g,
            bound - 1.81 * g,
            -bound + 1.81 * g,
        ],
        dim=1,
    )


ROBERTSON = StiffProblem("Robertson", _robertson, (1.0, 0.0, 0.0), 1e11, 1e-5, 1e-11)
VAN_DER_POL = StiffProblem("Van der Pol", _van_der_pol, (2.0, 0.0), 1500.0, 1e-5, 1e-6)
HIRES = StiffProblem("HIRES", _hires, (1.0, 0, 0, 0, 0, 0, 0, 0.0057), 321.8122, 1e-5, 1e-8)

METHODS: dict[str, Callable[[VectorField, float, float], Stepper]] = {
    "Rodas5P": lambda field, rtol, atol: Rosenbrock(field, RODAS5P),
    "RadauIIA5": lambda field, rtol, atol: Collocation(field, RADAU_IIA5).within(rtol, atol),
    "Kvaerno5": lambda field, rtol, atol: ImplicitRungeKutta(field, KVAERNO5).within(rtol, atol),
}


@cache
def by_scipy(problem: StiffProblem, tighter: float) -> tuple[np.ndarray, int]:
    """The end state and the steps of scipy's Radau code at tolerances so many times tighter."""

    def field(t: float, y: np.ndarray) -> np.ndarray:
        return problem.field(torch.tensor([t], dtype=torch.float64), torch.as_tensor(y)[None])[0].numpy()

    tolerances = {"rtol": problem.rtol / tighter, "atol": problem.atol / tighter}
    found = solve_ivp(field, (0, problem.end), problem.y0, method="Radau", **tolerances)
    return found.y[:, -1], len(found.t) - 1


@pytest.mark.parametrize("problem", [ROBERTSON, VAN_DER_POL, HIRES], ids=lambda problem: problem.name)
@pytest.mark.parametrize("method", METHODS)
def test_stiff_problems_meet_their_tolerance_in_a_sane_number_of_steps(method: str, problem: StiffProblem) -> None:
    stepper = METHODS[method](problem.field, problem.rtol, problem.atol)
    y0, ts = torch.tensor([problem.y0], dtype=torch.float64), torch.tensor([0, problem.end], dtype=torch.float64)
    solution = solve(stepper, y0, ts, PIDController(rtol=problem.rtol, atol=problem.atol), max_steps=3000)
    reference = torch.as_tensor(by_scipy(problem, 1e4)[0])
    error = (solution.ys[0, -1] - reference).abs() / (problem.rtol * reference.abs() + problem.atol)
    assert float(error.max()) < 50
    _, steps = by_scipy(problem, 1.0)
    assert int(solution.statistics.accepted[0]) < 3 * steps


def test_samples_of_differing_stiffness_keep_their_own_steps() -> None:
    damping = torch.tensor([1.0, 30.0, 1000.0], dtype=torch.float64)
    ts, controller = torch.tensor([0.0, 20.0], dtype=torch.float64), PIDController(rtol=1e-4, atol=1e-6)

    def field(t: Tensor, y: Tensor, damping: Tensor) -> Tensor:
        return torch.stack([y[:, 1], damping * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], dim=1)

    stepper = ImplicitRungeKutta(field, KVAERNO5).within(1e-4, 1e-6)
    y0 = torch.tensor([[2.0, 0.0]], dtype=torch.float64).expand(3, 2).contiguous()
    together = solve(stepper, y0, ts, controller, args=(PerSample(damping),))
    for i in range(3):
        alone = solve(stepper, y0[:1], ts, controller, args=(PerSample(damping[i : i + 1]),))
        assert torch.equal(together.ys[i], alone.ys[0])
        assert int(together.statistics.accepted[i]) == int(alone.statistics.accepted[0])


def diffusion(y: Tensor, rate: float) -> Tensor:
    """Of (batch, 2, node), between fixed ends."""
    ends = torch.tensor([1.0, 3.0], dtype=y.dtype).reshape(1, 2, 1).expand(len(y), 2, 1)
    padded = torch.cat([ends, y, ends], dim=2)
    return rate * (padded[..., 2:] - 2 * y + padded[..., :-2])


def reaction(y: Tensor) -> Tensor:
    u, v = y.unbind(1)
    return torch.stack([1 + u * u * v - 4 * u, 3 * u - u * u * v], dim=1)


def test_the_brusselator_with_diffusion_by_matrix_by_products_and_split() -> None:
    """Hairer, Wanner II, equation IV.10.14, on 24 nodes."""
    node = torch.arange(1, 25, dtype=torch.float64) / 25
    rate = 0.02 * 25**2
    y0 = torch.stack([1 + torch.sin(2 * torch.pi * node), torch.full_like(node, 3.0)])[None]
    ts, rtol = torch.tensor([0.0, 2.0], dtype=torch.float64), 1e-5

    def field(t: Tensor, y: Tensor) -> Tensor:
        return diffusion(y, rate) + reaction(y)

    def flat(t: float, y: np.ndarray) -> np.ndarray:
        return field(torch.zeros(1), torch.as_tensor(y).reshape(1, 2, -1)).flatten().numpy()

    reference = solve_ivp(flat, (0, 2), y0.flatten().numpy(), method="BDF", rtol=1e-9, atol=1e-11).y[:, -1]
    steppers = (
        Rosenbrock(field, RODAS5P),
        ImplicitRungeKutta(field, KENCARP4.implicit, solver=Newton(GMRES())).within(rtol, rtol),
        IMEX(lambda t, y: reaction(y), lambda t, y: diffusion(y, rate), KENCARP4).within(rtol, rtol),
    )
    for stepper in steppers:
        end = solve(stepper, y0, ts, PIDController(rtol=rtol, atol=rtol)).ys[0, -1]
        torch.testing.assert_close(end.flatten(), torch.as_tensor(reference), rtol=50 * rtol, atol=50 * rtol)
