"""Straight-line C++ from a graph of tensor operations on one sample.

A tensor of a few elements is an array of names here, one C++ variable for each element. Operations that move elements
about (views, slices, concatenations) move names and cost nothing; the others write one line an element. A variable
holds a vector of ``WIDTH`` samples, all treated alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

WIDTH = 8
"""Samples in a vector: eight doubles fill the widest registers."""

C_TYPES = {torch.float64: "double", torch.float32: "float", torch.int64: "int64_t", torch.bool: "bool"}
VECTORS = {torch.float64: "F64", torch.float32: "F32", torch.int64: "I64", torch.bool: "Mask"}


class NotNative(Exception):
    """A graph does what this package does not translate; other ways to compile it remain."""


@dataclass(frozen=True)
class Symbol:
    """A tensor of one sample: names of variables, or Python numbers where the value is known.

    Attributes:
        parts: an array of objects of the tensor's shape.
        dtype: of the tensor.
    """

    parts: Any
    dtype: torch.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.parts.shape

    def moved(self, parts: Any) -> Symbol:
        """The same elements in another arrangement."""
        return Symbol(np.asarray(parts, dtype=object), self.dtype)


def constant(value: float | int | bool, shape: Sequence[int], dtype: torch.dtype) -> Symbol:
    """A tensor whose elements are one known number."""
    parts = np.empty(tuple(shape), dtype=object)
    parts.fill(value)
    return Symbol(parts, translatable(dtype))


def translatable(dtype: torch.dtype) -> torch.dtype:
    """The dtype, if there are vectors of it.

    Raises:
        NotNative: there are none.
    """
    if dtype not in VECTORS:
        raise NotNative(f"tensors of {dtype}")
    return dtype


@dataclass
class Block:
    """Lines written so far, and what they depend on."""

    lines: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)  # expression to variable: the same sum is made once
    prefix: str = "v"
    limit: int = 8000

    def define(self, expression: str, dtype: torch.dtype) -> str:
        """A variable that holds the expression."""
        key = f"{VECTORS[translatable(dtype)]} {expression}"
        if key not in self.known:
            if len(self.lines) >= self.limit:
                raise NotNative(f"more than {self.limit} operations a step")
            name = f"{self.prefix}{len(self.lines)}"
            self.lines.append(f"const {VECTORS[dtype]} {name} = {expression};")
            self.known[key] = name
        return self.known[key]


def literal(value: float | int | bool, dtype: torch.dtype) -> str:
    """A number as an expression, exact."""
    if dtype == torch.bool:
        return f"Mask_all({-1 if value else 0})"
    if dtype == torch.int64:
        return f"I64_all({int(value)}LL)"
    number = float(value)
    if number != number:
        text = "NAN"
    elif number in (float("inf"), float("-inf")):
        text = "INFINITY" if number > 0 else "-INFINITY"
    else:
        text = number.hex()
    return f"{VECTORS[translatable(dtype)]}_all({text})"


def expression_of(part: Any, dtype: torch.dtype) -> str:
    """An element as an expression."""
    return part if isinstance(part, str) else literal(part, dtype)
