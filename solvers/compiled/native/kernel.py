"""The graph of one sample's step attempt as the parts of a C++ function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, fx
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from ..capture import Place
from . import operators  # noqa: F401 (its rules register themselves)
from .symbols import C_TYPES, VECTORS, Block, NotNative, Symbol, translatable
from .trace import Source, Traced
from .translator import Translator, aten

_LARGEST_CONSTANT = 4096
_MORE = (  # of the core set, but what they are made of has a translation
    *(aten.gelu, aten._softmax, aten._log_softmax, aten.native_layer_norm, aten.elu, aten.leaky_relu, aten.hardtanh),
    *(aten.std, aten.mish, aten.softplus),
)
_DECOMPOSITIONS = {**core_aten_decompositions(), **get_decompositions(_MORE)}


@dataclass
class Kernel:
    """The parts of a function that are written one by one.

    Attributes:
        setup: before all blocks of samples; begin: for each block; attempt: one step attempt; emit: one output.
        carried: the variables of each tensor of the carry.
        outcome: what an attempt leaves: those of the next carry, dt, accept, and the emitted states.
    """

    setup: list[str] = field(default_factory=list)
    begin: list[str] = field(default_factory=list)
    attempt: Block = field(default_factory=Block)
    emit: Block = field(default_factory=lambda: Block(prefix="e"))
    carried: list[Symbol] = field(default_factory=list)
    outcome: list[Symbol] = field(default_factory=list)


def translate(
    traced: Traced, inputs: Sequence[Tensor], carried: Sequence[tuple[torch.dtype, tuple[int, ...]]]
) -> Kernel:
    """Write a step attempt as C++.

    Args:
        traced: the attempt.
        inputs: examples of the graph's inputs, of one sample.
        carried: dtype and shape of one sample's part of each tensor of the carry.

    Raises:
        NotNative: the graph holds an operation that has no translation.
    """
    pure = torch.func.functionalize(traced.step.graph, remove="mutations")
    graph = make_fx(pure, decomposition_table=_DECOMPOSITIONS, tracing_mode="fake")(*inputs)
    graph.graph.eliminate_dead_code()
    kernel = Kernel()
    run = Translator(graph, kernel.attempt)
    kernel.carried = [
        _variables(f"c{i}", shape, dtype, kernel.begin, f"load(carry[{i}], {{k}}, {_size(shape)}, first, lanes)")
        for i, (dtype, shape) in enumerate(carried)
    ]
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    for node, source, tensor in zip(placeholders, traced.sources, inputs, strict=True):
        run.env[node] = _input(kernel, source, tensor)
    late = _after_theta(graph, placeholders, traced.sources)
    for is_late in (False, True):
        if is_late:
            run.block = kernel.emit
            kernel.emit.known |= kernel.attempt.known
        for node in graph.graph.nodes:
            if node.op == "call_function" and (node in late) == is_late:
                run.env[node] = run.run_node(node)
            elif node.op == "get_attr":
                run.env[node] = _known(getattr(graph, node.target))
    (results,) = next(node for node in graph.graph.nodes if node.op == "output").args
    kernel.outcome = [
        run.env[results[x.index]] if isinstance(x, Place) else _input(kernel, x, None) for x in traced.outcome
    ]
    return kernel


def _after_theta(graph: fx.GraphModule, placeholders: Sequence[fx.Node], sources: Sequence[Source]) -> set[fx.Node]:
    """The nodes that depend on where in the step an output lies."""
    late = {node for node, source in zip(placeholders, sources, strict=True) if source.kind == "theta"}
    for node in graph.graph.nodes:
        if any(before in late for before in node.all_input_nodes):
            late.add(node)
    return late


def _input(kernel: Kernel, source: Source, tensor: Tensor | None) -> Symbol:
    if source.kind == "carry":
        return kernel.carried[source.index]
    if tensor is None:
        raise NotNative("an input that is handed back")
    if source.kind in ("target", "theta"):
        return Symbol(np.full(tuple(tensor.shape), source.kind, dtype=object), tensor.dtype)
    name, shape = f"{source.kind}{source.index}_", tuple(tensor.shape)
    if source.kind == "sample":
        row = f"load(sample[{source.index}], {{k}}, {_size(shape)}, first, lanes)"
        return _variables(name, shape, tensor.dtype, kernel.begin, row)
    one = f"all(shared[{source.index}], {{k}})"
    return _variables(name, shape, tensor.dtype, kernel.setup, one)


def _known(tensor: Tensor) -> Symbol:
    """A tensor that was written out in the field's code."""
    if tensor.numel() > _LARGEST_CONSTANT:
        raise NotNative("a large constant")
    return Symbol(np.array(tensor.tolist(), dtype=object).reshape(tuple(tensor.shape)), tensor.dtype)


def _size(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _variables(name: str, shape: tuple[int, ...], dtype: torch.dtype, lines: list[str], template: str) -> Symbol:
    """Declare a variable for each element; ``template`` calls what fills it."""
    translatable(dtype)
    parts = np.empty(shape, dtype=object)
    for k, place in enumerate(np.ndindex(shape)):
        parts[place] = f"{name}{'_' if name[0] == 'c' else ''}{k}"
        call = template.format(k=k).replace("(", f"<{VECTORS[dtype]}, {C_TYPES[dtype]}>(", 1)
        lines.append(f"{VECTORS[dtype]} {parts[place]} = {call};")
    return Symbol(parts, dtype)
