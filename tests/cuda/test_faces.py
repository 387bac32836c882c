"""User code written for torchdiffeq and for torchsde, on a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers.compat import torchsde
from sciml.solvers.compat.torchdiffeq import odeint, odeint_adjoint, odeint_dense, odeint_event
from sciml.solvers.compat.torchdiffeq.methods import METHODS
from tests.cuda.solver_comparison import CPU, F64, assert_same, assert_same_gradients, moved, numbers, wanted

ADAPTIVE = ("dopri8", "dopri5", "tsit5", "bosh3", "fehlberg2", "adaptive_heun")
both_interfaces = pytest.mark.parametrize("interface", [odeint, odeint_adjoint], ids=["backprop", "adjoint"])


@contextmanager
def unmoved() -> Iterator[None]:
    """A warning that times had to be moved to another device is an error here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="t is on")
        yield


def grid(field: Any, y0: Tensor, t: Tensor) -> Tensor:
    return torch.linspace(0, 1.5, 13, dtype=t.dtype, device=t.device)


class Oscillator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=F64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y @ self.matrix) + 0.1 * torch.sin(t)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("end", [1.5, -1.0])
def test_methods(method: str, end: float, device: torch.device) -> None:
    t = torch.linspace(0, end, 8, dtype=F64)
    tolerances = {"rtol": 1e-5, "atol": 1e-6} if method in ADAPTIVE else {}
    if method == "scipy_solver":
        pytest.importorskip("scipy")
    with torch.no_grad(), unmoved():
        found, expected = (
            odeint(Oscillator().to(w), numbers(3, 2).to(w), t.to(w), method=method, **tolerances) for w in (device, CPU)
        )
    assert_same(found, expected, device, rtol=1e-8, atol=1e-9)


OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "step size": ("rk4", {"step_size": 0.13}),
    "cubic outputs": ("midpoint", {"step_size": 0.3, "interp": "cubic"}),
    "perturbed": ("rk4", {"perturb": True}),
    "grid": (
        "euler",
        {"grid_constructor": grid},
    ),
    "jumps": ("dopri5", {"jump_t": torch.tensor([0.31, 0.77], dtype=F64)}),
    "times to step on": ("dopri5", {"step_t": torch.tensor([0.4], dtype=F64), "first_step": 0.05}),
    "norm": ("tsit5", {"norm": lambda y: y.abs().max()}),
    "high order Adams": ("implicit_adams", {"max_order": 6}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str, device: torch.device) -> None:
    method, options = OPTIONS[name]
    t = torch.linspace(0, 1.5, 5, dtype=F64)
    found, expected = (
        odeint(
            Oscillator().to(w),
            numbers(3, 2).to(w),
            t.to(w),
            method=method,
            options={key: value.to(w) if isinstance(value, Tensor) else value for key, value in options.items()},
        )
        for w in (device, CPU)
    )
    assert_same(found, expected, device, rtol=1e-7, atol=1e-8)


@both_interfaces
@pytest.mark.parametrize("method", ["dopri5", "rk4", "implicit_adams", "trapezoid"])
def test_gradients(method: str, interface: Any, device: torch.device) -> None:
    """Of the state, the times and the parameters."""
    found = []
    options = {"options": {"step_size": 0.1}} if method != "dopri5" else {"rtol": 1e-6, "atol": 1e-7}
    for where in (device, CPU):
        field = Oscillator().to(where)
        y0, t = wanted(numbers(3, 2), torch.linspace(0, 1, 4, dtype=F64), device=where)
        ys = interface(field, y0, t, method=method, **options)
        found.append(torch.autograd.grad(ys.sin().sum(), (y0, t, field.matrix)))
    assert_same_gradients(*found, device, rtol=1e-6)


@both_interfaces
def test_tuples_and_tolerances_of_each(interface: Any, device: torch.device) -> None:
    class Pair(nn.Module):
        def forward(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return -y[0] * torch.cos(t), y[1].sin() + y[0].mean()

    y0, t = (numbers(3, 2), numbers(4, seed=1)), torch.linspace(0, 1, 4, dtype=F64)
    found, expected = (
        interface(Pair(), moved(y0, where), t.to(where), rtol=(1e-4, 1e-6), atol=(1e-6, 1e-7))
        for where in (device, CPU)
    )
    assert_same(found, expected, device, rtol=1e-7, atol=1e-8)


@both_interfaces
@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_events(method: str, interface: Any, device: torch.device) -> None:
    """The time, the state there and their gradients."""
    times, gradients = [], []
    options = {"options": {"step_size": 0.05}} if method == "rk4" else {}

    class Fall(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gravity = nn.Parameter(torch.tensor(9.81, dtype=F64))

        def forward(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return y[1], -self.gravity - 0.1 * y[1]

    for where in (device, CPU):
        field = Fall().to(where)
        height, speed, t0 = wanted(*torch.tensor([10.0, 1.0, 0.2], dtype=F64), device=where)
        event_t, ys = odeint_event(
            field, (height, speed), t0, event_fn=lambda t, y: y[0], odeint_interface=interface, method=method, **options
        )
        times.append((event_t.detach(), ys[1].detach()))
        total = event_t * ys[1][-1]
        gradients.append(torch.autograd.grad(total, (height, speed, t0, field.gravity)))
    assert_same(*times, device, rtol=1e-7, atol=1e-8)
    assert_same_gradients(*gradients, device, rtol=1e-6)


def test_dense_output(device: torch.device) -> None:
    """Also for ends given as numbers: times are made where the state is, without a warning."""
    times = torch.linspace(0.1, 1.4, 6, dtype=F64)
    for t0, t1 in ((0.0, 1.5), (torch.tensor(0.0, dtype=F64), 1.5)):
        with unmoved():
            found, expected = (
                odeint_dense(Oscillator().to(w), numbers(3, 2).to(w), t0, t1, rtol=1e-6, atol=1e-7)
                for w in (device, CPU)
            )
        assert_same(found(times.to(device)), expected(times), device, rtol=1e-7, atol=1e-8)
        assert_same(found(0.7), expected(0.7), device, rtol=1e-7, atol=1e-8)


class Written(nn.Module):
    """An SDE as users write them."""

    def __init__(self, noise_type: str, sde_type: str) -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type
        self.weight = nn.Parameter(0.5 * numbers(3, 3, seed=5))
        self.scale = nn.Parameter(torch.tensor([0.4, 0.3, 0.5], dtype=F64))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y @ self.weight) + torch.sin(t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        diagonal = self.scale * (torch.cos(y) if self.noise_type != "additive" else torch.cos(t).expand_as(y))
        if self.noise_type == "diagonal":
            return diagonal
        columns = 1 if self.noise_type == "scalar" else 2
        return diagonal[..., None] * torch.linspace(0.5, 1, 3 * columns, dtype=F64, device=y.device).reshape(3, columns)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -0.5 * y


class Products(nn.Module):
    """An SDE that tells products with its diffusion alone."""

    noise_type, sde_type = "general", "stratonovich"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return -y.sin()

    def g_prod(self, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return 0.3 * torch.cos(y) * v.sum(dim=-1, keepdim=True)


KINDS = ("diagonal", "scalar", "general", "additive")
METHODS_OF_SDES = [
    ("euler", "ito", KINDS),
    ("milstein", "ito", ("diagonal", "scalar", "additive")),
    ("srk", "ito", ("diagonal", "scalar", "additive")),
    ("milstein", "stratonovich", ("diagonal", "scalar", "additive")),
    ("midpoint", "stratonovich", KINDS),
    ("heun", "stratonovich", KINDS),
    ("euler_heun", "stratonovich", KINDS),
    ("reversible_heun", "stratonovich", KINDS),
    ("log_ode", "stratonovich", ("general",)),
]
SWEEP = [(method, calculus, noise) for method, calculus, kinds in METHODS_OF_SDES for noise in kinds]
TIMES = torch.linspace(0, 1, 4, dtype=F64)


def motion(sde: Any, where: torch.device, method: str, extra: int = 0) -> Any:
    channels = {"diagonal": 3 + extra, "scalar": 1}.get(sde.noise_type, 2)
    areas = {"srk": "space-time", "log_ode": "foster"}.get(method, "none")
    return torchsde.BrownianInterval(
        0.0, 1.0, (4, channels), dtype=F64, device=where, entropy=3, levy_area_approximation=areas
    )


@pytest.mark.parametrize(("method", "calculus", "noise"), SWEEP)
def test_sdeint(method: str, calculus: str, noise: str, device: torch.device) -> None:
    found = []
    for where in (device, CPU):
        sde = Written(noise, calculus).to(where)
        y0, bm = numbers(4, 3).to(where), motion(sde, where, method)
        with torch.no_grad():
            found.append(torchsde.sdeint(sde, y0, TIMES.to(where), bm=bm, method=method, dt=0.125))
    assert_same(*found, device, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("function", [torchsde.sdeint, torchsde.sdeint_adjoint], ids=["backprop", "adjoint"])
@pytest.mark.parametrize("noise", ["diagonal", "general"])
@pytest.mark.parametrize(("method", "calculus"), [("reversible_heun", "stratonovich"), ("euler", "ito")])
def test_gradients_of_sdeint(method: str, calculus: str, noise: str, function: Any, device: torch.device) -> None:
    found = []
    for where in (device, CPU):
        sde = Written(noise, calculus).to(where)
        (y0,) = wanted(numbers(4, 3), device=where)
        ys = function(sde, y0, TIMES, bm=motion(sde, where, method), method=method, dt=0.1)
        found.append(torch.autograd.grad(ys.square().sum(), (y0, *sde.parameters())))
    assert_same_gradients(*found, device, rtol=1e-7)


REQUESTS: dict[str, Callable[[Any, Tensor, Any], Any]] = {
    "log-ratio": lambda sde, y0, bm: torchsde.sdeint(sde, y0, TIMES, bm=bm, method="euler", dt=0.125, logqp=True),
    "adaptive": lambda sde, y0, bm: torchsde.sdeint(
        sde, y0, TIMES, bm=bm, method="milstein", dt=0.1, adaptive=True, rtol=1e-2, atol=1e-2
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("noise", ["diagonal", "scalar"])
def test_requests(name: str, noise: str, device: torch.device) -> None:
    found = []
    for where in (device, CPU):
        sde = Written(noise, "ito").to(where)
        bm = motion(sde, where, "euler", extra=int(name == "log-ratio"))
        with torch.no_grad():
            found.append(REQUESTS[name](sde, numbers(4, 3).to(where), bm))
    assert_same(*found, device, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("method", ["midpoint", "euler_heun"])
def test_products_with_the_diffusion(method: str, device: torch.device) -> None:
    found = []
    for where in (device, CPU):
        bm = torchsde.BrownianInterval(0.0, 1.0, (4, 2), dtype=F64, device=where, entropy=3)
        found.append(torchsde.sdeint(Products(), numbers(4, 3).to(where), TIMES, bm=bm, method=method, dt=0.125))
    assert_same(*found, device, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("areas", ["none", "space-time", "davie", "foster"])
def test_motions(areas: str, device: torch.device) -> None:
    """Increments, their integrals and the areas between channels; with given ends too."""
    ends = numbers(4, 2), 0.2 * numbers(4, 2, seed=1)
    for given in (False, True):
        found = []
        for where in (device, CPU):
            w, h = moved(ends, where) if given else (None, None)
            bm = torchsde.BrownianInterval(
                0.0, 1.0, (4, 2), dtype=F64, device=where, entropy=5, levy_area_approximation=areas, W=w, H=h
            )
            parts = bm(0.2, 0.7, return_U=True, return_A=True)
            found.append([part for part in (*parts, bm(0.0, 1.0)) if part is not None])
        assert_same(*found, device, rtol=1e-10, atol=1e-11)


def test_a_fresh_motion_lies_where_the_state_does(device: torch.device) -> None:
    sde = Written("diagonal", "ito").to(device)
    ys = torchsde.sdeint(sde, numbers(4, 3).to(device), TIMES, dt=0.25)
    assert ys.device == device and bool(ys.isfinite().all())
