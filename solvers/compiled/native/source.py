"""The C++ function of a solve, from the graph of one sample's step attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, fx
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from ..capture import Place
from .operators import Translator, aten
from .prelude import PRELUDE
from .symbols import C_TYPES, VECTORS, Block, NotNative, Symbol, expression_of, translatable
from .trace import Source, Traced

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


@dataclass(frozen=True)
class Layout:
    """How the loop knows the tensors of the carry.

    Attributes:
        carry: dtype and shape of one sample's part of each tensor.
        t, status: the places of these two; y: those of the state.
        lands: steps land on the output times; inside: outputs may lie inside a step.
    """

    carry: tuple[tuple[torch.dtype, tuple[int, ...]], ...]
    t: int
    status: int
    y: tuple[int, ...]
    lands: bool
    inside: bool


def write_source(traced: Traced, inputs: Sequence[Tensor], layout: Layout) -> str:
    """The C++ of a solve.

    Args:
        traced: a step attempt.
        inputs: examples of the graph's inputs, of one sample.

    Raises:
        NotNative: the graph holds an operation that has no translation.
    """
    kernel = _translate(traced, inputs, layout)
    return PRELUDE + _function(kernel, layout)


def _translate(traced: Traced, inputs: Sequence[Tensor], layout: Layout) -> Kernel:
    pure = torch.func.functionalize(traced.step.graph, remove="mutations")
    graph = make_fx(pure, decomposition_table=_DECOMPOSITIONS, tracing_mode="fake")(*inputs)
    graph.graph.eliminate_dead_code()
    kernel = Kernel()
    run = Translator(graph, kernel.attempt)
    kernel.carried = [
        _variables(f"c{i}", shape, dtype, kernel.begin, f"load(carry[{i}], {{k}}, {_size(shape)}, first, lanes)")
        for i, (dtype, shape) in enumerate(layout.carry)
    ]
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    for node, source, tensor in zip(placeholders, traced.sources, inputs, strict=True):
        run.env[node] = _input(kernel, source, tensor, layout)
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
        run.env[results[x.index]] if isinstance(x, Place) else _input(kernel, x, None, layout) for x in traced.outcome
    ]
    return kernel


def _after_theta(graph: fx.GraphModule, placeholders: Sequence[fx.Node], sources: Sequence[Source]) -> set[fx.Node]:
    """The nodes that depend on where in the step an output lies."""
    late = {node for node, source in zip(placeholders, sources, strict=True) if source.kind == "theta"}
    for node in graph.graph.nodes:
        if any(before in late for before in node.all_input_nodes):
            late.add(node)
    return late


def _input(kernel: Kernel, source: Source, tensor: Tensor | None, layout: Layout) -> Symbol:
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


def _function(kernel: Kernel, layout: Layout) -> str:
    """The loops around the translated lines.

    They keep the rules of ``iteration``: an accepted step serves the outputs up to its end, in order; a sample runs
    until its status says otherwise, and the lanes beyond the last sample never run.
    """
    count = len(layout.carry)
    clock = layout.carry[layout.t][0]
    real, vector = C_TYPES[clock], VECTORS[clock]
    after, (dt, accept), values = kernel.outcome[:count], kernel.outcome[count : count + 2], kernel.outcome[count + 2 :]
    if not layout.inside:
        values = [after[place] for place in layout.y]
    t, status = kernel.carried[layout.t].parts.item(), kernel.carried[layout.status].parts.item()
    t_next = _text(after[layout.t])
    emitted = [(i, k, part, value) for i, value in enumerate(values) for k, part in enumerate(value.parts.flat)]
    sizes = [value.parts.size for value in values]
    store = [
        f"store<{C_TYPES[value.dtype]}>"
        f"(ys[{i}], {expression_of(part, value.dtype)}, {k}, {sizes[i]}, first, slots, count);"
        for i, k, part, value in emitted
    ]
    advance = [
        f"const {VECTORS[new.dtype]} n{i}_{k} = {expression_of(part, new.dtype)};"
        for i, new in enumerate(after)
        for k, part in enumerate(new.parts.flat)
    ]
    assign = [
        f"{old} = n{i}_{k};" for i, symbol in enumerate(kernel.carried) for k, old in enumerate(symbol.parts.flat)
    ]
    save = [
        f"save<{C_TYPES[symbol.dtype]}>(result[{i}], {name}, {k}, {symbol.parts.size}, first, lanes);"
        for i, symbol in enumerate(kernel.carried)
        for k, name in enumerate(symbol.parts.flat)
    ]
    return _TEMPLATE.format(
        real=real,
        vector=vector,
        setup=_lines(kernel.setup, 1),
        begin=_lines(kernel.begin, 2),
        status=status,
        target="due" if layout.lands else "end",
        attempt=_lines(kernel.attempt.lines, 3),
        accept=_text(accept),
        t=t,
        dt=_text(dt),
        t_next=t_next,
        emit=_lines(kernel.emit.lines, 4),
        store=_lines(store, 4),
        advance=_lines(advance, 3),
        assign=_lines(assign, 3),
        save=_lines(save, 2),
    )


def _text(symbol: Symbol) -> str:
    return expression_of(symbol.parts.item(), symbol.dtype)


def _lines(lines: Sequence[str], depth: int) -> str:
    return ("\n" + "    " * depth).join(lines)


_TEMPLATE = """
INLINE double number(double x) {{ return x; }}
INLINE float number(float x) {{ return x; }}
INLINE int64_t number(int64_t x) {{ return x; }}
INLINE int64_t number(bool x) {{ return -int64_t(x); }}
template <class V, class R> INLINE V load(const void* from, int k, int size, int64_t first, int lanes) {{
    V r;
    for (int i = 0; i < W; ++i)  // lanes beyond the last sample repeat the first
        r[i] = number(static_cast<const R*>(from)[(first + (i < lanes ? i : 0)) * size + k]);
    return r;
}}
template <class V, class R> INLINE V all(const void* from, int k) {{
    return V{{}} + number(static_cast<const R*>(from)[k]);
}}
template <class R, class V> INLINE void save(void* to, V x, int k, int size, int64_t first, int lanes) {{
    for (int i = 0; i < lanes; ++i) static_cast<R*>(to)[(first + i) * size + k] = R(x[i]);
}}
template <class R, class V>
INLINE void store(void* to, V x, int k, int size, int64_t first, I64 slots, int64_t count) {{
    for (int i = 0; i < W; ++i)
        if (slots[i] >= 0) static_cast<R*>(to)[((first + i) * count + slots[i]) * size + k] = R(x[i]);
}}
template <class V, class R> INLINE V times(const R* ts, int64_t first, int lanes, int64_t count, I64 which) {{
    V r;
    for (int i = 0; i < W; ++i)
        r[i] = ts[(first + (i < lanes ? i : 0)) * count + (which[i] < count ? which[i] : count - 1)];
    return r;
}}

extern "C" void solve(
    int64_t begin_sample, int64_t end_sample, int64_t count, const {real}* ts, const void* const* carry,
    const void* const* sample, const void* const* shared, void* const* result, void* const* ys) {{
    {setup}
    for (int64_t first = begin_sample; first < end_sample; first += W) {{
        const int lanes = end_sample - first < W ? int(end_sample - first) : W;
        {begin}
        for (int i = lanes; i < W; ++i) {status}[i] = 0;
        I64 next = I64_all(1);
        const {vector} end = times<{vector}, {real}>(ts, first, lanes, count, I64_all(count - 1));
        {vector} due = times<{vector}, {real}>(ts, first, lanes, count, next);
        while (some({status} == -1)) {{
            const {vector} target = {target};
            {attempt}
            const Mask moved = {accept};
            const {vector} t = {t}, dt = {dt}, t_next = {t_next};
            const Mask forwards = gt(dt, dt - dt);
            while (true) {{
                const Mask here = moved & lt(next, I64_all(count)) & pick(forwards, le(due, t_next), ge(due, t_next));
                if (!some(here)) break;
                const {vector} zero = {vector}_all(0), one = {vector}_all(1), part = (due - t) / dt;
                const {vector} theta = pick(eq(due, t_next), one, pick(lt(part, zero), zero, smallest(part, one)));
                const I64 slots = pick(here, next, I64_all(-1));
                {emit}
                {store}
                next -= here;
                due = times<{vector}, {real}>(ts, first, lanes, count, next);
            }}
            {advance}
            {assign}
        }}
        {save}
    }}
}}
"""
