"""Exponential Runge-Kutta steps: a linear part that is diagonal in Fourier space is solved exactly.

For c' = z c + N(c), stage i is c_i = exp(node_i dt z) c + dt sum_j a_ij(dt z) N(c_j): a Butcher tableau whose entries
are functions of the linear part (M. Hochbruck, A. Ostermann, "Exponential integrators", Acta Numerica 19 (2010)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from .spectral import PeriodicGrid
from .stepper import Step


class Phi(NamedTuple):
    """exp(z) and phi_k(z) = sum_j z^j / (j + k)!, elementwise in double precision."""

    exp: Tensor
    one: Tensor
    two: Tensor
    three: Tensor

    @classmethod
    def of(cls, z: Tensor) -> Phi:
        """Evaluate without cancellation: by series where |z| < 1, else by phi_(k+1) = (phi_k - 1/k!) / z."""
        z = z.to(torch.complex128 if z.is_complex() else torch.float64)
        near = z.abs() < 1
        # Each branch sees only arguments that it is good for, or its gradient would spoil the other's.
        inner = torch.where(near, z, torch.zeros_like(z))
        outer = torch.where(near, -torch.ones_like(z), z)
        far_one = (torch.exp(outer) - 1) / outer
        far_two = (far_one - 1) / outer
        far_three = (far_two - 0.5) / outer
        near_three = torch.zeros_like(z)
        for j in range(17, -1, -1):
            near_three = near_three * inner + 1 / math.factorial(j + 3)
        near_two = 0.5 + inner * near_three
        near_one = 1 + inner * near_two
        pairs = ((near_one, far_one), (near_two, far_two), (near_three, far_three))
        return cls(torch.exp(z), *(torch.where(near, series, recurrence) for series, recurrence in pairs))


class Weights(NamedTuple):
    """A tableau at given z: stage i + 1 is decays[i] * c + dt * sum_j rows[i][j] N_j, the last one the solution."""

    decays: tuple[Tensor, ...]
    rows: tuple[tuple[Tensor | None, ...], ...]


@dataclass(frozen=True)
class ExponentialTableau:
    """An exponential Runge-Kutta method.

    Attributes:
        name: as the field names it.
        order: order of the solution.
        nodes: of the stages, the first 0.
        weights: maps z = dt * symbol to the method's functions of it.
    """

    name: str
    order: int
    nodes: tuple[float, ...]
    weights: Callable[[Tensor], Weights]


def _etdrk2(z: Tensor) -> Weights:
    phi = Phi.of(z)
    return Weights((phi.exp, phi.exp), ((phi.one,), (phi.one - phi.two, phi.two)))


def _etdrk4(z: Tensor) -> Weights:
    half, whole = Phi.of(z / 2), Phi.of(z)
    a = half.one / 2
    middle = 2 * whole.two - 4 * whole.three
    end = whole.one - 3 * whole.two + 4 * whole.three, middle, middle, 4 * whole.three - whole.two
    return Weights(
        (half.exp, half.exp, whole.exp, whole.exp),
        ((a,), (None, a), (a * (half.exp - 1), None, half.one), end),
    )


def _ifrk4(z: Tensor) -> Weights:
    half, whole = torch.exp(z / 2), torch.exp(z)
    one = torch.ones_like(z)
    end = whole / 6, half / 3, half / 3, one / 6
    return Weights((half, half, whole, whole), ((half / 2,), (None, one / 2), (None, None, half), end))


# S. M. Cox, P. C. Matthews, "Exponential time differencing for stiff systems", J. Comput. Phys. 176 (2002), eqs. 20-22
# and 26-29.
ETDRK2 = ExponentialTableau("ETDRK2", 2, (0.0, 1.0), _etdrk2)
ETDRK4 = ExponentialTableau("ETDRK4", 4, (0.0, 0.5, 0.5, 1.0), _etdrk4)
# The classical Runge-Kutta method on exp(-t z) c (J. D. Lawson, SIAM J. Numer. Anal. 4 (1967)).
IFRK4 = ExponentialTableau("IFRK4", 4, (0.0, 0.5, 0.5, 1.0), _ifrk4)


Nonlinearity = Callable[[Tensor, Tensor], Tensor]
"""``(t, coefficients) -> coefficients``, with t of shape (batch,)."""


class Semilinear(NamedTuple):
    """An equation on one grid: its linear part's symbol, broadcastable to (batch, channel, *modes), and the rest."""

    linear: Tensor
    nonlinear: Nonlinearity


@runtime_checkable
class SemilinearEquation(Protocol):
    """A module that states u_t = L u + N(t, u) on periodic grids; its physical parameters are parameters or buffers."""

    def grid(self, y: Tensor) -> PeriodicGrid:
        """The grid of a state (batch, channel, *space); raises ValueError for a state of another shape."""
        ...

    def on(self, grid: PeriodicGrid) -> Semilinear:
        """The equation on a grid."""
        ...


class ExponentialRungeKutta(nn.Module):
    """A stepper from a semilinear equation on a periodic grid and an exponential tableau.

    The state's truncated coefficients pass from step to step in ``Step.reuse``, so that only the first step transforms
    y; a step projects the state onto the kept modes. The tableau's functions of dt and of the physical parameters are
    kept for the next step as long as neither changes nor asks for gradients.

    Args:
        equation: ``Burgers``, ``NavierStokes``, ``ReactionDiffusion`` or another ``SemilinearEquation``.
        tableau: the method, such as ``ETDRK4``.
    """

    def __init__(self, equation: Any, tableau: ExponentialTableau) -> None:
        super().__init__()
        self.equation = equation
        self.tableau = tableau
        self.order = tableau.order
        self._kept: _Plan | None = None

    def start(
        self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"]
    ) -> Complex[Tensor, "batch channel *modes"]:
        """The coefficients of y."""
        return self.equation.grid(y).forward(y)

    def slope(self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"], reuse: Any = None) -> Tensor:
        """The time derivative at (t, y)."""
        grid = self.equation.grid(y)
        equation = self.equation.on(grid)
        coefficients = grid.forward(y) if reuse is None else reuse
        return grid.inverse(equation.linear * coefficients + equation.nonlinear(t, coefficients))

    def forward(
        self,
        t: Float[Tensor, " batch"],
        dt: Float[Tensor, " batch"],
        y: Float[Tensor, "batch channel *space"],
        reuse: Any = None,
    ) -> Step:
        """One step. ``reuse`` holds the coefficients of y, where known.

        Raises:
            ValueError: y is no state of the equation, or a physical parameter is of another batch.
        """
        plan = self._plan(dt, y)
        first = plan.grid.forward(y) if reuse is None else reuse
        slopes: list[Tensor] = []
        stage = first
        for node, decay, row in zip(self.tableau.nodes, plan.weights.decays, plan.weights.rows):
            slopes.append(plan.nonlinear(t + node * dt, stage))
            stage = decay * first
            for weight, slope in zip(row, slopes):
                stage = stage if weight is None else stage + weight * slope
        return Step(y=plan.grid.inverse(stage), reuse=stage, evaluations=len(slopes))

    def extra_repr(self) -> str:
        return self.tableau.name

    def _plan(self, dt: Tensor, y: Tensor) -> _Plan:
        tensors = [*self.equation.parameters(), *self.equation.buffers()]
        if torch.is_grad_enabled() and (dt.requires_grad or any(tensor.requires_grad for tensor in tensors)):
            return self._prepare(dt, y, ())
        versions = tuple((id(tensor), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)
        key = (y.shape, y.dtype, y.device, dt.dtype, torch.is_inference_mode_enabled(), versions)
        if self._kept is None or self._kept.key != key or not torch.equal(self._kept.dt, dt):
            self._kept = self._prepare(dt, y, key)
        return self._kept

    def _prepare(self, dt: Tensor, y: Tensor, key: tuple[Any, ...]) -> _Plan:
        grid = self.equation.grid(y)
        equation = self.equation.on(grid)
        if equation.linear.dim() == y.dim() and equation.linear.shape[0] not in (1, len(y)):
            raise ValueError(
                f"Expected physical parameters of shape () or ({len(y)},) for y of batch {len(y)}, "
                f"got {equation.linear.shape[0]} values."
            )
        # With one length for all samples the weights have no batch axis to read from memory.
        length = dt[:1] if not dt.requires_grad and bool((dt == dt[:1]).all()) else dt
        length = length.to(torch.float64).reshape(-1, *([1] * (y.dim() - 1)))
        exact = self.tableau.weights(length * equation.linear)
        dtype = equation.linear.dtype
        rows = tuple(tuple(None if w is None else (length * w).to(dtype) for w in row) for row in exact.rows)
        weights = Weights(tuple(decay.to(dtype) for decay in exact.decays), rows)
        return _Plan(key=key, dt=dt.clone(), grid=grid, weights=weights, nonlinear=equation.nonlinear)


@dataclass(frozen=True)
class _Plan:
    """All that a step needs besides the state."""

    key: tuple[Any, ...]
    dt: Tensor
    grid: PeriodicGrid
    weights: Weights
    nonlinear: Nonlinearity
