"""Gradients of a compiled solve: its steps are recorded, and taken again backwards with their gradients.

Discretise, then optimise, as autograd does through the eager loop, with the lengths of the steps as constants. Memory
holds the state at the start of each step, not the insides of the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils import _pytree as pytree

from ..state import State, leaves
from .capture import Captured, capture, gradient_graph
from .iteration import RUNNING, Carry, Plan
from .program import Records, compile_program, contiguous, run_march, while_loop

_CHUNK_BYTES = 32 * 2**20  # of records between two looks at whether a solve has finished
_CHUNK_ROWS = 8, 256
_MOVES = 4  # t, dt, moved and theta come before the states among what a step is replayed from


@dataclass(frozen=True)
class Tape:
    """What the gradient of a solve needs of it.

    Attributes:
        captured: the step.
        chunks: records of its iterations, and how many of each were used.
        served: tensors in the outputs, none where only the end is asked for.
        carried: tensors in a state with what the stepper reuses.
        backend: of ``torch.compile``.
    """

    captured: Captured
    chunks: tuple[tuple[Records, int], ...]
    served: int
    carried: int
    backend: str


@dataclass
class Recording:
    """A solve to run with records; afterwards ``carry`` and ``outputs`` are its results."""

    plan: Plan
    carry: Carry
    outputs: State
    captured: Captured
    backend: str

    def run(self) -> Tape:
        """Iterate to the end, a chunk of records at a time."""
        rows, chunks = _chunk_rows(self.carry), []
        while bool((self.carry.status == RUNNING).any()):
            records = Records.empty(self.plan, self.carry, rows)
            self.carry, count = run_march(self.plan, self.carry, self.outputs, records, self.backend)
            chunks.append((records, count))
        carried = len(leaves(self.carry.y)) + len(leaves(self.carry.reuse))
        return Tape(self.captured, tuple(chunks), len(leaves(self.outputs)), carried, self.backend)


def march_recorded(plan: Plan, carry: Carry, outputs: State, backend: str) -> tuple[Carry, State]:
    """Iterate to the end; the last carry, and the outputs as functions of ``carry`` and all that the stepper holds."""
    captured = _capture(plan, carry)
    recording = Recording(plan, carry, outputs, captured, backend)
    arguments = [*leaves(carry.y), *leaves(carry.reuse), *(captured.inputs[i] for i in captured.wanted)]
    results = _Recorded.apply(recording, *arguments)
    ys, y_end = results[: len(leaves(outputs))], results[len(leaves(outputs)) :]
    spec = pytree.tree_structure(carry.y)
    end = recording.carry._replace(y=pytree.tree_unflatten(list(y_end), spec))
    return end, pytree.tree_unflatten(list(ys), pytree.tree_structure(outputs))


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
        ctx.tape = recording.run()  # and not the recording, whose results would then hold themselves
        ctx.save_for_backward(*tensors)
        return *leaves(recording.outputs), *leaves(recording.carry.y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *unwind(ctx.tape, ctx.saved_tensors, gradients)


def unwind(tape: Tape, tensors: tuple[Tensor, ...], gradients: tuple[Tensor, ...]) -> list[Tensor]:
    """The gradients of ``tensors`` (y, reuse, what the stepper holds) from those of the outputs and the end states."""
    captured = tape.captured
    of_outputs = [contiguous(gradient) for gradient in gradients[: tape.served]]
    for gradient in of_outputs:
        gradient[:, -1] = 0  # the place that takes what nobody asked for
    totals = [
        *map(contiguous, gradients[tape.served :]),
        *(torch.zeros_like(x) for x in tensors[len(gradients) - tape.served :]),
    ]
    inputs = [tensor.detach() for tensor in captured.inputs]
    for place, tensor in zip(captured.wanted, tensors[tape.carried :], strict=True):
        inputs[place] = tensor.detach()
    backwards = _backwards(tape)
    for records, count in reversed(tape.chunks):
        row = torch.full((), count, dtype=torch.int64, device=totals[0].device)
        with torch.no_grad():
            totals = backwards(row, records, inputs, of_outputs, totals)
    return totals


def _backwards(tape: Tape) -> Callable[..., list[Tensor]]:
    """The compiled reverse loop, made once for a trace of the step."""
    captured = tape.captured
    key = tape.backend, captured.wanted, captured.sources
    if key not in captured.step.made:
        device = captured.inputs[0].device.type
        captured.step.made[key] = compile_program(_reverse_loop(tape), tape.backend, device)
    return captured.step.made[key]


def _reverse_loop(tape: Tape) -> Callable[..., list[Tensor]]:
    captured, carried, sources = tape.captured, tape.carried, tape.captured.sources
    places = {source: place for place, source in enumerate(sources) if source is not None}
    used = [number for number in range(carried) if _MOVES + number in places]
    product = gradient_graph(captured, [*(places[_MOVES + number] for number in used), *captured.wanted])

    def goes_on(row: Tensor, *_: Tensor) -> Tensor:
        return row > 0

    def backwards(
        row: Tensor, records: Records, inputs: list[Tensor], of_outputs: list[Tensor], totals: list[Tensor]
    ) -> list[Tensor]:
        """Unwind ``row`` recorded iterations: gradients of what they led to become those of what they began with."""

        def body(row: Tensor, *totals: Tensor) -> tuple[Tensor, ...]:
            row = row - 1
            found = [buffer.index_select(0, row.view(1)).squeeze(0) for buffer in records.buffers()]
            slots = found.pop(_MOVES)
            rows = torch.arange(slots.shape[0], device=slots.device)[:, None].expand_as(slots).reshape(-1)
            emitted = [gradient[rows, slots.reshape(-1)] for gradient in of_outputs]
            feed = [inputs[i] if source is None else found[source] for i, source in enumerate(sources)]
            gradients = product(*feed, *totals[:carried], *emitted)
            before = [torch.zeros_like(gradient) for gradient in totals[:carried]]
            for number, gradient in zip(used, gradients):
                before[number] = gradient
            sums = [total + more for total, more in zip(totals[carried:], gradients[len(used) :])]
            return row, *(leaf.clone() for leaf in before), *sums

        return while_loop(goes_on, body, (row, *totals))[1:]

    return backwards


def _chunk_rows(carry: Carry) -> int:
    """How many iterations to record at a time."""
    size = sum(leaf.numel() * leaf.element_size() for leaf in (*leaves(carry.y), *leaves(carry.reuse), carry.t))
    least, most = _CHUNK_ROWS
    return max(least, min(most, _CHUNK_BYTES // max(size, 1)))
