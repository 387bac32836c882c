"""The Riemann problem of the Euler equations: numerical fluxes between cells, and its exact solution.

Source: E. F. Toro, "Riemann Solvers and Numerical Methods for Fluid Dynamics", 3rd edition (2009), chapters 4 and 10.
States are primitive, with the channels of ``ideal_gas``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .ideal_gas import along, normal_velocity, per_sample, physical_flux, sound_speed, to_conserved


@runtime_checkable
class NumericalFlux(Protocol):
    """The flux of the conserved variables through faces normal to ``axis``, from the primitive states on both sides."""

    def __call__(self, left: Tensor, right: Tensor, gamma: float | Tensor, axis: int) -> Tensor: ...


def rusanov(
    left: Float[Tensor, "batch channel *face"],
    right: Float[Tensor, "batch channel *face"],
    gamma: float | Tensor,
    axis: int,
) -> Float[Tensor, "batch channel *face"]:
    """Rusanov's flux (Toro, section 10.5.1): one wave speed, the most diffusive and the hardest to break."""
    speed = torch.maximum(
        normal_velocity(left, axis).abs() + sound_speed(left, gamma),
        normal_velocity(right, axis).abs() + sound_speed(right, gamma),
    )
    mean = 0.5 * (physical_flux(left, gamma, axis) + physical_flux(right, gamma, axis))
    return mean - 0.5 * speed * (to_conserved(right, gamma) - to_conserved(left, gamma))


def hllc(
    left: Float[Tensor, "batch channel *face"],
    right: Float[Tensor, "batch channel *face"],
    gamma: float | Tensor,
    axis: int,
) -> Float[Tensor, "batch channel *face"]:
    """The HLLC flux: two acoustic waves and the contact between them.

    Source: Toro, eqs. 10.37 to 10.39, with the wave speeds of P. Batten, N. Clarke, C. Lambert, D. M. Causon, "On the
    choice of wavespeeds for the HLLC Riemann solver", SIAM J. Sci. Comput. 18 (1997), which resolve an isolated shock
    or contact exactly and keep density and pressure positive.
    """
    slow, fast = _outer_speeds(left, right, gamma, axis)
    inflow_left = left[:, :1] * (slow - normal_velocity(left, axis))
    inflow_right = right[:, :1] * (fast - normal_velocity(right, axis))
    momentum = normal_velocity(left, axis) * inflow_left - normal_velocity(right, axis) * inflow_right
    contact = (right[:, -1:] - left[:, -1:] + momentum) / (inflow_left - inflow_right)
    from_left = contact >= 0
    state = torch.where(from_left, left, right)
    speed = torch.where(from_left, slow, fast)
    # Supersonic flow: the outer wave has left the face and the flux is that of the upwind state alone.
    reached = torch.where(from_left, slow.clamp(max=0), fast.clamp(min=0))
    jump = _star_state(state, speed, contact, gamma, axis) - to_conserved(state, gamma)
    return physical_flux(state, gamma, axis) + reached * jump


def _outer_speeds(left: Tensor, right: Tensor, gamma: float | Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Bounds of the fan: the smaller (larger) of the cell's own and the Roe-averaged acoustic speed."""
    u_left, u_right = normal_velocity(left, axis), normal_velocity(right, axis)
    c_left, c_right = sound_speed(left, gamma), sound_speed(right, gamma)
    weight_left, weight_right = torch.sqrt(left[:, :1]), torch.sqrt(right[:, :1])
    share = weight_left / (weight_left + weight_right)
    other = weight_right / (weight_left + weight_right)
    u = share * u_left + other * u_right
    spread = 0.5 * (per_sample(gamma, left) - 1) * share * other * (u_right - u_left) * (u_right - u_left)
    c = torch.sqrt(share * c_left * c_left + other * c_right * c_right + spread)
    return torch.minimum(u_left - c_left, u - c), torch.maximum(u_right + c_right, u + c)


def _star_state(state: Tensor, speed: Tensor, contact: Tensor, gamma: float | Tensor, axis: int) -> Tensor:
    """The conserved state between the wave of the given speed and the contact (Toro, eq. 10.39)."""
    density, pressure, u = state[:, :1], state[:, -1:], normal_velocity(state, axis)
    velocity = state[:, 1:-1] + along(axis, contact - u, state)
    specific = to_conserved(state, gamma)[:, -1:] / density
    energy = specific + (contact - u) * (contact + pressure / (density * (speed - u)))
    factor = density * (speed - u) / (speed - contact)
    return torch.cat([factor, factor * velocity, factor * energy], dim=1)


@dataclass(frozen=True, slots=True)
class RiemannSolution:
    """The exact solution of one-dimensional Riemann problems, one per sample.

    Attributes:
        left, right: the states (density, velocity, pressure) at x < 0 and x > 0.
        gamma: ratio of specific heats.
        pressure: between the two acoustic waves; 0 where a vacuum opens.
        velocity: of the contact; NaN where a vacuum opens, as there is none.
        vacuum: whether the solution contains a vacuum.
    """

    left: Float[Tensor, "batch 3"]
    right: Float[Tensor, "batch 3"]
    gamma: Float[Tensor, " batch"]
    pressure: Float[Tensor, " batch"]
    velocity: Float[Tensor, " batch"]
    vacuum: Bool[Tensor, " batch"]

    def sample(self, xi: Float[Tensor, "batch points"] | Float[Tensor, " points"]) -> Float[Tensor, "batch 3 points"]:
        """The states at x / t = xi (Toro, section 4.5). In the vacuum the velocity is given as xi."""
        xi = xi.expand(len(self.gamma), -1)
        edge = self.left[:, 1] + _escape_speed(self.left, self.gamma)
        edge = torch.where(self.left[:, 0] > 0, edge, torch.full_like(edge, -torch.inf))
        contact = torch.where(self.vacuum, edge, self.velocity)
        mirrored = self.right * self.right.new_tensor([1.0, -1.0, 1.0])
        left = self._wave(self.left, self.velocity, xi)
        right = self._wave(mirrored, -self.velocity, -xi)
        right = right * right.new_tensor([1.0, -1.0, 1.0])[:, None]
        return torch.where((xi < contact[:, None])[:, None], left, right)

    def _wave(self, state: Tensor, velocity: Tensor, xi: Tensor) -> Tensor:
        """The part of the solution left of the contact, from the left state (batch, 3), at all xi."""
        density, u, p = (state[:, k, None] for k in range(3))
        gamma, star, vacuum = self.gamma[:, None], self.pressure[:, None], self.vacuum[:, None]
        c = _sound(density, p, gamma)
        ratio = star / torch.where(p > 0, p, torch.ones_like(p))
        shock = ratio > 1
        g = (gamma - 1) / (gamma + 1)
        front = u - c * torch.sqrt((gamma + 1) / (2 * gamma) * ratio + (gamma - 1) / (2 * gamma))
        compressed = density * (ratio + g) / (g * ratio + 1)
        tail_speed = torch.where(vacuum, u + 2 * c / (gamma - 1), velocity[:, None] - c * ratio ** _exponent(gamma))
        fan_c = (2 * c / (gamma + 1) + g * (u - xi)).clamp(min=0)
        fan = torch.stack(_isentrope(density, p, c, fan_c, gamma, u + 2 * (c - fan_c) / (gamma - 1)), dim=1)
        still = torch.zeros_like(xi)
        expanded = torch.where(shock, compressed, density * ratio ** (1 / gamma))
        middle = torch.stack(
            [still + expanded, torch.where(vacuum, xi, still + velocity[:, None]), still + star], dim=1
        )
        outside = xi < torch.where(shock, front, u - c)
        inside = shock | (xi > tail_speed)
        inner = torch.where(inside[:, None], middle, fan)
        return torch.where(outside[:, None], state[:, :, None], inner)


def exact_riemann(
    left: Float[Tensor, "batch 3"], right: Float[Tensor, "batch 3"], gamma: float | Tensor = 1.4
) -> RiemannSolution:
    """Solve the Riemann problem exactly, to rounding.

    Two rarefactions have a closed form (Toro, eq. 4.46 is then exact), so that nothing is iterated near a vacuum. With
    a shock the pressure lies above the smaller of the two, where the pressure function is increasing and concave:
    Newton's iteration from there climbs to the root without overshooting. Gradients are those of the root (implicit
    function).

    Args:
        left, right: (density, velocity, pressure) at x < 0 and x > 0; a density of 0 is a vacuum.
        gamma: ratio of specific heats, a float or (batch,).

    Raises:
        ValueError: a density or pressure is negative or not finite, or a pressure is 0 without its density.
    """
    _check_state("left", left)
    _check_state("right", right)
    gamma = torch.as_tensor(gamma, dtype=left.dtype, device=left.device).expand(len(left))
    gap = right[:, 1] - left[:, 1]
    escape = _escape_speed(left, gamma) + _escape_speed(right, gamma)
    empty = (left[:, 0] == 0) | (right[:, 0] == 0)
    vacuum = (escape <= gap) | empty
    pressure = _star_pressure(left, right, gamma, gap, vacuum)
    climb_left, _ = _pressure_function(pressure, left, gamma)
    climb_right, _ = _pressure_function(pressure, right, gamma)
    velocity = 0.5 * (left[:, 1] + right[:, 1] + climb_right - climb_left)
    return RiemannSolution(
        left=left,
        right=right,
        gamma=gamma,
        pressure=torch.where(vacuum, torch.zeros_like(pressure), pressure),
        velocity=torch.where(vacuum, torch.full_like(velocity, torch.nan), velocity),
        vacuum=vacuum,
    )


def _star_pressure(left: Tensor, right: Tensor, gamma: Tensor, gap: Tensor, vacuum: Tensor) -> Tensor:
    """The root of f_left(p) + f_right(p) + gap; 1 where there is a vacuum."""
    rarefied = _two_rarefactions(left, right, gamma, gap, vacuum)
    lower = torch.minimum(left[:, 2], right[:, 2])
    closed = vacuum | (rarefied <= lower)
    start = torch.where(closed, rarefied, lower).detach()
    root = _climb(start, left.detach(), right.detach(), gamma.detach(), gap.detach(), closed)
    value_left, slope_left = _pressure_function(root, left, gamma)
    value_right, slope_right = _pressure_function(root, right, gamma)
    correction = (value_left + value_right + gap) / (slope_left + slope_right).detach()
    # The residual at the root is rounding: only its gradient is wanted.
    return torch.where(closed, rarefied, root - (correction - correction.detach()))


def _climb(p: Tensor, left: Tensor, right: Tensor, gamma: Tensor, gap: Tensor, done: Tensor) -> Tensor:
    """Newton's iteration from below, per sample, until it stops rising."""
    resolution = 4 * torch.finfo(p.dtype).eps
    for _ in range(100):  # quadratic at the end; far below the root it halves log(root / p)
        if bool(done.all()):
            break
        value_left, slope_left = _pressure_function(p, left, gamma)
        value_right, slope_right = _pressure_function(p, right, gamma)
        change = -(value_left + value_right + gap) / (slope_left + slope_right)
        p = torch.where(done, p, torch.maximum(p + change, p))
        done = done | (change <= resolution * p)
    return p


def _pressure_function(p: Tensor, state: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Toro's f_K(p), eqs. 4.6 and 4.7, and its derivative: the velocity gained from the state to pressure p."""
    density, own = (torch.where(state[:, 0] > 0, state[:, k], torch.ones_like(p)) for k in (0, 2))
    c = _sound(density, own, gamma)
    a, b = 2 / ((gamma + 1) * density), (gamma - 1) / (gamma + 1) * own
    root = torch.sqrt(a / (p + b))
    shock, shock_slope = (p - own) * root, root * (1 - 0.5 * (p - own) / (p + b))
    ratio = p / own
    fan = 2 * c / (gamma - 1) * (ratio ** _exponent(gamma) - 1)
    fan_slope = ratio ** (-(gamma + 1) / (2 * gamma)) / (density * c)
    return torch.where(p > own, shock, fan), torch.where(p > own, shock_slope, fan_slope)


def _two_rarefactions(left: Tensor, right: Tensor, gamma: Tensor, gap: Tensor, vacuum: Tensor) -> Tensor:
    """The star pressure if both waves are rarefactions (Toro, eq. 4.46), scaled by the left pressure; 1 in a vacuum."""
    one = torch.ones_like(gap)
    density_l, p_l = (torch.where(vacuum, one, left[:, k]) for k in (0, 2))
    density_r, p_r = (torch.where(vacuum, one, right[:, k]) for k in (0, 2))
    c_l, c_r = _sound(density_l, p_l, gamma), _sound(density_r, p_r, gamma)
    power = _exponent(gamma)
    speed = (c_l + c_r - 0.5 * (gamma - 1) * torch.where(vacuum, 0 * one, gap)).clamp(min=0)
    return p_l * (speed / (c_l + c_r * (p_l / p_r) ** power)) ** (1 / power)


def _isentrope(
    density: Tensor, p: Tensor, c: Tensor, c_new: Tensor, gamma: Tensor, u: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Density, velocity and pressure where the gas has expanded to the sound speed ``c_new``."""
    ratio = c_new / torch.where(c > 0, c, torch.ones_like(c))
    return density * ratio ** (2 / (gamma - 1)), u, p * ratio ** (2 * gamma / (gamma - 1))


def _sound(density: Tensor, p: Tensor, gamma: Tensor) -> Tensor:
    """The sound speed, 0 in a vacuum."""
    empty = density <= 0
    full = torch.sqrt(gamma * torch.where(empty, torch.ones_like(p), p / torch.where(empty, 1.0, density)))
    return torch.where(empty, torch.zeros_like(full), full)


def _escape_speed(state: Tensor, gamma: Tensor) -> Tensor:
    """How much faster than the gas its edge moves into a vacuum, 2 c / (gamma - 1)."""
    return 2 * _sound(state[:, 0], state[:, 2], gamma) / (gamma - 1)


def _exponent(gamma: Tensor) -> Tensor:
    return (gamma - 1) / (2 * gamma)


def _check_state(name: str, state: Tensor) -> None:
    density, pressure = state[:, 0], state[:, 2]
    sound = torch.isfinite(state).all(dim=1) & (density >= 0) & (pressure >= 0) & ((pressure > 0) | (density == 0))
    if not bool(sound.all()):
        row = int((~sound).nonzero()[0])
        raise ValueError(
            f"Expected {name} finite with density and pressure > 0 (or density = 0, a vacuum), "
            f"got (density, velocity, pressure) = {tuple(state[row].tolist())} in sample {row}."
        )
