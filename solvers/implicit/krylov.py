"""Linear systems of large states by GMRES: products with the Jacobian, no matrix.

Source: Y. Saad, M. Schultz, "GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear systems",
SIAM J. Sci. Stat. Comput. 7 (1986); with an ODE's Jacobian: P. Brown, A. Hindmarsh, "Matrix-free methods for stiff
systems of ODEs", SIAM J. Numer. Anal. 23 (1986).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..state import State
from .flat import RowField
from .jacobian import Solved

Product = Callable[[Tensor], Tensor]
"""A linear map of rows (batch, n), sample by sample."""

Preconditioner = Callable[[Tensor, State, Tensor, State], State]
"""``(t, y, shift, v) -> about (I - shift J(t, y))^-1 v``, with shift of shape (batch,) and v structured as y."""

Directional = Callable[[RowField, Tensor, Tensor, Tensor], Tensor]
"""``(field, t, y, v) -> J(t, y) v``."""


def forward_mode(field: RowField, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """J v by forward-mode differentiation, exact."""
    return torch.func.jvp(lambda rows: field(t, rows), (y,), (v,))[1]


def difference_quotient(field: RowField, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """J v by a difference of two values of the field, to about half of the digits; asks nothing of the field."""
    length = torch.linalg.vector_norm(v, dim=1, keepdim=True)
    size = 1 + torch.linalg.vector_norm(y, dim=1, keepdim=True)
    step = torch.finfo(y.dtype).eps ** 0.5 * size / torch.where(length > 0, length, torch.ones_like(length))
    return (field(t, y + step * v) - field(t, y)) / step


class GMRES:
    """Solves with I - shift J from products J v alone, for states of any size.

    Args:
        rtol: residual over right-hand side at which a system counts as solved. Newton's iteration corrects what is
            left; a Rosenbrock scheme does not, so give it about the tolerance of the whole solve.
        restart: vectors kept of each sample; memory is that many states.
        restarts: how often at most to start again from the residual.
        preconditioner: solves roughly with I - shift J, see ``Preconditioner``. None for none. Backward passes use it
            too, for the adjoint systems: it steers the convergence only, never the result.
        directional: how to multiply by J: ``forward_mode`` or ``difference_quotient``.

    Raises:
        ValueError: rtol is not in (0, 1), or restart or restarts is not positive.
    """

    def __init__(
        self,
        *,
        rtol: float = 1e-3,
        restart: int = 30,
        restarts: int = 4,
        preconditioner: Preconditioner | None = None,
        directional: Directional = forward_mode,
    ) -> None:
        if not 0 < rtol < 1:
            raise ValueError(f"Expected rtol between 0 and 1, got {rtol}.")
        if restart < 1 or restarts < 1:
            raise ValueError(f"Expected restart >= 1 and restarts >= 1, got {restart} and {restarts}.")
        self.rtol, self.restart, self.restarts = rtol, restart, restarts
        self.preconditioner, self.directional = preconditioner, directional

    def linearise(self, field: RowField, t: Tensor, y: Tensor) -> KrylovLinearisation:
        return KrylovLinearisation(self, field, t.detach(), y.detach())


@dataclass(frozen=True)
class KrylovLinearisation:
    """The Jacobian at one point, as a product."""

    solver: GMRES
    field: RowField
    t: Tensor
    y: Tensor
    evaluations: int = 0

    def factor(self, shift: Tensor) -> KrylovFactor:
        return KrylovFactor(self, shift)


@dataclass(frozen=True)
class KrylovFactor:
    """I - shift J, as a product. A complex system is solved as a real one of twice the size."""

    at: KrylovLinearisation
    shift: Tensor

    def solve(self, v: Tensor) -> Solved:
        solver = self.at.solver
        product: Product = self._product
        precondition: Product = lambda w: self.precondition(w, adjoint=False)  # noqa: E731
        if self.shift.is_complex():
            product, precondition = _on_pairs(product), _on_pairs(precondition)
            v = torch.view_as_real(v).flatten(1)
        found = gmres(
            product, v, rtol=solver.rtol, precondition=precondition, restart=solver.restart, restarts=solver.restarts
        )
        x = torch.view_as_complex(found.x.unflatten(1, (-1, 2)).contiguous()) if self.shift.is_complex() else found.x
        return Solved(x, found.iterations * (2 if self.shift.is_complex() else 1))

    def precondition(self, v: Tensor, adjoint: bool) -> Tensor:
        if self.at.solver.preconditioner is None:
            return v
        if v.is_complex():
            return torch.complex(self.precondition(v.real, adjoint), self.precondition(v.imag, adjoint))
        layout = self.at.field.layout
        shift = self.shift.real if self.shift.is_complex() else self.shift
        restored = layout.restore(self.at.y), shift, layout.restore(v)
        return layout.flatten(self.at.solver.preconditioner(self.at.t, *restored))

    def _product(self, v: Tensor) -> Tensor:
        shift = self.shift.to(v.dtype)[:, None]
        return v - shift * self._jacobian(v)

    def _jacobian(self, v: Tensor) -> Tensor:
        if v.is_complex():
            return torch.complex(self._jacobian(v.real), self._jacobian(v.imag))
        at = self.at
        return at.solver.directional(at.field, at.t, at.y, v)


def _on_pairs(function: Product) -> Product:
    """The same linear map, its complex vectors written as twice as many real numbers."""

    def real(v: Tensor) -> Tensor:
        return torch.view_as_real(function(torch.view_as_complex(v.unflatten(1, (-1, 2))))).flatten(1)

    return real


@dataclass(frozen=True, slots=True)
class KrylovResult:
    """Approximate solutions (batch, n), with iterations (batch,) and the relative residuals (batch,) they reached."""

    x: Tensor
    residual: Tensor
    iterations: Tensor


def gmres(
    product: Product,
    b: Tensor,
    *,
    rtol: float,
    precondition: Product | None = None,
    restart: int = 30,
    restarts: int = 4,
) -> KrylovResult:
    """Solve product(x) = b for each row of the real b (batch, n), preconditioned from the right.

    A row that has converged is left alone, so that rows do not influence each other.
    """
    inverse = precondition if precondition is not None else lambda v: v
    scale = torch.linalg.vector_norm(b, dim=1)
    x, remainder, size = torch.zeros_like(b), b, scale
    iterations = torch.zeros_like(scale, dtype=torch.int64)
    for cycle in range(restarts):
        active = size > rtol * scale
        if not bool(active.any()):
            break
        if cycle:
            remainder = b - product(x)
            size = torch.where(active, torch.linalg.vector_norm(remainder, dim=1), size)
        krylov = _Arnoldi(product, inverse, remainder, size, active)
        for _ in range(restart):
            krylov.extend(rtol * scale)
            if not bool(krylov.active.any()):
                break
        x = torch.where(active[:, None], x + inverse(krylov.combination()), x)
        size = torch.where(active, krylov.residual, size)
        iterations = iterations + krylov.iterations
    return KrylovResult(x, size / torch.where(scale > 0, scale, torch.ones_like(scale)), iterations)


class _Arnoldi:
    """An orthonormal basis of the Krylov space, and the QR factors of the product restricted to it."""

    def __init__(self, product: Product, inverse: Product, start: Tensor, size: Tensor, active: Tensor) -> None:
        self.product, self.inverse = product, inverse
        self.basis = [_normalised(start, size)]
        self.columns: list[list[Tensor]] = []  # of the triangular factor
        self.rotations: list[tuple[Tensor, Tensor]] = []
        self.right = [torch.where(active, size, torch.zeros_like(size))]
        self.residual, self.active = size, active
        self.iterations = torch.zeros_like(active, dtype=torch.int64)

    def extend(self, tolerance: Tensor) -> None:
        """One more basis vector; rows whose residual falls below the tolerance (batch,) become inactive."""
        column, length, vector = self._orthogonalise(self.product(self.inverse(self.basis[-1])))
        self.basis.append(vector)
        for i, (cos, sin) in enumerate(self.rotations):
            column[i], column[i + 1] = cos * column[i] + sin * column[i + 1], cos * column[i + 1] - sin * column[i]
        last = len(column) - 1
        radius = torch.hypot(column[last], length)
        safe = torch.where(radius > 0, radius, torch.ones_like(radius))
        cos = torch.where(radius > 0, column[last] / safe, torch.ones_like(radius))
        sin = length / safe
        column[last] = safe  # 1 in the rows that are done: their further columns are those of the identity
        self.columns.append(column)
        self.rotations.append((cos, sin))
        before = self.right[-1]
        self.right[-1] = cos * before
        self.residual = torch.where(self.active, (sin * before).abs(), self.residual)
        self.iterations = self.iterations + self.active
        self.active = self.active & (self.residual > tolerance)
        self.right.append(torch.where(self.active, -sin * before, torch.zeros_like(before)))

    def combination(self) -> Tensor:
        """The vector of the space with the least residual."""
        size = len(self.columns)
        zero = torch.zeros_like(self.residual)
        rows = [torch.stack([*column, *[zero] * (size - len(column))], dim=-1) for column in self.columns]
        triangle, right = torch.stack(rows, dim=-1), torch.stack(self.right[:size], dim=-1)
        weights = torch.linalg.solve_triangular(triangle, right[..., None], upper=True)
        total = weights[:, 0] * self.basis[0]
        for i in range(1, size):  # in this order whatever the others' number of columns: no bit may change
            total = total + weights[:, i] * self.basis[i]
        return total

    def _orthogonalise(self, w: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Gram-Schmidt, twice; rows that are done get the column of the identity."""
        basis = torch.stack(self.basis, dim=1)
        overlap = torch.zeros_like(basis[..., 0])
        for _ in range(2):
            part = (basis * w[:, None]).sum(dim=-1)
            w = w - (part[..., None] * basis).sum(dim=1)
            overlap = overlap + part
        active = self.active
        length = torch.linalg.vector_norm(w, dim=1)
        length = torch.where(active, length, torch.zeros_like(length))
        overlap = torch.where(active[:, None], overlap, torch.zeros_like(overlap))
        return list(overlap.unbind(dim=1)), length, _normalised(w, length)


def _normalised(v: Tensor, length: Tensor) -> Tensor:
    """v / length, zero where that is."""
    safe = torch.where(length > 0, length, torch.ones_like(length))
    return torch.where((length > 0)[:, None], v / safe[:, None], torch.zeros_like(v))
