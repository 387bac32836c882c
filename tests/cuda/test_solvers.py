"""Every scheme steps on a GPU as it does on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers import (
    GAUSS6,
    GMRES,
    KVAERNO5,
    RADAU_IIA5,
    RK4,
    RODAS5P,
    TSIT5,
    VERN9,
    Adams,
    AsynchronousLeapfrog,
    Collocation,
    FixedStep,
    ImplicitRungeKutta,
    Newton,
    PIDController,
    Rosenbrock,
    RungeKutta,
    SeparableField,
    StepDoubling,
    Symplectic,
    solve,
)
from sciml.solvers.implicit.krylov import difference_quotient
from tests.cuda.solver_comparison import CPU, F64, assert_same_solution, moved, numbers, spans
from tests.problems import ADAPTIVE, COMPLEX, STEPPERS, Case
from tests.solvers.test_symplectic import SCHEMES

PID = PIDController(1e-5, 1e-7)
LOOSE = PIDController(1e-4, 1e-5)
by_name = {"ids": lambda case: case.name}


def pendulum(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], -torch.sin(y[:, 0]) * (1 + 0.3 * torch.cos(2 * t))], dim=1)


def agree(device: torch.device, stepper: Any, y0: Any, ts: Tensor, controller: Any, **options: Any) -> None:
    """One stepper, used on the CPU first, gives the same on the device."""
    compared = {name: options.pop(name) for name in ("rtol", "atol", "iterates") if name in options}
    expected = solve(stepper, y0, ts, controller, **options)
    found = solve(stepper, moved(y0, device), ts.to(device), controller, **options)
    assert_same_solution(found, expected, device, **compared)


@pytest.mark.parametrize("case", STEPPERS, **by_name)
def test_fixed_steps(case: Case, device: torch.device) -> None:
    """Outputs lie inside the steps; the samples end one after the other, one of them backwards."""
    stepper = case.build(pendulum)
    agree(device, stepper, numbers(4, 2), spans(6), FixedStep(0.15), iterates=hasattr(stepper, "solver"))


@pytest.mark.parametrize("case", ADAPTIVE, **by_name)
def test_adaptive_steps(case: Case, device: torch.device) -> None:
    order = case.build(pendulum).order
    tolerance = 1e-3 if order < 3 else 1e-6
    controller = PIDController(tolerance, tolerance)
    agree(device, case.build(pendulum), numbers(4, 2), spans(6), controller, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", [case for case in ADAPTIVE if "Adams" not in case.name][::4], **by_name)
def test_complex_states(case: Case, device: torch.device) -> None:
    ts = torch.linspace(0, COMPLEX.end, 4, dtype=F64)
    agree(device, case.build(COMPLEX.field), COMPLEX.y0, ts, PIDController(1e-4, 1e-4), rtol=1e-8, iterates=True)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_symplectic_steps(scheme: Any, device: torch.device) -> None:
    field = SeparableField(
        lambda t, p: p * (1 + 0.5 * torch.sin(t))[:, None], lambda t, q: -torch.sin(q) * (1 + t)[:, None]
    )
    agree(device, Symplectic(field, scheme), (numbers(4, 1), numbers(4, 1, seed=1)), spans(5), FixedStep(0.15))


def reaction(t: Tensor, y: Tensor) -> Tensor:
    """A stiff chain: each entry relaxes towards a function of the next one."""
    return 20 * (torch.sin(y.roll(1, dims=1)) - y) + torch.cos(t)[:, None]


NEWTON = {
    "dense by rows": lambda: Newton(),
    "gmres": lambda: Newton(GMRES(rtol=1e-6)),
    "gmres by differences": lambda: Newton(GMRES(rtol=1e-4, directional=difference_quotient)),
    "gmres, preconditioned": lambda: Newton(
        GMRES(preconditioner=lambda t, y, shift, v: v / (1 + 20 * shift)[:, None], restart=4)
    ),
}
IMPLICIT: dict[str, Callable[[Newton], Any]] = {
    "Kvaerno5": lambda newton: ImplicitRungeKutta(reaction, KVAERNO5, solver=newton),
    "RadauIIA5": lambda newton: Collocation(reaction, RADAU_IIA5, solver=newton),
}


@pytest.mark.parametrize("solver", NEWTON)
@pytest.mark.parametrize("scheme", IMPLICIT)
def test_large_implicit_systems(scheme: str, solver: str, device: torch.device) -> None:
    """Of more entries than a Jacobian's rows are looped over, and by products with the Jacobian alone."""
    stepper = IMPLICIT[scheme](NEWTON[solver]())
    # Differences of rounded values are noise from the eighth digit on, and steps are as good as their tolerance.
    rtol = 1e-6 if "differences" in solver else 1e-8
    agree(device, stepper, numbers(3, 20), spans(3, (0.3, 0.1, 0.2)), LOOSE, rtol=rtol, atol=rtol, iterates=True)


def test_a_gauss_scheme_with_complex_pairs_and_krylov(device: torch.device) -> None:
    stepper = Collocation(reaction, GAUSS6, solver=Newton(GMRES(rtol=1e-8), rtol=1e-9, atol=1e-9))
    agree(device, stepper, numbers(2, 6), spans(3, (0.5, 0.2)), FixedStep(0.1), rtol=1e-7, atol=1e-8, iterates=True)


def test_rosenbrock_with_krylov(device: torch.device) -> None:
    stepper = Rosenbrock(reaction, RODAS5P, linear=GMRES(rtol=1e-9))
    agree(device, stepper, numbers(3, 8), spans(3, (0.2, 0.1, 0.15)), LOOSE, rtol=1e-7, atol=1e-8, iterates=True)


STRUCTURED = {
    "explicit": lambda field: RungeKutta(field, TSIT5),
    "lazy dense output": lambda field: RungeKutta(field, VERN9),
    "Adams": lambda field: Adams(field, 4),
    "implicit": lambda field: ImplicitRungeKutta(field, KVAERNO5),
    "Rosenbrock": lambda field: Rosenbrock(field, RODAS5P),
    "leapfrog": AsynchronousLeapfrog,
    "doubled": lambda field: StepDoubling(RungeKutta(field, RK4)),
}


@pytest.mark.parametrize("kind", ["tuple", "dict"])
@pytest.mark.parametrize("name", STRUCTURED)
def test_structured_states(name: str, kind: str, device: torch.device) -> None:
    """Tensors of different shapes, one of them complex."""

    def slopes(x: Tensor, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return -x * z.abs()[:, :, None] + torch.cos(t)[:, None, None], (1j - 0.1) * z + 0.1 * x.mean(dim=2)

    def of_dict(t: Tensor, y: dict[str, Tensor]) -> dict[str, Tensor]:
        return dict(zip("xz", slopes(y["x"], y["z"], t)))

    pair = numbers(4, 2, 3), numbers(4, 2, seed=1, dtype=torch.complex128)
    y0 = pair if kind == "tuple" else dict(zip("xz", pair))
    field = (lambda t, y: slopes(*y, t)) if kind == "tuple" else of_dict
    agree(device, STRUCTURED[name](field), y0, spans(4), PIDController(1e-4, 1e-5), rtol=1e-8, iterates=True)


@pytest.mark.parametrize("name", ["Tsit5", "Kvaerno5", "Rodas5P", "Adams-Bashforth-Moulton 4"])
def test_single_precision(name: str, device: torch.device) -> None:
    (case,) = (case for case in STEPPERS if case.name == name)
    y0, ts = numbers(4, 2).float(), spans(4).float()
    agree(device, case.build(pendulum), y0, ts, FixedStep(0.125), rtol=1e-4, atol=1e-5, iterates=True)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_stepper_goes_from_device_to_device(mode: Any, device: torch.device) -> None:
    """What it has kept for one is not taken for the other, nor what inference mode made for a gradient."""
    steppers = (RungeKutta(pendulum, TSIT5), RungeKutta(pendulum, VERN9), Adams(pendulum, 5))
    y0, ts = numbers(4, 2), spans(7)
    for stepper in steppers:
        expected = solve(stepper, y0, ts, PID)
        for where in (device, CPU, device):
            with mode():
                assert_same_solution(solve(stepper, y0.to(where), ts.to(where), PID), expected, where)
        start = y0.to(device).requires_grad_()
        solve(stepper, start, ts.to(device), PID).ys.sum().backward()
        assert start.grad is not None and bool(start.grad.isfinite().all())
