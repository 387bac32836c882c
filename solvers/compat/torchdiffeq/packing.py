"""Several tensors as one: all of them take the same steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from sciml.solvers.state import real_dtype

from .errors import InputError


@dataclass(frozen=True)
class Packing:
    """How a state lies in the one tensor that is integrated.

    Attributes:
        shapes, dtypes: of the tensors of a tuple, whose entries follow one another on one axis; None for a state that
            is a tensor, which stays as it is.
        dtype: of the packed state. Where the tensors are of different dtypes complex ones are packed as pairs of reals.
    """

    shapes: tuple[torch.Size, ...] | None
    dtypes: tuple[torch.dtype, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, state: Tensor | tuple[Tensor, ...]) -> Packing:
        """The packing of a state.

        Raises:
            InputError: it is neither a tensor nor a tuple of tensors of floating point or complex numbers.
        """
        parts = (state,) if isinstance(state, Tensor) else state
        if not isinstance(parts, tuple | list) or not parts or not all(isinstance(part, Tensor) for part in parts):
            raise InputError(f"Expected y0 to be a tensor or a tuple of tensors, got {type(state).__name__}.")
        dtypes = tuple(part.dtype for part in parts)
        if not all(dtype.is_floating_point or dtype.is_complex for dtype in dtypes):
            raise InputError(f"Expected y0 of floating point or complex numbers, got {dtypes[0]}. Write y0.float().")
        if isinstance(state, Tensor):
            return cls(None, dtypes, dtypes[0])
        alike = len(set(dtypes)) == 1
        dtype = dtypes[0] if alike else reduce(torch.promote_types, (real_dtype(part) for part in parts))
        return cls(tuple(part.shape for part in parts), dtypes, dtype)

    @property
    def sizes(self) -> list[int]:
        """How many entries of the packed state each tensor takes."""
        pairs = (2 if dtype.is_complex and not self.dtype.is_complex else 1 for dtype in self.dtypes)
        return [pair * shape.numel() for pair, shape in zip(pairs, self.shapes or ())]

    def pack(self, state: Any) -> Tensor:
        """The state as one tensor."""
        if self.shapes is None:
            return state
        return torch.cat([self._flat(part) for part in state])

    def unpack(self, packed: Tensor, lead: tuple[int, ...] = ()) -> Any:
        """The state of a packed one; ``lead`` are the lengths of further axes in front."""
        if self.shapes is None:
            return packed
        parts = packed.split(self.sizes, dim=-1)
        pairs = not packed.is_complex()
        return tuple(
            _shaped(part, (*lead, *shape), dtype, pairs and dtype.is_complex)
            for part, shape, dtype in zip(parts, self.shapes, self.dtypes)
        )

    def tolerance(self, name: str, value: Any, like: Tensor) -> Any:
        """A tolerance, or one for each tensor of a tuple, for the packed state ``like``.

        Raises:
            InputError: as many tolerances as tensors are not given, or one requires a gradient.
        """
        if isinstance(value, Tensor) and value.requires_grad:
            raise InputError(f"Expected a constant {name}, got one that requires a gradient. Write {name}.detach().")
        if isinstance(value, Tensor) and value.dim() == 0:
            return float(value)
        if self.shapes is None or not isinstance(value, Iterable):
            return value.to(like.device) if isinstance(value, Tensor) else value
        each = [torch.as_tensor(part, device=like.device) for part in value]
        if len(each) != len(self.shapes):
            raise InputError(f"Expected {name} to be one number or {len(self.shapes)}, one for each tensor of y0.")
        return torch.cat([part.expand(size) for part, size in zip(each, self.sizes)])

    def _flat(self, part: Tensor) -> Tensor:
        if part.is_complex() and not self.dtype.is_complex:
            part = torch.view_as_real(part)
        return part.reshape(-1).to(self.dtype)


def _shaped(flat: Tensor, shape: tuple[int, ...], dtype: torch.dtype, pairs: bool) -> Tensor:
    if pairs:
        flat = torch.complex(*flat.reshape(*flat.shape[:-1], -1, 2).unbind(dim=-1))
    return flat.view(shape).to(dtype)
