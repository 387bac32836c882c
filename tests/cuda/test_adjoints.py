"""Every way to a gradient gives on a GPU what it gives on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, hessian, jacrev, jvp, vmap

from sciml.solvers import (
    GMRES,
    KVAERNO3,
    RK4,
    RODAS5P,
    TSIT5,
    AsynchronousLeapfrog,
    Backsolve,
    Direct,
    Event,
    FixedStep,
    ImplicitRungeKutta,
    Interpolated,
    PerSample,
    PIDController,
    RecursiveCheckpoint,
    Reversible,
    ReversibleAdjoint,
    ReversibleHeun,
    Rosenbrock,
    RungeKutta,
    Stops,
    solve,
    steady_state,
)
from sciml.solvers.implicit.jacobian import Dense
from tests.cuda.solver_comparison import CPU, F64, assert_same, assert_same_gradients, numbers, spans, wanted

PID = PIDController(1e-5, 1e-6)
ADJOINTS = {
    "direct": Direct(),
    "checkpoint": RecursiveCheckpoint(),
    "two checkpoints": RecursiveCheckpoint(2),
    "backsolve": Backsolve(),
    "free backsolve": Backsolve(resynchronise=False),
    "interpolated": Interpolated(),
}
SCHEMES: dict[str, Callable[[Any], Any]] = {
    "Tsit5": lambda field: RungeKutta(field, TSIT5),
    "Kvaerno3": lambda field: ImplicitRungeKutta(field, KVAERNO3),
    "Rodas5P": lambda field: Rosenbrock(field, RODAS5P),
}
REVERSIBLE: dict[str, Callable[[Any], Any]] = {
    "leapfrog": AsynchronousLeapfrog,
    "Heun": ReversibleHeun,
    "RK4": lambda field: Reversible(RungeKutta(field, RK4)),
}
every_adjoint = pytest.mark.parametrize("adjoint", ADJOINTS)


class Driven(nn.Module):
    """A network with a clock, a shared argument and one for each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).to(F64)
        for number, parameter in enumerate(self.network.parameters()):
            nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(number))

    def forward(self, t: Tensor, y: Tensor, rate: Tensor, drive: Tensor) -> Tensor:
        return rate * self.network(y) * torch.cos(t)[:, None] + drive


def loss(ys: Tensor, end: Tensor) -> Tensor:
    """Weighs every output of every sample differently, and the end states once more."""
    weights = torch.linspace(-1, 2, ys.numel(), dtype=F64).reshape(ys.shape).to(ys.device)
    return (weights * ys.sin()).sum() + end.square().sum()


def gradients(where: torch.device, scheme: Any, controller: Any, adjoint: Any, **options: Any) -> tuple[Tensor, ...]:
    """Of y0, ts, both arguments and the parameters."""
    field = Driven().to(where)
    leaves = wanted(numbers(4, 2), spans(5), numbers(2, seed=1), numbers(4, 2, seed=2), device=where)
    y0, ts, rate, drive = leaves
    args = rate, PerSample(0.3 * drive.tanh())
    solution = solve(scheme(field), y0, ts, controller, args=args, adjoint=adjoint, **options)
    return torch.autograd.grad(loss(solution.ys, solution.y_end), (*leaves, *field.parameters()))


@pytest.mark.parametrize("controller", [PID, FixedStep(0.2)], ids=["adaptive", "fixed"])
@pytest.mark.parametrize("scheme", SCHEMES)
@every_adjoint
def test_gradients(adjoint: str, scheme: str, controller: Any, device: torch.device) -> None:
    found, expected = (gradients(where, SCHEMES[scheme], controller, ADJOINTS[adjoint]) for where in (device, CPU))
    assert_same_gradients(found, expected, device, rtol=1e-7)


@pytest.mark.parametrize("scheme", REVERSIBLE)
@pytest.mark.parametrize("adaptive", [True, False], ids=["adaptive", "fixed"])
def test_gradients_of_undone_steps(scheme: str, adaptive: bool, device: torch.device) -> None:
    controller: Any = PIDController(1e-3, 1e-4) if adaptive and scheme != "RK4" else FixedStep(0.15)
    found, expected = (gradients(w, REVERSIBLE[scheme], controller, ReversibleAdjoint()) for w in (device, CPU))
    assert_same_gradients(found, expected, device, rtol=1e-7)


@every_adjoint
def test_gradients_across_jumps(adjoint: str, device: torch.device) -> None:
    stops = Stops(jumps=torch.tensor([0.3, 0.9], dtype=F64))
    found, expected = (gradients(w, SCHEMES["Tsit5"], PID, ADJOINTS[adjoint], stops=stops) for w in (device, CPU))
    assert_same_gradients(found, expected, device, rtol=1e-7)


@pytest.mark.parametrize("adjoint", ["direct", "checkpoint", "two checkpoints"])
def test_gradients_of_an_event(adjoint: str, device: torch.device) -> None:
    """Of its time and state, also by what the condition depends on."""
    found = []
    for where in (device, CPU):
        y0, gravity, floor = wanted(
            torch.tensor([[10.0, 0.0], [5.0, 1.0], [1.0, 9.0]], dtype=F64),
            torch.tensor(9.81, dtype=F64),
            torch.tensor(0.5, dtype=F64),
            device=where,
        )
        stepper = RungeKutta(lambda t, y, g: torch.stack([y[:, 1], -g - 0.1 * y[:, 1]], dim=1), TSIT5)
        event = Event(lambda t, y, g, floor=floor: y[:, 0] - floor, direction=-1)
        ts = torch.linspace(0, 6, 7, dtype=F64)
        solution = solve(stepper, y0, ts, PID, args=(gravity,), event=event, adjoint=ADJOINTS[adjoint])
        total = (solution.t_end * solution.y_end[:, 1]).sum()
        found.append(torch.autograd.grad(total, (y0, gravity, floor), allow_unused=True, materialize_grads=True))
    for one, other in zip(*found):
        assert_same(one, other, device, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("linear", [Dense, GMRES])
def test_states_at_rest(linear: Any, device: torch.device) -> None:
    results = []
    for where in (device, CPU):
        matrix, source = wanted(torch.eye(3, dtype=F64) + 0.2 * numbers(3, 3), numbers(3, 3, seed=1), device=where)
        stepper = RungeKutta(lambda t, y, m, s: s - 0.1 * y.sin() - (y[:, None] * m).sum(dim=-1), TSIT5)
        y0 = torch.zeros(3, 3, dtype=F64, device=where)
        found = steady_state(stepper, y0, PIDController(1e-4, 1e-5), args=(matrix, PerSample(source)), linear=linear())
        results.append((found, torch.autograd.grad(found.y.sin().sum(), (matrix, source))))
    (found, slopes), (expected, other_slopes) = results
    assert_same(found.converged, expected.converged, device)
    assert_same((found.t, found.y), (expected.t, expected.y), device, rtol=1e-8, atol=1e-10)
    assert_same_gradients(slopes, other_slopes, device, rtol=1e-7)


TRANSFORMS: dict[str, Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]] = {
    "grad": lambda f: lambda r: grad(lambda k: f(k).square().sum())(r[0]),
    "jvp": lambda f: lambda r: jvp(f, (r[0],), (torch.ones_like(r[0]),))[1],
    "jacrev": lambda f: lambda r: jacrev(f)(r[0]),
    "hessian": lambda f: lambda r: hessian(lambda k: f(k).square().sum())(r[0]),
    "vmap": lambda f: vmap(f),
    "vmap of grad": lambda f: vmap(grad(lambda k: f(k).square().sum())),
    "vmap of jvp": lambda f: vmap(lambda k: jvp(f, (k,), (torch.ones_like(k),))[1]),
}


@pytest.mark.parametrize("controller", [PID, FixedStep(0.1)], ids=["adaptive", "fixed"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str, controller: Any, device: torch.device) -> None:
    results = []
    for where in (device, CPU):
        y0, ts = numbers(2, 2).to(where), torch.linspace(0, 1, 4, dtype=F64, device=where)

        def trajectory(rate: Tensor, y0: Tensor = y0, ts: Tensor = ts) -> Tensor:
            field = RungeKutta(lambda t, y: -rate * y.sin() * torch.cos(t)[:, None], TSIT5)
            return solve(field, y0, ts, controller).ys

        results.append(TRANSFORMS[name](trajectory)(torch.tensor([1.3, 0.2, 4.0], dtype=F64, device=where)))
    assert_same(*results, device, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["grad", "jvp"])
def test_transforms_of_implicit_steps(name: str, device: torch.device) -> None:
    results = []
    for where in (device, CPU):
        y0, ts = numbers(2, 2).to(where), torch.linspace(0, 1, 3, dtype=F64, device=where)

        def trajectory(rate: Tensor, y0: Tensor = y0, ts: Tensor = ts) -> Tensor:
            field = ImplicitRungeKutta(lambda t, y: -rate * y.sin() * torch.cos(t)[:, None], KVAERNO3)
            return solve(field, y0, ts, FixedStep(0.2)).ys

        results.append(TRANSFORMS[name](trajectory)(torch.tensor([1.3, 0.2, 4.0], dtype=F64, device=where)))
    assert_same(*results, device, rtol=1e-7, atol=1e-9)
