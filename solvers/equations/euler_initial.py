"""Initial states of the Euler equations, as (density, velocity, pressure) on cell centres.

Boxes are [0, length] along each axis; ``cells`` counts the cells of an axis. Random states take a ``torch.Generator``
and draw one sample after the other, so that sample k does not depend on the size of the batch; they lie on its device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RiemannProblem:
    """A one-dimensional test with its states (density, velocity, pressure) and the time it is judged at (x0 = 0.5)."""

    left: tuple[float, float, float]
    right: tuple[float, float, float]
    time: float


# E. F. Toro, "Riemann Solvers and Numerical Methods for Fluid Dynamics", 3rd edition (2009), table 4.1; gamma = 1.4.
SOD = RiemannProblem((1.0, 0.0, 1.0), (0.125, 0.0, 0.1), 0.25)
TORO: tuple[RiemannProblem, ...] = (
    SOD,
    RiemannProblem((1.0, -2.0, 0.4), (1.0, 2.0, 0.4), 0.15),  # the 123 problem: nearly a vacuum
    RiemannProblem((1.0, 0.0, 1000.0), (1.0, 0.0, 0.01), 0.012),  # left half of the blast waves
    RiemannProblem((1.0, 0.0, 0.01), (1.0, 0.0, 100.0), 0.035),  # right half of them
    RiemannProblem((5.99924, 19.5975, 460.894), (5.99242, -6.19633, 46.0950), 0.035),  # their collision
)


@dataclass(frozen=True)
class QuadrantProblem:
    """Four states (density, velocity_x, velocity_y, pressure) about the centre of the unit square, and the final time.

    Quadrants are counted as usual: x > 1/2, y > 1/2 first, then counterclockwise. gamma = 1.4, outflow boundaries.
    """

    states: tuple[tuple[float, float, float, float], ...]
    time: float


# P. D. Lax, X.-D. Liu, "Solution of two-dimensional Riemann problems of gas dynamics by positive schemes",
# SIAM J. Sci. Comput. 19 (1998), by their numbers.
LAX_LIU: dict[int, QuadrantProblem] = {
    1: QuadrantProblem(
        (
            (1.0, 0.0, 0.0, 1.0),
            (0.5197, -0.7259, 0.0, 0.4),
            (0.1072, -0.7259, -1.4045, 0.0439),
            (0.2579, 0.0, -1.4045, 0.15),
        ),
        0.2,
    ),
    2: QuadrantProblem(
        (
            (1.0, 0.0, 0.0, 1.0),
            (0.5197, -0.7259, 0.0, 0.4),
            (1.0, -0.7259, -0.7259, 1.0),
            (0.5197, 0.0, -0.7259, 0.4),
        ),
        0.2,
    ),
    3: QuadrantProblem(
        ((1.5, 0.0, 0.0, 1.5), (0.5323, 1.206, 0.0, 0.3), (0.138, 1.206, 1.206, 0.029), (0.5323, 0.0, 1.206, 0.3)), 0.3
    ),
    4: QuadrantProblem(
        ((1.1, 0.0, 0.0, 1.1), (0.5065, 0.8939, 0.0, 0.35), (1.1, 0.8939, 0.8939, 1.1), (0.5065, 0.0, 0.8939, 0.35)),
        0.25,
    ),
    5: QuadrantProblem(
        ((1.0, -0.75, -0.5, 1.0), (2.0, -0.75, 0.5, 1.0), (1.0, 0.75, 0.5, 1.0), (3.0, 0.75, -0.5, 1.0)), 0.23
    ),
    6: QuadrantProblem(
        ((1.0, 0.75, -0.5, 1.0), (2.0, 0.75, 0.5, 1.0), (1.0, -0.75, 0.5, 1.0), (3.0, -0.75, -0.5, 1.0)), 0.3
    ),
    8: QuadrantProblem(
        ((0.5197, 0.1, 0.1, 0.4), (1.0, -0.6259, 0.1, 1.0), (0.8, 0.1, 0.1, 1.0), (1.0, 0.1, -0.6259, 1.0)), 0.25
    ),
    11: QuadrantProblem(
        ((1.0, 0.1, 0.0, 1.0), (0.5313, 0.8276, 0.0, 0.4), (0.8, 0.1, 0.0, 0.4), (0.5313, 0.1, 0.7276, 0.4)), 0.3
    ),
    12: QuadrantProblem(
        ((0.5313, 0.0, 0.0, 0.4), (1.0, 0.7276, 0.0, 1.0), (0.8, 0.0, 0.0, 1.0), (1.0, 0.0, 0.7276, 1.0)), 0.25
    ),
    17: QuadrantProblem(
        ((1.0, 0.0, -0.4, 1.0), (2.0, 0.0, -0.3, 1.0), (1.0625, 0.0, 0.2145, 0.4), (0.5197, 0.0, -1.1259, 0.4)), 0.3
    ),
}


def cell_centres(cells: int, length: float = 1.0) -> Float[Tensor, " cells"]:
    """The centres of the cells of [0, length], float64."""
    return (torch.arange(cells, dtype=torch.float64) + 0.5) * (length / cells)


def shock_tube(
    left: Float[Tensor, "batch 3"], right: Float[Tensor, "batch 3"], cells: int, *, position: float = 0.5
) -> Float[Tensor, "batch 3 cells"]:
    """Two states that meet at ``position`` in [0, 1], as ``shock_tube(*states_of(SOD), 200)``."""
    x = cell_centres(cells).to(left.device)
    return torch.where(x < position, left[:, :, None], right[:, :, None])


def states_of(*problems: RiemannProblem, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """The left and the right states (batch, 3) of some problems."""
    left = torch.tensor([problem.left for problem in problems], dtype=dtype)
    return left, torch.tensor([problem.right for problem in problems], dtype=dtype)


def quadrants(
    states: Float[Tensor, "batch 4 4"], cells: int, *, centre: tuple[float, float] = (0.5, 0.5)
) -> Float[Tensor, "batch 4 cells cells"]:
    """Four states (batch, quadrant, channel) about a point of the unit square, quadrants as in ``QuadrantProblem``."""
    x = cell_centres(cells).to(states.device)
    right, upper = (x > centre[0])[:, None], (x > centre[1])[None, :]
    first, second, third, fourth = (states[:, k, :, None, None] for k in range(4))
    return torch.where(upper, torch.where(right, first, second), torch.where(right, fourth, third))


def configuration(
    *numbers: int, cells: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "batch 4 cells cells"]:
    """The configurations of Lax and Liu by their numbers, one per sample.

    Raises:
        ValueError: a number is not in ``LAX_LIU``.
    """
    unknown = [number for number in numbers if number not in LAX_LIU]
    if unknown:
        raise ValueError(
            f"Expected configurations among {sorted(LAX_LIU)}, got {unknown}. Use quadrants(states, cells)."
        )
    return quadrants(torch.tensor([LAX_LIU[number].states for number in numbers], dtype=dtype), cells)


def random_quadrants(
    batch: int,
    cells: int,
    generator: torch.Generator,
    *,
    density: tuple[float, float] = (0.1, 1.0),
    velocity: tuple[float, float] = (-1.0, 1.0),
    pressure: tuple[float, float] = (0.1, 1.0),
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch 4 cells cells"]:
    """Four-quadrant problems with independent uniform states; with periodic boundaries the edges are waves too.

    The ranges are those of M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs" (2024), dataset CE-RP, as
    far as we know them.
    """
    ranges = torch.tensor([density, velocity, velocity, pressure], dtype=torch.float64, device=generator.device)
    states = ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * _uniform(batch, (4, 4), generator)
    return quadrants(states, cells).to(dtype)


def kelvin_helmholtz(
    batch: int,
    cells: int,
    generator: torch.Generator,
    *,
    width: float = 0.02,
    amplitude: float = 0.01,
    modes: int = 8,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch 4 cells cells"]:
    """A heavy band (density 2, velocity_x -1/2) in a light gas (1, 1/2) at pressure 2.5, its interfaces at random.

    Both interfaces, at y = 1/4 and 3/4 of the periodic unit square, are smooth over ``width`` and displaced by a sum of
    ``modes`` sines with random weights and phases, of the given amplitude. Smooth, since with a jump the small scales
    are set by the grid (C. P. McNally, W. Lyra, J.-C. Passy, Astrophys. J. Suppl. 201 (2012)).
    """
    x, y = _plane(cells, device=generator.device)
    lower, upper = _random_sines((batch, 2), x[:, 0], modes, amplitude, generator)[..., None].unbind(dim=1)
    band = 0.5 * (torch.tanh((y - 0.25 - lower) / width) - torch.tanh((y - 0.75 - upper) / width))
    still = torch.zeros_like(band)
    return torch.stack([1 + band, 0.5 - band, still, still + 2.5], dim=1).to(dtype)


def shear_layer(
    batch: int,
    cells: int,
    generator: torch.Generator,
    *,
    mach: float = 0.2,
    gamma: float = 1.4,
    width: float = 0.02,
    amplitude: float = 0.05,
    modes: int = 4,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch 4 cells cells"]:
    """Two opposite shear layers of speed 1 and density 1 in the periodic unit square, with random velocity_y along x.

    After D. L. Brown, M. L. Minion, J. Comput. Phys. 122 (1995), at Mach number ``mach`` instead of 0.
    """
    x, y = _plane(cells, device=generator.device)
    profile = torch.tanh((y - 0.25) / width) - torch.tanh((y - 0.75) / width) - 1
    crossing = _random_sines((batch,), x[:, 0], modes, amplitude, generator)[..., None].expand(batch, cells, cells)
    one = torch.ones_like(crossing)
    return torch.stack([one, profile * one, crossing, one / (gamma * mach**2)], dim=1).to(dtype)


def isentropic_vortex(
    cells: int,
    *,
    t: float = 0.0,
    strength: float = 5.0,
    velocity: tuple[float, float] = (1.0, 1.0),
    gamma: float = 1.4,
    length: float = 10.0,
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, "1 4 cells cells"]:
    """The exact solution at time t of a vortex that the stream carries through a periodic square.

    Source: C.-W. Shu, "Essentially non-oscillatory and weighted essentially non-oscillatory schemes for hyperbolic
    conservation laws", ICASE report 97-65 (1997), section 5.1: density 1 and pressure 1 far away, the temperature
    lowered by (gamma - 1) strength^2 exp(1 - r^2) / (8 gamma pi^2).
    """
    x, y = _plane(cells, length)
    half = 0.5 * length
    dx = torch.remainder(x - velocity[0] * t, length) - half
    dy = torch.remainder(y - velocity[1] * t, length) - half
    spin = strength / (2 * math.pi) * torch.exp(0.5 * (1 - dx * dx - dy * dy))
    temperature = 1 - (gamma - 1) / (2 * gamma) * spin * spin
    density, pressure = temperature ** (1 / (gamma - 1)), temperature ** (gamma / (gamma - 1))
    return torch.stack([density, velocity[0] - dy * spin, velocity[1] + dx * spin, pressure])[None].to(dtype)


def gaussian_vortices(
    batch: int,
    cells: int,
    generator: torch.Generator,
    *,
    vortices: int = 20,
    density: float = 1.0,
    pressure: float = 2.5,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch 4 cells cells"]:
    """Velocities of a vorticity that is a sum of random Gaussians, in uniform density and pressure; periodic square.

    After the idea of the dataset CE-Gauss of Herde et al. (2024): each Gaussian has a random centre, a width of 0.03 to
    0.08 and a peak vorticity of -25 to 25. The velocity is that of the stream function, free of divergence, by FFT.
    """
    draws = _uniform(batch, (4, vortices, 1, 1), generator)
    x, y = _plane(cells, device=generator.device)
    dx, dy = (torch.remainder(axis - draws[:, k] + 0.5, 1) - 0.5 for k, axis in enumerate((x, y)))
    width, peak = 0.03 + 0.05 * draws[:, 2], 50 * draws[:, 3] - 25
    vorticity = (peak * torch.exp(-0.5 * (dx * dx + dy * dy) / width**2)).sum(dim=1)
    u, v = _velocity_of(vorticity)
    one = torch.ones_like(u)
    return torch.stack([density * one, u, v, pressure * one], dim=1).to(dtype)


def _velocity_of(vorticity: Tensor) -> tuple[Tensor, Tensor]:
    """The divergence-free velocity with v_x - u_y = vorticity - its mean, on the periodic unit square."""
    cells = vorticity.shape[-1]
    k = 2 * math.pi * torch.fft.fftfreq(cells, 1 / cells, dtype=torch.float64, device=vorticity.device)
    kx, ky = k[:, None], k[None, :]
    squared = kx * kx + ky * ky
    squared[0, 0] = 1.0
    stream = torch.fft.fft2(vorticity) / squared
    stream[:, 0, 0] = 0.0
    return torch.fft.ifft2(1j * ky * stream).real, torch.fft.ifft2(-1j * kx * stream).real


def _random_sines(
    shape: tuple[int, ...], x: Tensor, modes: int, amplitude: float, generator: torch.Generator
) -> Tensor:
    """(*shape, x): sums of sines of 1 to ``modes`` periods with random weights, which add up to the amplitude."""
    batch, *functions = shape
    weight, phase = _uniform(batch, (*functions, 2, modes, 1), generator).unbind(dim=-3)
    periods = torch.arange(1, modes + 1, dtype=torch.float64, device=x.device)[:, None]
    waves = weight * torch.sin(2 * math.pi * (periods * x + phase))
    return amplitude * waves.sum(dim=-2) / weight.sum(dim=-2)


def _uniform(batch: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1), drawn sample by sample."""
    device = generator.device
    draws = [torch.rand(shape, generator=generator, dtype=torch.float64, device=device) for _ in range(batch)]
    return torch.stack(draws)


def _plane(cells: int, length: float = 1.0, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Coordinates x (cells, 1) and y (1, cells) of a square."""
    x = cell_centres(cells, length).to(device)
    return x[:, None], x[None, :]
