"""Every equation of the library, in every number of dimensions that it takes, steps on a GPU as on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers import (
    ETDRK2,
    ETDRK4,
    IFRK4,
    RK4,
    SSPRK3,
    TSIT5,
    ExponentialRungeKutta,
    FixedStep,
    PIDController,
    RungeKutta,
    StepDoubling,
    solve,
)
from sciml.solvers.equations.advection import Advection
from sciml.solvers.equations.boundary import Dirichlet, Neumann, Periodic
from sciml.solvers.equations.burgers import Burgers
from sciml.solvers.equations.euler import Euler, EulerEquations
from sciml.solvers.equations.euler_initial import (
    SOD,
    TORO,
    configuration,
    gaussian_vortices,
    kelvin_helmholtz,
    random_quadrants,
    shear_layer,
    shock_tube,
    states_of,
)
from sciml.solvers.equations.heat import Heat
from sciml.solvers.equations.navier_stokes import NavierStokes, kolmogorov_forcing, velocity_of, vorticity_of
from sciml.solvers.equations.reaction_diffusion import (
    AllenCahn,
    FitzHughNagumo,
    GrayScott,
    ReactionDiffusion,
    ReactionDiffusionCells,
)
from sciml.solvers.equations.wave import VelocityVerlet, Wave
from sciml.solvers.exponential import ExponentialTableau
from sciml.solvers.finite_volume import MUSCL, WENO5, PiecewiseConstant, minmod, outflow, periodic, wall
from sciml.solvers.ideal_gas import to_conserved
from sciml.solvers.initial import blobs, gaussian_random_field, matern_spectrum, sine_sums
from sciml.solvers.riemann import exact_riemann, hllc, rusanov
from tests.cuda.solver_comparison import CPU, F64, assert_same, assert_same_gradients, assert_same_solution, numbers

TS = torch.tensor([0.0, 0.01, 0.025], dtype=F64)
SHAPES = ((16,), (10, 12), (6, 5, 8))
EACH = torch.tensor([0.5, 1.0, 2.0], dtype=F64)  # a parameter of each sample
BOUNDARIES = {"periodic": Periodic(), "dirichlet": Dirichlet(0.3), "neumann": Neumann(0.1)}


def smooth(channels: int, shape: tuple[int, ...], offset: float = 0.0) -> Tensor:
    """Three samples on the CPU."""
    spectrum = matern_spectrum(exponent=5.0, scale=10.0)
    generator = torch.Generator().manual_seed(0)
    return offset + gaussian_random_field(
        3, shape, spectrum=spectrum, generator=generator, channels=channels, dtype=F64
    )


@dataclass(frozen=True)
class Setup:
    """A stepper built anew for each device, its initial states, and the length of a step."""

    build: Callable[[], nn.Module]
    y0: Tensor
    dt: float = 0.005


def spectral(equation: Callable[[], nn.Module], tableau: ExponentialTableau, y0: Tensor) -> Setup:
    return Setup(lambda: ExponentialRungeKutta(equation(), tableau), y0)


def cells(field: Callable[[], nn.Module], y0: Tensor, dt: float = 5e-4) -> Setup:
    return Setup(lambda: RungeKutta(field(), RK4), y0, dt)


def flow(length: float = 1.0) -> nn.Module:
    forcing = kolmogorov_forcing(torch.zeros(1, 1, 10, 12, dtype=F64), length=length)
    return NavierStokes(0.002 * EACH, drag=0.1, forcing=forcing, length=length)


def reactions(shape: tuple[int, ...]) -> dict[str, tuple[Callable[[], nn.Module], tuple[float, ...], Tensor]]:
    one, two = smooth(1, shape), smooth(2, shape, 0.5)
    return {
        "Gray-Scott": (lambda: GrayScott(0.03 * EACH, 0.06), (2e-2, 1e-2), two),
        "Allen-Cahn": (lambda: AllenCahn(EACH), (1e-2,), one),
        "FitzHugh-Nagumo": (lambda: FitzHughNagumo(), (1e-3, 5e-3), two),
    }


def setups() -> dict[str, Setup]:
    found: dict[str, Setup] = {}
    for tableau in (ETDRK2, ETDRK4, IFRK4):
        found[f"Burgers {tableau.name}"] = spectral(lambda: Burgers(0.02 * EACH), tableau, smooth(1, (32,)))
        found[f"Navier-Stokes {tableau.name}"] = spectral(flow, tableau, smooth(1, (10, 12)))
    for shape in SHAPES:
        axes, dims = len(shape), f"{len(shape)}D"
        for name, (reaction, diffusivity, y0) in reactions(shape).items():
            found[f"{name} {dims}"] = spectral(lambda r=reaction, d=diffusivity: ReactionDiffusion(r(), d), ETDRK4, y0)
            found[f"{name} in cells {dims}"] = cells(
                lambda r=reaction, d=diffusivity: ReactionDiffusionCells(r(), d, spacing=0.1), y0
            )
        found[f"advection {dims}"] = Setup(
            lambda n=axes: Advection(EACH[:, None] * numbers(1, n, seed=4)), smooth(2, shape)
        )
        for name, boundary in BOUNDARIES.items():
            found[f"heat {name} {dims}"] = cells(
                lambda b=boundary: Heat(spacing=0.1, boundary=b, source=torch.ones(1, dtype=F64)),
                torch.cat([smooth(1, shape), smooth(1, shape).abs() + 0.1], dim=1),
            )
            wave = torch.cat([smooth(2, shape), smooth(1, shape).abs() + 0.5], dim=1)
            found[f"wave {name} {dims}"] = cells(lambda b=boundary: Wave(spacing=0.1, boundary=b), wave)
            found[f"Verlet {name} {dims}"] = Setup(
                lambda b=boundary: VelocityVerlet(Wave(spacing=0.1, boundary=b)), wave
            )
    return found


SETUPS = setups()


@pytest.mark.parametrize("name", SETUPS)
def test_equations(name: str, device: torch.device) -> None:
    """With the module's parameters moved to the device, and left where they were."""
    setup = SETUPS[name]
    expected = solve(setup.build(), setup.y0, TS, FixedStep(setup.dt))
    for stepper in (setup.build().to(device), setup.build()):
        found = solve(stepper, setup.y0.to(device), TS.to(device), FixedStep(setup.dt))
        assert_same_solution(found, expected, device, rtol=1e-9, atol=1e-10)


def test_a_spectral_stepper_goes_from_device_to_device_and_takes_adaptive_steps(device: torch.device) -> None:
    stepper = StepDoubling(ExponentialRungeKutta(NavierStokes(0.002), ETDRK4))
    y0, controller = smooth(1, (10, 12)), PIDController(1e-6, 1e-6)
    ends = TS * torch.tensor([[4.0], [1.0], [8.0]], dtype=F64)
    expected = solve(stepper, y0, ends, controller)
    for where in (device, CPU, device):
        found = solve(stepper, y0.to(where), ends.to(where), controller)
        assert_same_solution(found, expected, where, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ["viscosity", "forcing"])
def test_gradients_of_physical_parameters(name: str, device: torch.device) -> None:
    found = []
    for where in (device, CPU):
        equation = NavierStokes(
            nn.Parameter(torch.tensor(0.002, dtype=F64)), forcing=nn.Parameter(0.1 * smooth(1, (10, 12))[:1])
        ).to(where)
        ys = solve(ExponentialRungeKutta(equation, ETDRK4), smooth(1, (10, 12)).to(where), TS, FixedStep(0.01)).ys
        found.append(torch.autograd.grad(ys.square().sum(), getattr(equation, name)))
    assert_same_gradients(*found, device, rtol=1e-8)


def test_vorticity_and_velocity(device: torch.device) -> None:
    vorticity = smooth(1, (10, 12))
    mean = numbers(3, 2)
    velocity = velocity_of(vorticity, mean=mean)
    assert_same(velocity_of(vorticity.to(device), mean=mean), velocity, device)
    assert_same(vorticity_of(velocity.to(device)), vorticity_of(velocity), device)


def gas(shape: tuple[int, ...]) -> Tensor:
    """Random smooth density, velocities, pressure."""
    y = 0.2 * smooth(2 + len(shape), shape)
    y[:, [0, -1]] = y[:, [0, -1]].abs() + 0.7
    return y


SCHEMES = {
    "first order": (PiecewiseConstant(), hllc, periodic),
    "MUSCL": (MUSCL(minmod), hllc, wall),
    "WENO5": (WENO5(), rusanov, outflow),
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{len(shape)}D")
@pytest.mark.parametrize("name", SCHEMES)
def test_gas_dynamics(name: str, shape: tuple[int, ...], device: torch.device) -> None:
    reconstruction, flux, boundary = SCHEMES[name]
    options: dict[str, Any] = {"boundary": boundary, "reconstruction": reconstruction, "flux": flux}
    y0, gamma = gas(shape), torch.tensor([1.4, 1.3, 1.6], dtype=F64)
    for moves in (True, False):
        stepper = Euler(0.1, gamma=gamma, **options)
        expected = solve(stepper, y0, TS * 4, FixedStep(0.05))
        found = solve(stepper.to(device) if moves else stepper, y0.to(device), TS * 4, FixedStep(0.05))
        assert_same_solution(found, expected, device, rtol=1e-9, atol=1e-10)
    u0 = to_conserved(y0, gamma)
    field = EulerEquations(0.1, gamma=gamma, **options)
    expected = solve(RungeKutta(field, SSPRK3), u0, TS, FixedStep(0.005))
    found = solve(RungeKutta(field.to(device), SSPRK3), u0.to(device), TS, FixedStep(0.005))
    assert_same_solution(found, expected, device, rtol=1e-9, atol=1e-10)


def test_shocks_and_exact_riemann_solutions(device: torch.device) -> None:
    """The near vacuum asks for substeps to be repeated."""
    left, right = states_of(SOD, *TORO[:4], dtype=F64)
    solutions, exact = [], []
    for where in (device, CPU):
        states = left.to(where), right.to(where)
        y0 = shock_tube(*states, 40)
        solutions.append(solve(Euler(1 / 40, boundary=outflow), y0, TS, FixedStep(0.02)))
        riemann = exact_riemann(*states, torch.full((5,), 1.4, dtype=F64, device=where))
        xi = torch.linspace(-2, 2, 21, dtype=F64, device=where) + 0.013
        exact.append((riemann.pressure, riemann.velocity, riemann.vacuum, riemann.sample(xi)))
    assert_same_solution(*solutions, device, rtol=1e-7, atol=1e-8)
    assert_same(*exact, device, rtol=1e-8)


def test_gradients_of_gas_dynamics(device: torch.device) -> None:
    found = []
    for where in (device, CPU):
        y0 = gas((10, 12)).to(where).requires_grad_()
        stepper = Euler(0.1, gamma=nn.Parameter(torch.full((3,), 1.4, dtype=F64))).to(where)
        step = stepper(torch.zeros(3, dtype=F64, device=where), torch.full((3,), 0.05, dtype=F64, device=where), y0)
        found.append(torch.autograd.grad(step.y.square().sum(), (y0, stepper.equations.gamma)))
    assert_same_gradients(*found, device, rtol=1e-7)


RANDOM = (random_quadrants, kelvin_helmholtz, shear_layer, gaussian_vortices)


@pytest.mark.parametrize("draw", RANDOM, ids=lambda draw: draw.__name__)
def test_random_gases_lie_on_their_generators_device(draw: Any, device: torch.device) -> None:
    y = draw(2, 8, torch.Generator(device=device).manual_seed(0))
    assert y.device == device and y.shape == (2, 4, 8, 8) and bool(y.isfinite().all())
    step = Euler(1 / 8)(torch.zeros(2, device=device), torch.full((2,), 1e-3, device=device), y)
    assert bool(step.y.isfinite().all())


def test_random_fields_lie_on_their_generators_device(device: torch.device) -> None:
    generator = torch.Generator(device=device).manual_seed(0)
    spectrum = matern_spectrum(exponent=5.0, scale=10.0)
    fields = (
        gaussian_random_field(2, (8, 6), spectrum=spectrum, generator=generator, dtype=F64),
        sine_sums(2, 16, generator=generator),
        blobs(2, (8, 6), generator=generator),
    )
    assert all(field.device == device and bool(field.isfinite().all()) for field in fields)


def test_known_configurations_step_too(device: torch.device) -> None:
    y0 = configuration(3, 12, cells=12, dtype=F64)
    found, expected = (solve(Euler(1 / 12), y0.to(where), TS, FixedStep(0.0125)) for where in (device, CPU))
    assert_same_solution(found, expected, device, rtol=1e-9, atol=1e-10)


def test_adaptive_steps_of_cells(device: torch.device) -> None:
    y0 = torch.cat([smooth(1, (16,)), smooth(1, (16,)).abs() + 0.1], dim=1)
    stepper = RungeKutta(Heat(spacing=0.1), TSIT5)
    found, expected = (solve(stepper, y0.to(where), TS, PIDController(1e-5, 1e-6)) for where in (device, CPU))
    assert_same_solution(found, expected, device, rtol=1e-8, atol=1e-9)
