"""The C++ function of a solve: loops around the lines of one step attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from .kernel import Kernel
from .prelude import PRELUDE
from .symbols import C_TYPES, VECTORS, Symbol, expression_of


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


def write_source(kernel: Kernel, layout: Layout) -> str:
    """The C++ of a solve.

    Its loops keep the rules of ``iteration``: an accepted step serves the outputs up to its end, in order; a sample
    runs until its status says otherwise, and the lanes beyond the last sample never run.
    """
    count = len(layout.carry)
    after, (dt, accept), values = kernel.outcome[:count], kernel.outcome[count : count + 2], kernel.outcome[count + 2 :]
    clock, t = layout.carry[layout.t][0], kernel.carried[layout.t].parts.item()
    return PRELUDE + _FUNCTION.format(
        real=C_TYPES[clock],
        vector=VECTORS[clock],
        setup=_lines(kernel.setup, 1),
        begin=_lines(kernel.begin, 2),
        status=kernel.carried[layout.status].parts.item(),
        target="due" if layout.lands else "end",
        attempt=_lines(kernel.attempt.lines, 3),
        accept=expression_of(accept.parts.item(), accept.dtype),
        t=t,
        dt=expression_of(dt.parts.item(), dt.dtype),
        t_next=expression_of(after[layout.t].parts.item(), clock),
        emit=_lines(kernel.emit.lines, 4),
        store=_lines(list(_stores(values if layout.inside else [after[place] for place in layout.y])), 4),
        advance=_lines(list(_advances(after)), 3),
        assign=_lines([f"{old} = n{i}_{k};" for i, k, old, _ in _elements(kernel.carried)], 3),
        save=_lines(list(_saves(kernel.carried)), 2),
    )


def _elements(symbols: Sequence[Symbol]) -> Iterator[tuple[int, int, str, Symbol]]:
    """Number of the tensor, number of the element, the element as an expression, and the tensor."""
    for i, symbol in enumerate(symbols):
        for k, part in enumerate(symbol.parts.flat):
            yield i, k, expression_of(part, symbol.dtype), symbol


def _stores(values: Sequence[Symbol]) -> Iterator[str]:
    for i, k, part, value in _elements(values):
        yield f"store<{C_TYPES[value.dtype]}>(ys[{i}], {part}, {k}, {value.parts.size}, first, slots, count);"


def _advances(after: Sequence[Symbol]) -> Iterator[str]:
    for i, k, part, value in _elements(after):
        yield f"const {VECTORS[value.dtype]} n{i}_{k} = {part};"


def _saves(carried: Sequence[Symbol]) -> Iterator[str]:
    for i, k, part, value in _elements(carried):
        yield f"save<{C_TYPES[value.dtype]}>(result[{i}], {part}, {k}, {value.parts.size}, first, lanes);"


def _lines(lines: Sequence[str], depth: int) -> str:
    return ("\n" + "    " * depth).join(lines)


_FUNCTION = """
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
