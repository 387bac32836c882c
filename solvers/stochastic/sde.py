"""Stochastic differential equations dy = drift dt + diffusion dW, and what is said about them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..arguments import BoundField

Coefficient: TypeAlias = Callable[..., Tensor]
"""``(t, y) -> Tensor`` with t of shape (batch,) and y of shape (batch, *state)."""


class Calculus(Enum):
    """How the integral against dW is meant."""

    ITO = "Ito"
    STRATONOVICH = "Stratonovich"


class Noise(Enum):
    """What the diffusion does with the noise. The more is known, the better the schemes that are valid.

    A matrix diffusion is of shape (batch, *state, noise), with one column for each of the path's channels.
    """

    ADDITIVE = "additive"
    """Independent of y; a matrix, or of y's shape where each component has its own noise."""
    DIAGONAL = "diagonal"
    """Of y's shape: each component has its own noise, and its coefficient depends on that component alone."""
    SCALAR = "scalar"
    """A matrix of one column: one noise drives every component."""
    COMMUTATIVE = "commutative"
    """A matrix whose columns g_j satisfy g_k'(y) g_j = g_j'(y) g_k."""
    GENERAL = "general"
    """Any matrix."""


class SDE(nn.Module):
    """An SDE. Modules given as coefficients are its submodules.

    Args:
        drift: ``(t, y)`` to y's shape.
        diffusion: ``(t, y)`` to y's shape or to a matrix (batch, *state, noise), as ``noise`` says.
        noise: the kind of noise.
        calculus: Ito's or Stratonovich's. For additive noise they are the same.
        joint: ``(t, y)`` to drift and diffusion, where to compute them together is cheaper.
    """

    def __init__(
        self,
        drift: Coefficient,
        diffusion: Coefficient,
        noise: Noise,
        calculus: Calculus = Calculus.ITO,
        *,
        joint: Callable[..., tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        super().__init__()
        self.drift, self.diffusion, self.joint = drift, diffusion, joint
        self.noise, self.calculus = Noise(noise), Calculus(calculus)

    def forward(self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch *state"]) -> tuple[Tensor, Tensor]:
        """Drift and diffusion at (t, y)."""
        return (self.drift(t, y), self.diffusion(t, y)) if self.joint is None else self.joint(t, y)

    def bind(self, args: tuple[Any, ...]) -> SDE:
        """The SDE whose coefficients are called with ``args`` after t and y."""
        return self._with(lambda field: BoundField(field, args))

    def select(self, rows: Tensor) -> SDE:
        """The SDE of these samples alone, where a coefficient holds tensors that are per sample."""
        return self._with(lambda field: field.select(rows) if hasattr(field, "select") else field)

    def to_stratonovich(self) -> SDE:
        """The same process, written in Stratonovich's calculus."""
        return self._converted(Calculus.STRATONOVICH, -0.5)

    def to_ito(self) -> SDE:
        """The same process, written in Ito's calculus."""
        return self._converted(Calculus.ITO, 0.5)

    def extra_repr(self) -> str:
        return f"{self.noise.value} noise, {self.calculus.value}"

    def _with(self, change: Callable[[Any], Any]) -> SDE:
        joint = None if self.joint is None else change(self.joint)
        return SDE(change(self.drift), change(self.diffusion), self.noise, self.calculus, joint=joint)

    def _converted(self, calculus: Calculus, factor: float) -> SDE:
        if self.calculus is calculus or self.noise is Noise.ADDITIVE:
            return SDE(self.drift, self.diffusion, self.noise, calculus)
        return SDE(_Corrected(self, factor), self.diffusion, self.noise, calculus)


class _Corrected(nn.Module):
    """The drift, and ``factor`` times the derivative of each column of the diffusion along itself."""

    def __init__(self, sde: SDE, factor: float) -> None:
        super().__init__()
        self.sde, self.factor = sde, factor

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        g = self.sde.diffusion(t, y)
        return self.sde.drift(t, y) + self.factor * self_derivative(self.sde.diffusion, t, y, g)

    def select(self, rows: Tensor) -> _Corrected:
        return _Corrected(self.sde.select(rows), self.factor)


def as_sde(field: SDE | BoundField) -> SDE:
    """The SDE that ``field`` is, or binds arguments to."""
    if isinstance(field, BoundField):
        return as_sde(field.field).bind(field.args)  # type: ignore[arg-type]
    return field


def product(
    g: Float[Tensor, "batch *rest"], w: Float[Tensor, "batch *channels"], y: Float[Tensor, "batch *state"]
) -> Float[Tensor, "batch *state"]:
    """The diffusion times noise: element by element, or a matrix times a vector.

    The vector is one for the whole state, (batch, noise), or one for each index of its first axes.

    Raises:
        ValueError: the shapes of diffusion, noise and state do not fit each other.
    """
    if g.dim() == y.dim():
        if w.shape != y.shape or g.shape != y.shape:
            raise ValueError(
                f"Expected diffusion and Brownian path of y's shape {tuple(y.shape)}, got {tuple(g.shape)} and "
                f"{tuple(w.shape)}. Noise that mixes components takes a matrix diffusion, (batch, *state, noise)."
            )
        return g * w
    prefix, noise = w.shape[:-1], w.shape[-1]
    if g.shape != (*y.shape, noise) or y.shape[: len(prefix)] != prefix:
        raise ValueError(
            f"Expected a matrix diffusion of shape {(*y.shape, 'noise')} and a Brownian path of shape (batch, noise), "
            f"got {tuple(g.shape)} and {tuple(w.shape)}."
        )
    return (g * w.reshape(*prefix, *[1] * (y.dim() - len(prefix)), noise)).sum(dim=-1)


def derivative_along(
    diffusion: Coefficient, t: Float[Tensor, " batch"], y: Float[Tensor, "batch *state"], direction: Tensor
) -> Tensor:
    """The derivative of the diffusion with respect to y along ``direction`` (batch, *state).

    By forward differentiation, or by two reverse ones where the diffusion does not support that: custom autograd
    functions need not.
    """
    y, direction = y.contiguous(), direction.contiguous()
    try:
        return torch.func.jvp(lambda point: diffusion(t, point), (y,), (direction,))[1]
    except (RuntimeError, NotImplementedError):  # an error of the diffusion itself is raised again below
        return _reversed_twice(lambda point: diffusion(t, point), y, direction)


def _reversed_twice(function: Callable[[Tensor], Tensor], y: Tensor, direction: Tensor) -> Tensor:
    """The derivative along ``direction`` as that of v -> v^T J, which is linear in v."""
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        point = y.view_as(y) if y.requires_grad and differentiable else y.detach().requires_grad_()
        value = function(point)
        if not value.requires_grad:
            return torch.zeros_like(value)
        v = torch.zeros_like(value, requires_grad=True)
        (back,) = torch.autograd.grad(value, point, v, create_graph=True, allow_unused=True)
        if back is None or not back.requires_grad:
            return torch.zeros_like(value)
        (along,) = torch.autograd.grad(back, v, direction, create_graph=differentiable)
    return along


def self_derivative(
    diffusion: Coefficient, t: Float[Tensor, " batch"], y: Float[Tensor, "batch *state"], g: Tensor
) -> Float[Tensor, "batch *state"]:
    """The sum over the columns g_j of g_j'(y) g_j: twice what Ito's drift exceeds Stratonovich's by."""
    if g.dim() == y.dim():
        return derivative_along(diffusion, t, y, g)
    columns = range(g.shape[-1])
    return torch.stack([derivative_along(diffusion, t, y, g[..., j])[..., j] for j in columns]).sum(dim=0)
