"""A graph of core operations, run on symbols: each operation by its rule."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx

from .symbols import VECTORS, Block, NotNative, Symbol, constant, expression_of

aten = torch.ops.aten
Rule = Callable[..., Any]
"""``(translator, *arguments)`` of an operation to its result."""
RULES: dict[Any, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the rule of these operations."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[getattr(aten, name)] = function
        return function

    return register


class Translator(fx.Interpreter):
    """Runs a graph on symbols and writes the lines into a block.

    Args:
        graph: of core operations, each node with an example of its value.
        block: where lines go; may be changed between nodes by the caller of ``run_node``.
    """

    def __init__(self, graph: fx.GraphModule, block: Block) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.block = block
        self.example: Any = None
        self.packet: Any = None

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is operator.getitem:
            return args[0][args[1]]
        self.packet = getattr(target, "overloadpacket", target)
        rule = RULES.get(self.packet)
        if rule is None:
            raise NotNative(str(target))
        return rule(self, *args, **kwargs)

    def run_node(self, n: fx.Node) -> Any:
        self.example = n.meta.get("val")
        return super().run_node(n)

    # What the rules are written with.

    @property
    def dtype(self) -> torch.dtype:
        """Of the result."""
        return self.example.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return tuple(self.example.shape)

    def each(self, template: str, *operands: Any, dtype: torch.dtype, within: torch.dtype | None = None) -> Symbol:
        """One variable an element, of ``dtype``; the operands are broadcast and taken in the dtype ``within``."""
        symbols = [self.cast(self.symbol(operand, within or dtype), within or dtype) for operand in operands]
        arrays = np.broadcast_arrays(*(symbol.parts for symbol in symbols))
        out = np.empty(arrays[0].shape, dtype=object)
        for place in np.ndindex(out.shape):
            parts = (expression_of(array[place], within or dtype) for array in arrays)
            out[place] = self.block.define(template.format(*parts), dtype)
        return Symbol(out, dtype)

    def symbol(self, value: Any, dtype: torch.dtype) -> Symbol:
        """A value as a symbol; a Python number takes ``dtype``."""
        return value if isinstance(value, Symbol) else constant(value, (), dtype)

    def cast(self, value: Symbol, dtype: torch.dtype) -> Symbol:
        """The value in another dtype."""
        if value.dtype == dtype:
            return value
        templates = {torch.bool: "ne({0}, {0} - {0})"}
        if value.dtype == torch.bool:
            template = "(-{0})" if dtype == torch.int64 else f"to_{VECTORS[dtype]}(-{{0}})"
        else:
            template = templates.get(dtype, f"to_{VECTORS.get(dtype)}({{0}})")
        out = np.empty(value.shape, dtype=object)
        for place in np.ndindex(value.shape):
            part = value.parts[place]
            known = not isinstance(part, str)
            out[place] = part if known else self.block.define(template.format(part), dtype)
        return Symbol(out, dtype)

    def fold(self, template: str, value: Symbol, dims: Any, keepdim: bool) -> Symbol:
        """Combine the elements along ``dims`` (None for all), one after the other."""
        axes = range(value.parts.ndim) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
        axes = tuple(sorted(axis % value.parts.ndim for axis in axes))
        kept = tuple(axis for axis in range(value.parts.ndim) if axis not in axes)
        rows = np.transpose(value.parts, (*axes, *kept)).reshape(-1, *(value.shape[axis] for axis in kept))
        if not len(rows):
            raise NotNative("a reduction of nothing")
        total = Symbol(rows[0], value.dtype)
        for row in rows[1:]:
            total = self.each(template, total, Symbol(row, value.dtype), dtype=value.dtype)
        if keepdim:
            total = total.moved(total.parts.reshape([1 if i in axes else n for i, n in enumerate(value.shape)]))
        return total
