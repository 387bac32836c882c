"""The loop over step attempts as one compiled program."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..state import State, leaves, map_state
from .iteration import RUNNING, Carry, Moves, Plan, iterate

_PROGRAMS = 1024  # of one kind at most: each stepper, shape and dtype has its own
_CPU_OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    "cpp_wrapper": True,  # a C++ caller of the kernels instead of a Python one: a third of the time on small states
    "cpp.enable_loop_tail_vec": False,  # states of two or three components: vectors filled by half are slow to load
}


@dataclass(frozen=True)
class Records:
    """What it takes to repeat a run of iterations, one row for each of them: (iterations, batch, ...)."""

    t: Tensor
    dt: Tensor
    moved: Tensor
    theta: Tensor
    slots: Tensor
    y: State
    reuse: Any

    @classmethod
    def empty(cls, plan: Plan, carry: Carry, rows: int) -> Records:
        """Room for ``rows`` iterations."""
        t, window = carry.t, plan.window

        def room(like: Tensor, *shape: int) -> Tensor:
            return like.new_empty(rows, *like.shape, *shape)

        return cls(
            t=room(t),
            dt=room(t),
            moved=t.new_empty(rows, *t.shape, dtype=torch.bool),
            theta=room(t, window),
            slots=room(carry.upcoming, window),
            y=map_state(room, carry.y),
            reuse=map_state(room, carry.reuse),
        )

    def write(self, row: Tensor, carry: Carry, moves: Moves) -> None:
        """Record one iteration: where it started and what it did."""
        values = (*moves, *leaves(carry.y), *leaves(carry.reuse))
        for buffer, value in zip(self.buffers(), values, strict=True):
            buffer.index_copy_(0, row.view(1), value[None])

    def buffers(self) -> list[Tensor]:
        """All the tensors, in the order in which they are written and replayed."""
        return [self.t, self.dt, self.moved, self.theta, self.slots, *leaves(self.y), *leaves(self.reuse)]


def march(plan: Plan, carry: Carry, outputs: State, count: Tensor, records: Records | None) -> tuple[Carry, Tensor]:
    """Iterate until no sample runs, or the records are full; the outputs are written in place.

    Args:
        outputs: where the outputs go, (batch, time + 1, ...); the last place takes what nobody asked for.
        count: zero, a scalar tensor.

    Returns:
        What the last iteration left, and how many there were.
    """
    flat, spec = pytree.tree_flatten(carry)

    def goes_on(n: Tensor, *tensors: Tensor) -> Tensor:
        running = (pytree.tree_unflatten(list(tensors), spec).status == RUNNING).any()
        return running if records is None else running & (n < records.t.shape[0])

    def body(n: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        now = pytree.tree_unflatten(list(tensors), spec)
        later, moves, values = iterate(plan, now)
        if records is not None:
            records.write(n, now, moves)
        _write(outputs, moves.slots, values)
        # A carried tensor may not alias the one it replaces, which a controller without memory may hand back.
        return n + 1, *map(contiguous, pytree.tree_leaves(later))

    count, *flat = while_loop(goes_on, body, (count, *flat))
    return pytree.tree_unflatten(flat, spec), count


def _write(outputs: State, slots: Tensor, values: State) -> None:
    """Put the states that an iteration serves into their places."""
    # Made in the body, not once before it: the C++ programs of torch 2.13 free what was computed outside a loop
    # while the loop still reads it.
    rows = torch.arange(slots.shape[0], device=slots.device)[:, None].expand_as(slots)
    for buffer, value in zip(leaves(outputs), leaves(values), strict=True):
        buffer.index_put_((rows.reshape(-1), slots.reshape(-1)), value)


def run_march(plan: Plan, carry: Carry, outputs: State, records: Records | None, backend: str) -> tuple[Carry, int]:
    """Run the compiled ``march``; the carry, and how many iterations there were.

    Raises:
        ValueError: the stepper, its vector field or the controller cannot be compiled.
    """
    count = torch.zeros((), dtype=torch.int64, device=carry.t.device)
    carry = pytree.tree_map(torch.Tensor.detach, carry)  # a program is kept for inputs with gradients and one without
    with torch.no_grad(), explained(plan.stepper):
        carry, count = compiled(march, backend, carry.t.device.type)(plan, carry, outputs, count, records)
    return carry, int(count)


def compile_program(
    function: Callable[..., Any], backend: Any, device: str, mode: str | None = None
) -> Callable[..., Any]:
    """The compiled twin of a function over tensors; torch keeps one program for each set of arguments unlike others."""
    options = _CPU_OPTIONS if backend == "inductor" and device == "cpu" else None
    make: Any = partial(
        torch.compile, function, fullgraph=True, dynamic=False, backend=backend, options=options, mode=mode
    )
    if "recompile_limit" in signature(torch.compile).parameters:
        return make(recompile_limit=_PROGRAMS)
    program = make()  # older releases of torch take the limit from their configuration

    def roomy(*arguments: Any) -> Any:
        with torch._dynamo.config.patch(recompile_limit=_PROGRAMS):
            return program(*arguments)

    return roomy


compiled = cache(compile_program)


@contextmanager
def explained(stepper: Any) -> Any:
    """Errors of the compiler as an error that says what to do."""
    try:
        yield
    except (torch._dynamo.exc.TorchDynamoException, torch._dynamo.exc.BackendCompilerFailed) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = next((line for line in lines if line.startswith("Explanation:")), lines[0])
        raise ValueError(
            f"Expected a {type(stepper).__name__} and a vector field that compile as one program, got: {reason} "
            "Write branches on tensor values with torch.where, or use compiled=False."
        ) from error


def contiguous(tensor: Tensor) -> Tensor:
    """A copy in the one layout that a loop insists on for what it carries."""
    return tensor.clone(memory_format=torch.contiguous_format)


def while_loop(goes_on: Callable[..., Tensor], body: Callable[..., Any], carried: tuple[Tensor, ...]) -> list[Tensor]:
    """``while goes_on(*carried): carried = body(*carried)`` that compiles; the last ``carried``."""
    from torch._higher_order_ops.while_loop import while_loop as loop  # in no public namespace of torch 2.13

    return list(loop(goes_on, body, carried))
