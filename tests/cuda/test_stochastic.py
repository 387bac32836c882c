"""Brownian paths are the same numbers on every device, and so are the solutions along them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers import (
    EULER_MARUYAMA,
    SDE,
    SOSRA,
    SOSRI,
    SRA1,
    SRIW1,
    STOCHASTIC_HEUN,
    BrownianPath,
    Calculus,
    Direct,
    FixedStep,
    LogRatio,
    Noise,
    PIDController,
    RecursiveCheckpoint,
    ReversibleAdjoint,
    ReversibleHeunSDE,
    SDEStepper,
    solve,
)
from sciml.solvers.stochastic.splitmix import normal_pairs, split
from tests.cuda.solver_comparison import (
    CPU,
    F64,
    assert_same,
    assert_same_gradients,
    assert_same_solution,
    numbers,
    wanted,
)
from tests.sde_problems import SDE_PROBLEMS, SDE_STEPPERS, SDECase

TS = torch.tensor([0.0, 0.3125, 1.0], dtype=F64)
SWEEP = [(case, kind) for case in SDE_STEPPERS for kind in case.kinds]


def path(where: torch.device, *shape: int, cell: float = 2.0**-4, dtype: torch.dtype = F64, **options: Any) -> Any:
    return BrownianPath(7, shape, cell, dtype=dtype, device=where, **options)


def test_hashes_are_equal_bit_by_bit(device: torch.device) -> None:
    key, counter = torch.arange(-500, 500)[:, None] * 0x123456789ABCDEF, torch.arange(-7, 60)
    expected = split(key, counter)
    found = split(key.to(device), counter.to(device))
    assert_same(found, expected, device, rtol=0, atol=0)
    for dtype, rtol in ((F64, 1e-13), (torch.float32, 2e-6)):
        pairs = normal_pairs(key.to(device), counter.to(device), dtype), normal_pairs(key, counter, dtype)
        assert_same(*pairs, device, rtol=rtol, atol=rtol)


def queries() -> dict[str, tuple[Tensor, Tensor]]:
    """Starts and lengths: one cell for all, many cells, parts of cells, backwards, none at all."""
    full = torch.full((4,), 0.125, dtype=F64)
    return {
        "one cell": (full, torch.full_like(full, 0.0625)),
        "one cell backwards": (full, torch.full_like(full, -0.0625)),
        "many cells": (torch.tensor([0.0, 0.0625, -0.5, 1.0], dtype=F64), torch.tensor([1.0, 0.25, 0.5, -0.75])),
        "parts": (numbers(4), numbers(4, seed=1)),
        "halves": (full, torch.tensor([0.03125, 0.015625, 0.09375, 0.0])),
    }


@pytest.mark.parametrize("area", [False, True])
@pytest.mark.parametrize("query", queries())
def test_increments(query: str, area: bool, device: torch.device) -> None:
    t, dt = (value.to(F64) for value in queries()[query])
    for dtype, tolerance in ((F64, 1e-12), (torch.float32, 1e-5)):
        for shape in ((4,), (4, 3), (4, 2, 3)):
            here, there = path(CPU, *shape, dtype=dtype), path(device, *shape, dtype=dtype)
            for moved in (there, here.to(device)):
                found, expected = moved(t.to(device), dt.to(device), area=area), here(t, dt, area=area)
                assert_same(found.w, expected.w, device, rtol=tolerance, atol=tolerance)
                if area:
                    assert_same(found.area, expected.area, device, rtol=tolerance, atol=tolerance)


def test_a_path_follows_its_samples(device: torch.device) -> None:
    """Numbered samples, rows that are dropped, and answers that are remembered."""
    whole = path(device, 4, 2)
    alone = path(device, 2, 2, samples=torch.tensor([3, 1]))
    t, dt = numbers(4).to(device), numbers(4, seed=1).to(device)
    rows = torch.tensor([3, 1], device=device)
    expected = whole(t, dt, area=True)
    assert whole.device == device and whole.select(rows).device == device
    for selected in (alone, whole.select(rows)):
        found = selected(t[rows], dt[rows], area=True)
        assert torch.equal(found.w, expected.w[rows]) and torch.equal(found.area, expected.area[rows])


def built(case: SDECase, kind: Noise, where: torch.device, cell: float) -> tuple[Any, Tensor]:
    """A stepper and its initial states, with whatever tensors the SDE makes for itself on the device."""
    problem = SDE_PROBLEMS[kind][-1]
    with torch.device(where):
        sde = problem.sde(case.calculus)
    y0 = problem.y0[:4] * torch.tensor([[1.0], [0.5], [-1.0], [1.5]], dtype=F64)
    return case.build(sde, path(where, 4, problem.noise, cell=cell)), y0.to(where)


@pytest.mark.parametrize(("case", "kind"), SWEEP, ids=lambda value: getattr(value, "name", str(value)))
def test_fixed_steps(case: SDECase, kind: Noise, device: torch.device) -> None:
    """Steps of one cell each, and of parts of cells with samples that end at different times."""
    ends = torch.tensor([1.0, 0.3, 0.7, 0.55], dtype=F64)[:, None]
    for ts, length in ((TS, 2.0**-4), (TS * ends, 0.07)):
        solutions = []
        for where in (device, CPU):
            stepper, y0 = built(case, kind, where, 2.0**-4)
            solutions.append(solve(stepper, y0, ts.to(where), FixedStep(length)))
        assert_same_solution(*solutions, device, rtol=1e-9, atol=1e-9)


ADAPTIVE = [case for case in SWEEP if case[0].name.split()[0] in ("SRA1", "SOSRI", "reversible")]


@pytest.mark.parametrize(("case", "kind"), ADAPTIVE, ids=lambda value: getattr(value, "name", str(value)))
def test_adaptive_steps(case: SDECase, kind: Noise, device: torch.device) -> None:
    ts, controller = TS * torch.tensor([[0.5], [0.1], [0.3], [0.45]], dtype=F64), PIDController(1e-2, 1e-2, dt0=0.05)
    solutions = []
    for where in (device, CPU):
        stepper, y0 = built(case, kind, where, 2.0**-4)
        solutions.append(solve(stepper, y0, ts.to(where), controller))
    assert int(solutions[1].statistics.accepted.sum()) > 8
    assert_same_solution(*solutions, device, rtol=1e-8, atol=1e-8)


GRADIENTS: dict[str, tuple[Callable[[SDE, BrownianPath], Any], Calculus, Any]] = {
    "direct": (lambda sde, path: SDEStepper(sde, path, SRIW1), Calculus.ITO, Direct()),
    "checkpoint": (
        lambda sde, path: SDEStepper(sde, path, STOCHASTIC_HEUN), Calculus.STRATONOVICH, RecursiveCheckpoint()
    ),
    "undone": (ReversibleHeunSDE, Calculus.STRATONOVICH, ReversibleAdjoint()),
}  # fmt: skip


@pytest.mark.parametrize("controller", [FixedStep(2.0**-4), PIDController(1e-2, 1e-2, dt0=0.05)], ids=["fixed", "pid"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str, controller: Any, device: torch.device) -> None:
    build, calculus, adjoint = GRADIENTS[name]
    found = []
    for where in (device, CPU):
        y0, rate, size = wanted(numbers(4, 2), numbers(2, seed=1), numbers(2, seed=2), device=where)
        sde = SDE(
            lambda t, y, r=rate: r * y.sin(), lambda t, y, s=size: 0.3 * s * torch.cos(y), Noise.DIAGONAL, calculus
        )
        ts = torch.linspace(0, 0.5, 3, dtype=F64, device=where)
        ys = solve(build(sde, path(where, 4, 2)), y0, ts, controller, adjoint=adjoint).ys
        found.append(torch.autograd.grad(ys.sin().sum(), (y0, rate, size)))
    assert_same_gradients(*found, device, rtol=1e-7)


@pytest.mark.parametrize(
    ("noise", "scheme"),
    [(Noise.GENERAL, EULER_MARUYAMA), (Noise.ADDITIVE, SOSRA), (Noise.SCALAR, SRIW1), (Noise.DIAGONAL, SOSRI)],
    ids=lambda value: value.name,
)
def test_log_ratios(noise: Noise, scheme: Any, device: torch.device) -> None:
    columns = {Noise.SCALAR: 1, Noise.DIAGONAL: 4}.get(noise, 2)
    found = []
    for where in (device, CPU):
        (matrix,) = wanted(numbers(3, 1 if columns == 1 else 2, seed=3), device=where)

        def diffusion(t: Tensor, y: Tensor, matrix: Tensor = matrix) -> Tensor:
            if noise is Noise.DIAGONAL:
                return 0.5 + 0.1 * torch.cos(y) * matrix[:, 0]
            scale = torch.ones_like(t) if noise is Noise.ADDITIVE else 2 + torch.cos(y[:, 0])
            return scale[:, None, None] * matrix

        ratio = LogRatio(SDE(lambda t, y: -y.sin(), diffusion, noise, Calculus.ITO), lambda t, y: 0.3 - y)
        stepper = SDEStepper(ratio.sde, path(where, 4, columns), scheme)
        ys = solve(stepper, ratio.begin(numbers(4, 3).to(where)), TS, FixedStep(2.0**-4)).ys
        states, logs = ratio.split(ys)
        found.append((states.detach(), logs.detach(), torch.autograd.grad(logs[:, -1].sum(), matrix)[0]))
    assert_same(found[0], found[1], device, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("scheme", [SRA1, SOSRA], ids=lambda scheme: scheme.name)
def test_single_precision(scheme: Any, device: torch.device) -> None:
    found = []
    for where in (device, CPU):
        sde = SDE(lambda t, y: -y.sin(), lambda t, y: 0.3 * torch.cos(t)[:, None].expand_as(y), Noise.ADDITIVE)
        stepper = SDEStepper(sde, path(where, 4, 2, dtype=torch.float32), scheme)
        found.append(solve(stepper, numbers(4, 2).float().to(where), TS.to(where), FixedStep(2.0**-4)))
    assert_same_solution(*found, device, rtol=1e-4, atol=1e-5)
