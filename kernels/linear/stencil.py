"""Matrices of grids: the same few neighbours for every point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from .matrix import ROUNDING, Couplings, Pattern, unlike


@dataclass(frozen=True, eq=False)
class Stencil:
    """Each point of a grid is coupled to the points at fixed offsets from it; beyond the grid there is nothing.

    (A x)[i] = diagonal[i] x[i] + sum over k of values[k, i] x[i + offsets[k]], where i + offsets[k] wraps around
    along periodic axes and is left out beyond the ends of others.

    Args:
        shape: points along one to three axes.
        offsets: of the neighbours, each a step of -1, 0 or 1 along each axis, and not all 0.
        values: (samples, coupling, *shape); 1 instead of samples where all share them, axes of 1 instead of the shape
            for constant coefficients.
        diagonal: (samples, *shape), each of them or 1, whatever the values have.
        periodic: along which axes; at least three points are needed there.

    Raises:
        ValueError: shapes that do not fit.
    """

    shape: tuple[int, ...]
    offsets: tuple[tuple[int, ...], ...]
    values: Float[Tensor, "samples coupling *space"]
    diagonal: Float[Tensor, "its_samples *its_space"]
    periodic: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "offsets", tuple(tuple(int(o) for o in offset) for offset in self.offsets))
        periodic = self.periodic or (False,) * len(self.shape)
        object.__setattr__(self, "periodic", tuple(bool(repeats) for repeats in periodic))
        self._check()

    def _check(self) -> None:
        dim, ones = len(self.shape), (1,) * len(self.shape)
        if not 1 <= dim <= 3 or min(self.shape) < 1 or len(self.periodic) != dim:
            raise ValueError(
                f"Expected a shape of one to three axes, and as many of periodic, got {self.shape} and {self.periodic}."
            )
        if any(n < 3 for n, repeats in zip(self.shape, self.periodic) if repeats):
            raise ValueError(f"Expected at least 3 points along periodic axes, got {self.shape}, {self.periodic}.")
        good = all(len(o) == dim and any(o) and set(o) <= {-1, 0, 1} for o in self.offsets)
        if not good or len(set(self.offsets)) < len(self.offsets):
            raise ValueError(
                f"Expected different offsets of -1, 0 or 1 along {dim} axes, not all 0, got {self.offsets}. "
                "For couplings that reach further use Rows."
            )
        for name, tensor, lead in (("values", self.values, 2), ("diagonal", self.diagonal, 1)):
            if tensor.dim() != dim + lead or tuple(tensor.shape[lead:]) not in (self.shape, ones):
                raise ValueError(
                    f"Expected {name} of shape (samples, {'coupling, ' * (lead - 1)}*{self.shape}), or axes of 1 for "
                    f"constant ones, got {tuple(tensor.shape)}."
                )
        if self.values.shape[1] != len(self.offsets):
            raise ValueError(f"Expected values for {len(self.offsets)} offsets, got {self.values.shape[1]}.")
        if self.values.dtype != self.diagonal.dtype or not self.values.is_floating_point():
            raise ValueError(
                f"Expected values and diagonal of one real dtype, got {self.values.dtype} and {self.diagonal.dtype}."
            )
        counts = {len(self.values), len(self.diagonal)} - {1}
        if len(counts) > 1:
            raise ValueError(f"Expected values and diagonal of the same samples, got {sorted(counts)}.")

    @property
    def samples(self) -> int:
        """Of the batch, 1 where all share one matrix."""
        return max(len(self.values), len(self.diagonal))

    @property
    def dtype(self) -> torch.dtype:
        """Of the entries."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the entries are."""
        return self.values.device

    @cached_property
    def asymmetry(self) -> Float[Tensor, " samples"]:
        """Largest difference from the transpose over the largest coupling."""
        mine, other = self.detach(), self.detach().transpose()
        if set(mine.offsets) != set(other.offsets):
            return torch.full((len(self.values),), torch.inf, dtype=self.dtype, device=self.device)
        order = [other.offsets.index(offset) for offset in mine.offsets]
        return unlike(mine._inside(), other._inside()[:, order])

    @cached_property
    def symmetric(self) -> bool:
        """Whether it equals its transpose, to rounding."""
        return bool((self.asymmetry <= ROUNDING * torch.finfo(self.dtype).eps).all())

    def apply(self, x: Float[Tensor, "batch *space"]) -> Float[Tensor, "batch *space"]:
        """A x, differentiable in x, values and diagonal."""
        values, axes = self._inside(), tuple(range(1, x.dim()))
        total = self.diagonal * x
        for k, offset in enumerate(self.offsets):
            total = total + values[:, k] * x.roll(tuple(-o for o in offset), axes)
        return total

    def transpose(self) -> Stencil:
        """The transpose: what reached i from i - o reaches i - o from i."""
        axes = tuple(range(1, self.values.dim() - 1))
        if self._constant:
            flipped = self.values
        else:
            flipped = torch.stack([self.values[:, k].roll(o, axes) for k, o in enumerate(self.offsets)], dim=1)
        return replace(self, offsets=tuple(tuple(-o for o in offset) for offset in self.offsets), values=flipped)

    def couplings(self) -> Couplings:
        """Row by row."""
        count = len(self.offsets)
        return Couplings(
            _pattern(self.shape, self.offsets, self.periodic, self.device),
            self._inside().expand(-1, count, *self.shape).flatten(2),
            self.diagonal.expand(-1, *self.shape).flatten(1),
        )

    def select(self, rows: Tensor) -> Stencil:
        """Of these samples alone."""
        values, diagonal = (part if len(part) == 1 else part[rows] for part in (self.values, self.diagonal))
        return self._of(values, diagonal)

    @property
    def entries(self) -> tuple[Tensor, Tensor]:
        """Values and diagonal."""
        return self.values, self.diagonal

    def with_entries(self, *entries: Tensor) -> Stencil:
        """The same stencil with other values and diagonal."""
        values, diagonal = entries
        return replace(self, values=values, diagonal=diagonal)

    def detach(self) -> Stencil:
        """Without gradients."""
        return self._like(self._of(self.values.detach(), self.diagonal.detach()))

    def shifted(self, shift: float | Tensor) -> Stencil:
        """A + shift I; one shift, or one for each sample (batch,)."""
        shift = torch.as_tensor(shift, dtype=self.dtype, device=self.device).reshape(-1, *[1] * len(self.shape))
        return self._like(self._of(self.values, self.diagonal + shift))

    def scaled(self, factor: float | Tensor) -> Stencil:
        """factor A; one factor, or one for each sample (batch,)."""
        factor = torch.as_tensor(factor, dtype=self.dtype, device=self.device).reshape(-1, *[1] * len(self.shape))
        return self._like(self._of(self.values * factor[:, None], self.diagonal * factor))

    def _of(self, values: Tensor, diagonal: Tensor) -> Stencil:
        """With other entries of the same kind, which are not checked: simulations make a matrix in each step."""
        other = object.__new__(Stencil)
        other.__dict__.update(
            shape=self.shape, offsets=self.offsets, values=values, diagonal=diagonal, periodic=self.periodic
        )
        return other

    def _like(self, other: Stencil) -> Stencil:
        """Another matrix that is as symmetric as this one, which need not be found out again."""
        known = ("asymmetry", "symmetric")
        other.__dict__.update({name: self.__dict__[name] for name in known if name in self.__dict__})
        return other

    @property
    def _constant(self) -> bool:
        return self.values.shape[2:].numel() == 1

    def _inside(self) -> Tensor:
        """The values, 0 where there is no neighbour."""
        inside = _inside(self.shape, self.offsets, self.periodic, self.device)
        return torch.where(inside, self.values, self.values.new_zeros(()))


def nearest_offsets(dim: int) -> tuple[tuple[int, ...], ...]:
    """The 2 dim nearest neighbours: the one before and the one after along each axis."""
    return tuple(tuple(sign * (a == axis) for a in range(dim)) for axis in range(dim) for sign in (-1, 1))


@cache
def _inside(
    shape: tuple[int, ...], offsets: Sequence[Sequence[int]], periodic: tuple[bool, ...], device: torch.device
) -> Tensor:
    """Whether a point has each neighbour, (coupling, *shape)."""
    masks = []
    for offset in offsets:
        mask = torch.ones(shape, dtype=torch.bool, device=device)
        for axis, (n, step, repeats) in enumerate(zip(shape, offset, periodic)):
            if not repeats:
                other = torch.arange(n, device=device) + step
                reached = (other >= 0) & (other < n)
                mask &= reached.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        masks.append(mask)
    return torch.stack(masks) if masks else torch.ones((0, *shape), dtype=torch.bool, device=device)


@cache
def _pattern(
    shape: tuple[int, ...], offsets: Sequence[Sequence[int]], periodic: tuple[bool, ...], device: torch.device
) -> Pattern:
    own = torch.arange(torch.Size(shape).numel(), device=device).reshape(shape)
    inside, axes = _inside(shape, offsets, periodic, device), tuple(range(len(shape)))
    there = [torch.where(inside[k], own.roll(tuple(-o for o in offset), axes), own) for k, offset in enumerate(offsets)]
    return Pattern(torch.stack(there).flatten(1) if there else own.flatten()[None][:0])
