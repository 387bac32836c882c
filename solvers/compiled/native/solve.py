"""Run a solve as one native function."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...arguments import BoundField
from ...state import State, leaves, real_dtype
from ..iteration import Carry, Plan, take
from .build import load
from .kernel import translate
from .source import Layout, write_source
from .symbols import WIDTH, NotNative, translatable
from .trace import Traced, flat, one_sample, trace

_LARGEST = 64  # numbers in a state


@dataclass(frozen=True)
class Program:
    """A compiled solve of one kind, or why there is none."""

    function: Any = None
    refusal: str = ""


def solve_native(plan: Plan, carry: Carry, ys: State) -> Carry | None:
    """Iterate every sample to its end; the states go into ``ys`` (batch, time, ...) in place.

    Returns:
        The last carry, or None where the stepper, its field or this machine allow no native function.
    """
    if not _small(carry) or _gave_up(plan.stepper):
        return None
    try:
        traced = trace(plan, carry)
    except NotNative:
        return None
    except ValueError:  # such as a field that closes over a tensor of the whole batch: the loop takes it, or says why
        with suppress(TypeError):  # what cannot be remembered is tried again
            _untraceable.setdefault(_field(plan.stepper), set()).add(type(plan.stepper))
        return None
    program = _program(plan, carry, traced)
    return None if program.function is None else _run(program, plan, carry, ys, traced)


_untraceable: WeakKeyDictionary[Any, set[type]] = WeakKeyDictionary()


def _gave_up(stepper: Any) -> bool:
    """Whether such a step of the same field could not be traced before."""
    with suppress(TypeError):
        return type(stepper) in _untraceable.get(_field(stepper), ())
    return False


def _field(stepper: Any) -> Any:
    """What a stepper steps, without the arguments bound to it."""
    field = getattr(stepper, "vector_field", stepper)
    return field.field if isinstance(field, BoundField) else field


def _small(carry: Carry) -> bool:
    state = [*leaves(carry.y), *leaves(carry.reuse)]
    on_cpu = all(leaf.device.type == "cpu" for leaf in state)
    return on_cpu and sum(leaf.shape[1:].numel() for leaf in leaves(carry.y)) <= _LARGEST


def _program(plan: Plan, carry: Carry, traced: Traced) -> Program:
    """The program of a trace, made once."""
    key = ("native", plan.lands, plan.inside)
    if key not in traced.step.made:
        try:
            if not _apart(plan, carry):
                raise NotNative("samples that depend on each other")
            layout = _layout(plan, carry)
            source = write_source(translate(traced, _examples(carry, traced), layout.carry), layout)
            traced.step.made[key] = Program(load(source).solve)
        except NotNative as reason:
            traced.step.made[key] = Program(refusal=str(reason))
    return traced.step.made[key]


def _examples(carry: Carry, traced: Traced) -> list[Tensor]:
    """The graph's inputs for the first sample."""
    first = [leaf[:1] for leaf in flat(carry)]
    clock = carry.t[:1]
    kinds = {"target": [clock], "theta": [clock[:, None]], "carry": first, "shared": list(traced.shared)}
    kinds["sample"] = [tensor[:1] for tensor in traced.sample]
    return [kinds[source.kind][source.index].detach() for source in traced.sources]


def _layout(plan: Plan, carry: Carry) -> Layout:
    tensors = flat(carry)
    for tensor in tensors:
        translatable(tensor.dtype)
    place = {id(tensor): index for index, tensor in enumerate(tensors)}
    return Layout(
        carry=tuple((tensor.dtype, tuple(tensor[:1].shape)) for tensor in tensors),
        t=place[id(carry.t)],
        status=place[id(carry.status)],
        y=tuple(place[id(leaf)] for leaf in leaves(carry.y)),
        lands=plan.lands,
        inside=plan.inside,
    )


@torch.no_grad()
def _apart(plan: Plan, carry: Carry) -> bool:
    """Whether a step of one sample alone is that which it makes among the others."""
    together = leaves(take(plan.stepper, carry.t, carry.dt, carry.y, carry.reuse).y)
    for row in {0, len(carry.t) - 1}:
        one = Carry(*pytree.tree_map(lambda leaf, at=row: leaf[at : at + 1], tuple(carry)))
        alone = leaves(take(one_sample(plan, row)[0].stepper, one.t, one.dt, one.y, one.reuse).y)
        for whole, part in zip(together, alone, strict=True):
            rtol = 1e3 * torch.finfo(real_dtype(part)).eps
            if not torch.allclose(whole[row : row + 1], part, rtol=rtol, atol=1e-30, equal_nan=True):
                return False
    return True


def _run(program: Program, plan: Plan, carry: Carry, ys: State, traced: Traced) -> Carry:
    given = [tensor.detach().contiguous() for tensor in flat(carry)]
    results = [torch.empty_like(tensor) for tensor in given]
    sample = [tensor.contiguous() for tensor in traced.sample]
    shared = [tensor.contiguous() for tensor in traced.shared]
    tensors = [_pointers(group) for group in (given, sample, shared, results, leaves(ys))]
    count, ts = ctypes.c_int64(plan.ts.shape[1]), ctypes.c_void_p(plan.ts.data_ptr())

    def run(part: tuple[int, int]) -> None:
        program.function(*map(ctypes.c_int64, part), count, ts, *tensors)  # without Python's lock

    parts = _parts(len(carry.t), torch.get_num_threads())
    list(_workers(torch.get_num_threads()).map(run, parts)) if len(parts) > 1 else run(parts[0])
    return Carry(*pytree.tree_unflatten(results, pytree.tree_structure(tuple(carry))))


def _parts(batch: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of samples to share out; several for each thread, since some take longer than others."""
    blocks = -(-batch // WIDTH)
    number = 1 if threads == 1 else max(1, min(8 * threads, blocks // 4))
    bounds = [min(WIDTH * (blocks * i // number), batch) for i in range(number + 1)]
    return list(pairwise(bounds))


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sciml-native")


def _pointers(tensors: Sequence[Tensor]) -> Any:
    return (ctypes.c_void_p * max(len(tensors), 1))(*(tensor.data_ptr() for tensor in tensors))
