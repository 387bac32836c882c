"""Paths through observations, equations that they drive, and penalties on the solver's work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers import (
    SDE,
    SOSRI,
    SRIW1,
    TSIT5,
    VERN7,
    BrownianPath,
    ControlledField,
    Direct,
    FixedStep,
    Noise,
    PerSample,
    PIDController,
    RecursiveCheckpoint,
    RungeKutta,
    SDEStepper,
    Stops,
    global_error,
    global_stiffness,
    local_error,
    local_stiffness,
    solve,
)
from sciml.solvers.controlled.log_signature import log_signature_path
from sciml.solvers.controlled.splines import (
    hermite_cubic,
    linear,
    natural_cubic,
    observation_counts,
    rectilinear,
    with_time,
)
from sciml.solvers.regularization.kinetic import KineticEnergy
from sciml.solvers.regularization.steer import jitter, random_end
from sciml.solvers.regularization.taynode import TaylorEnergy
from tests.cuda.solver_comparison import (
    CPU,
    F64,
    assert_same,
    assert_same_gradients,
    assert_same_solution,
    numbers,
    spans,
    wanted,
)
from tests.solvers.controlled.test_splines import observations

PID = PIDController(1e-5, 1e-7)
PATHS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "linear": linear,
    "natural cubic": natural_cubic,
    "hermite cubic": hermite_cubic,
    "rectilinear": rectilinear,
    "log-signatures": lambda ts, values: log_signature_path(ts, values, every=3),
    "with time and counts": lambda ts, values: linear(
        ts, with_time(ts, torch.cat([values, observation_counts(values)], dim=2))
    ),
}
every_path = pytest.mark.parametrize("name", PATHS)


@every_path
def test_paths_through_observations_with_gaps(name: str, device: torch.device) -> None:
    ts, values = observations()
    found, expected = (PATHS[name](ts.to(where), values.to(where)) for where in (device, CPU))
    assert_same((found.ts, *found.coefficients), (expected.ts, *expected.coefficients), device, rtol=1e-11)
    for share in (-0.1, 0.0, 0.37, 0.8, 1.0, 1.2):
        t = expected.ts[:, 0] + share * (expected.ts[:, -1] - expected.ts[:, 0])
        assert_same(found.evaluate(t.to(device)), expected.evaluate(t), device, rtol=1e-11)
        if share not in (0.0, 1.0):
            assert_same(found.derivative(t.to(device)), expected.derivative(t), device, rtol=1e-11)


@every_path
def test_equations_driven_by_paths(name: str, device: torch.device) -> None:
    """Each sample over the knots of its own path; gradients of the observations and of the field's weight."""
    ts, values = observations()
    solutions, gradients = [], []
    for where in (device, CPU):
        seen, weight = wanted(values, numbers(3, 3, 27, seed=1), device=where)
        path = PATHS[name](ts.to(where), seen)
        channels = path.coefficients[0].shape[2]
        used = 0.1 * weight[..., :channels]
        field = ControlledField(path, lambda t, z, w=used: torch.tanh((z[:, :, None, None] * w).sum(dim=1)))
        ends = torch.stack([path.ts[:, 0], path.ts[:, 1:3].mean(dim=1), path.ts[:, -1]], dim=1)
        stops = Stops(jumps=path.ts[:, 1:-1]) if path.smoothness == 0 else None
        solution = solve(RungeKutta(field, TSIT5), numbers(4, 3).to(where), ends, FixedStep(0.4), stops=stops)
        found = torch.autograd.grad(solution.ys.square().sum(), (seen, weight))
        solutions.append(solution)
        gradients.append([gradient.nan_to_num(0.0) for gradient in found])
    assert_same_solution(*solutions, device, rtol=1e-9)
    assert_same_gradients(*gradients, device, rtol=1e-8)


class Field(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rate = torch.nn.Parameter(numbers(2, seed=1))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 1], -torch.sin(3 * y[:, 0])], dim=1) + self.rate * torch.cos(t)[:, None]


def seeded(where: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device=where).manual_seed(3)


PENALTIES: dict[str, tuple[dict[str, bool], Callable[[Any, Any], Tensor]]] = {
    "local error": ({}, lambda stepper, solution: local_error(stepper, solution, generator=seeded())),
    "local error on dense output": (
        {"keep_dense": True},
        lambda stepper, solution: local_error(stepper, solution, generator=seeded(), detach=False),
    ),
    "local error, biased": (
        {"keep_steps": True},
        lambda stepper, solution: local_error(stepper, solution, biased=True, kept_length=True, generator=seeded()),
    ),
    "local stiffness": (
        {"keep_steps": True},
        lambda stepper, solution: local_stiffness(stepper, solution, generator=seeded()),
    ),
    "global error": ({"keep_steps": True}, global_error),
    "global stiffness": ({"keep_steps": True}, global_stiffness),
}


@pytest.mark.parametrize("adjoint", [Direct(), RecursiveCheckpoint()], ids=lambda adjoint: type(adjoint).__name__)
@pytest.mark.parametrize("name", PENALTIES)
def test_penalties(name: str, adjoint: Any, device: torch.device) -> None:
    """Their values, and the gradients of the field's parameter; the random numbers are the host's for both."""
    kept, penalty = PENALTIES[name]
    if "keep_dense" in kept and not isinstance(adjoint, Direct):
        pytest.skip("dense output has gradients with Direct alone")
    values, gradients = [], []
    for where in (device, CPU):
        stepper = RungeKutta(Field().to(where), TSIT5)
        solution = solve(stepper, numbers(4, 2).to(where), spans(4).to(where), PID, adjoint=adjoint, **kept)
        value = penalty(stepper, solution)
        values.append(value.detach())
        gradients.append(torch.autograd.grad(value.sum(), list(stepper.parameters())))
    # Errors are differences of slopes that cancel to some digits.
    assert_same(*values, device, rtol=1e-4, atol=1e-7)
    assert_same_gradients(*gradients, device, rtol=1e-3)


def test_penalties_of_stochastic_steps(device: torch.device) -> None:
    values = []
    for where in (device, CPU):
        sde = SDE(lambda t, y: -y.sin(), lambda t, y: 0.3 * torch.cos(y), Noise.DIAGONAL)
        stepper = SDEStepper(sde, BrownianPath(3, (4, 2), 0.125, dtype=F64, device=where), SOSRI)
        ts, controller = torch.linspace(0, 0.5, 3, dtype=F64, device=where), PIDController(1e-2, 1e-2, dt0=0.05)
        solution = solve(stepper, numbers(4, 2).to(where), ts, controller, keep_steps=True)
        values.append((global_error(stepper, solution), local_error(stepper, solution, generator=seeded())))
    assert_same(*values, device, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("order", [2, 3])
def test_kinetic_and_taylor_energies(order: int, device: torch.device) -> None:
    found = []
    for where in (device, CPU):
        y0, ts, field = numbers(4, 2).to(where), spans(3).to(where), Field().to(where)
        direction = KineticEnergy.direction(y0, generator=seeded())
        kinetic = RungeKutta(KineticEnergy(field), VERN7)
        first = solve(kinetic, KineticEnergy.initial(y0), ts, PID, args=(PerSample(direction),)).ys
        second = solve(RungeKutta(TaylorEnergy(field, order=order), TSIT5), TaylorEnergy.initial(y0), ts, PID).ys
        slopes = torch.autograd.grad(first[1].sum() + first[2].sum() + second[1].sum(), field.rate)
        found.append((*(part.detach() for part in (*first, *second)), *slopes))
    assert_same(*found, device, rtol=1e-7, atol=1e-8)


def test_random_times(device: torch.device) -> None:
    """Drawn on the host or where the generator is; both lie where the times do."""
    ts = torch.linspace(0, 1, 5, dtype=F64)
    for draw in (lambda t, g: random_end(t, 0.1, generator=g), lambda t, g: jitter(t, generator=g)):
        assert_same(draw(ts.to(device), seeded()), draw(ts, seeded()), device, rtol=1e-12)
        assert draw(ts.to(device), seeded(device)).device == device
        assert draw(ts, seeded(device)).device == CPU


def test_random_directions_and_times_of_penalties_follow_their_generator(device: torch.device) -> None:
    y0 = numbers(4, 2).to(device)
    assert KineticEnergy.direction(y0, generator=seeded(device)).device == device
    stepper = SDEStepper(
        SDE(lambda t, y: -y, lambda t, y: 0.1 * y, Noise.DIAGONAL),
        BrownianPath(3, (4, 2), 0.125, dtype=F64, device=device),
        SRIW1,
    )
    ts = torch.linspace(0, 0.5, 3, dtype=F64, device=device)
    solution = solve(stepper, y0, ts, FixedStep(0.125), keep_steps=True)
    value = local_error(stepper, solution, controller=PIDController(1e-2, 1e-2), generator=seeded(device))
    assert value.device == device and bool(value.isfinite().all())
