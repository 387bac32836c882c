"""Gradients of a compiled solve: its steps are recorded, and taken again backwards with their gradients.

Discretise, then optimise, as autograd does through the eager loop, with the lengths of the steps as constants. Memory
holds the state at the start of each step, not the insides of the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils import _pytree as pytree

from ..state import State, leaves
from .capture import Captured, capture, gradient_graph
from .iteration import RUNNING, Carry, Plan
from .program import Records, _while_loop, compiled, held, run_march

_CHUNK_BYTES = 32 * 2**20  # of records between two looks at whether a solve has finished
_CHUNK_ROWS = 8, 256


@dataclass
class Recording:
    """A solve that is about to be run, and what its gradient needs of it."""

    plan: Plan
    carry: Carry
    outputs: State
    backend: str
    captured: Captured
    chunks: list[tuple[Records, int]] = field(default_factory=list)

    def run(self) -> None:
        """Iterate to the end, a chunk of records at a time."""
        rows = _chunk_rows(self.carry)
        while bool((self.carry.status == RUNNING).any()):
            records = Records.empty(self.plan, self.carry, rows)
            self.carry, count = run_march(self.plan, self.carry, self.outputs, records, self.backend)
            self.chunks.append((records, count))


def march_recorded(plan: Plan, carry: Carry, outputs: State, backend: str) -> tuple[Carry, State]:
    """Iterate to the end; the last carry, and the outputs as functions of ``carry`` and all that the stepper holds."""
    recording = Recording(plan, carry, outputs, backend, _capture(plan, carry))
    captured = recording.captured
    arguments = [*leaves(carry.y), *held(carry.reuse), *(captured.inputs[i] for i in captured.wanted)]
    results = _Recorded.apply(recording, *arguments)
    ys, y_end = results[: len(leaves(outputs))], results[len(leaves(outputs)) :]
    spec = pytree.tree_structure(carry.y)
    end = recording.carry._replace(y=pytree.tree_unflatten(list(y_end), spec))
    return end, pytree.tree_unflatten(list(ys), spec)


def _capture(plan: Plan, carry: Carry) -> Captured:
    t = carry.t.detach().clone()
    theta = t[:, None].expand(-1, plan.window).clone(memory_format=torch.contiguous_format)
    moves = t, torch.zeros_like(t), torch.ones_like(t, dtype=torch.bool), theta
    y, reuse = (pytree.tree_map(_leaf, state) for state in (carry.y, carry.reuse))
    return capture(plan.stepper, plan.inside, moves, y, reuse)


def _leaf(tensor: Tensor) -> Tensor:
    fresh = tensor.detach().clone()
    return fresh.requires_grad_() if fresh.is_floating_point() or fresh.is_complex() else fresh


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recording: Recording, *tensors: Tensor) -> tuple[Tensor, ...]:
        recording.run()
        ctx.recording = recording
        ctx.save_for_backward(*tensors)
        return *leaves(recording.outputs), *leaves(recording.carry.y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *unwind(ctx.recording, ctx.saved_tensors, gradients)


def unwind(recording: Recording, tensors: tuple[Tensor, ...], gradients: tuple[Tensor, ...]) -> list[Tensor]:
    """The gradients of ``tensors`` (y, reuse, what the stepper holds) from those of the outputs and the end states."""
    captured, states = recording.captured, len(leaves(recording.carry.y))
    of_outputs = [gradient.contiguous().clone() for gradient in gradients[:states]]
    for gradient in of_outputs:
        gradient[:, -1] = 0  # the place that takes what nobody asked for
    carried = [*(g.contiguous().clone() for g in gradients[states:]), *(torch.zeros_like(x) for x in tensors[states:])]
    inputs = [tensor.detach() for tensor in captured.inputs]
    for i, tensor in zip(captured.wanted, tensors[len(tensors) - len(captured.wanted) :], strict=True):
        inputs[i] = tensor.detach()
    backwards = _backwards(recording)
    for records, count in reversed(recording.chunks):
        row = torch.full((), count, dtype=torch.int64, device=of_outputs[0].device)
        with torch.no_grad():
            carried = backwards(row, records, inputs, of_outputs, carried)
    return carried


def _backwards(recording: Recording) -> Callable[..., list[Tensor]]:
    """The compiled reverse loop, made once for a trace of the step."""
    captured = recording.captured
    key = recording.backend, captured.wanted, captured.sources
    if key not in captured.step.made:
        captured.step.made[key] = _make_backwards(recording)
    return captured.step.made[key]


def _make_backwards(recording: Recording) -> Callable[..., list[Tensor]]:
    captured = recording.captured
    places = {source: i for i, source in enumerate(captured.sources) if source is not None}
    first = 4  # t, dt, moved and theta come before the states
    states = len(leaves(recording.carry.y)) + len(held(recording.carry.reuse))
    used = [number for number in range(states) if first + number in places]
    wrt = [*(places[first + number] for number in used), *captured.wanted]
    product, sources = gradient_graph(captured, wrt), captured.sources

    def backwards(
        row: Tensor, records: Records, inputs: list[Tensor], of_outputs: list[Tensor], carried: list[Tensor]
    ) -> list[Tensor]:
        """Unwind ``row`` recorded iterations; ``carried``: gradients of the states after, and before, them."""

        def goes_on(row: Tensor, *carried: Tensor) -> Tensor:
            return row > 0

        def body(row: Tensor, *carried: Tensor) -> tuple[Tensor, ...]:
            row = row - 1
            found = [buffer.index_select(0, row.view(1)).squeeze(0) for buffer in records.buffers()]
            slots = found.pop(4)
            rows = torch.arange(slots.shape[0], device=slots.device)[:, None].expand_as(slots).reshape(-1)
            emitted = [gradient[rows, slots.reshape(-1)] for gradient in of_outputs]
            feed = [inputs[i] if source is None else found[source] for i, source in enumerate(sources)]
            gradients = product(*feed, *carried[:states], *emitted)
            before = [torch.zeros_like(gradient) for gradient in carried[:states]]
            for number, gradient in zip(used, gradients):
                before[number] = gradient
            sums = [total + more for total, more in zip(carried[states:], gradients[len(used) :])]
            return row, *(leaf.clone() for leaf in before), *sums

        return list(_while_loop()(goes_on, body, (row, *carried))[1:])

    return compiled(backwards, recording.backend, recording.carry.t.device.type)


def _chunk_rows(carry: Carry) -> int:
    """How many iterations to record at a time."""
    size = sum(leaf.numel() * leaf.element_size() for leaf in (*leaves(carry.y), *held(carry.reuse), carry.t))
    least, most = _CHUNK_ROWS
    return max(least, min(most, _CHUNK_BYTES // max(size, 1)))
