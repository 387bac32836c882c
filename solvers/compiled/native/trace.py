"""One sample's step attempt as a graph, and where each of its inputs comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...arguments import select_rows
from ...state import leaves
from ..capture import Place, StepGraph, traced
from ..iteration import Carry, Emission, Plan, attempt, conclude, emitted
from .symbols import NotNative


@dataclass(frozen=True)
class Source:
    """Where a graph's input comes from.

    Attributes:
        kind: "carry", changed by every attempt; "target" and "theta", set by the loop; "sample", a row of a tensor;
            "shared", the same for all samples.
        index: of the tensor among those of its kind.
    """

    kind: str
    index: int = 0


@dataclass(frozen=True)
class Traced:
    """A step attempt of one call.

    Attributes:
        step: the graph.
        sources: of its inputs, in order.
        sample, shared: the tensors of these kinds, of the whole batch.
        outcome: for each tensor of ``Carry``, then dt, accept and the emitted states: a ``Place``, or the ``Source``
            of an input that is handed back.
    """

    step: StepGraph
    sources: tuple[Source, ...]
    sample: tuple[Tensor, ...]
    shared: tuple[Tensor, ...]
    outcome: tuple[Place | Source, ...]


def try_once(plan: Plan, carry: Carry, target: Tensor, theta: Tensor) -> list[Tensor]:
    """The next carry, the step's length, whether it stands, and the states at ``theta`` in it: flat."""
    tried = attempt(plan, carry, target)
    reached = tried.accept & (tried.t_next == target)
    none = theta[:, :0]
    last = reached & (target == plan.last)
    more = torch.zeros_like(last)
    after = conclude(plan, carry, tried, Emission(none, none, reached, more, last))
    inside = leaves(emitted(tried.step, theta, plan.inside)) if plan.inside else []
    return [*flat(after), tried.dt, tried.accept, *inside]


def flat(carry: Carry) -> list[Tensor]:
    """The tensors of a carry, in order."""
    return leaves(tuple(carry))


def trace(plan: Plan, carry: Carry) -> Traced:
    """Trace ``try_once`` for the first sample, or find its trace.

    Raises:
        NotNative: the stepper holds what is not known to be the same for all samples.
        ValueError: the stepper or its vector field cannot be traced.
    """
    one, per_sample = one_sample(plan)
    first = Carry(*pytree.tree_map(lambda leaf: leaf[:1].detach().clone(), tuple(carry)))
    target, theta = one.last.clone(), first.t[:, None].clone()
    with torch.no_grad():
        returned, step, inputs = traced(plan.stepper, try_once, one, first, target, theta)
    per_sample |= {id(getattr(one, name)): getattr(plan, name) for name in ("last", "sign", "span")}
    places = {id(leaf): Source("carry", index) for index, leaf in enumerate(flat(first))}
    places |= {id(target): Source("target"), id(theta): Source("theta")}
    sample: list[Tensor] = []
    shared: list[Tensor] = []
    for tensor in inputs:
        if id(tensor) in places:
            continue
        kind, found = ("sample", sample) if id(tensor) in per_sample else ("shared", shared)
        places[id(tensor)] = Source(kind, len(found))
        found.append(per_sample.get(id(tensor), tensor).detach())
    outcome = tuple(x if isinstance(x, Place) else places[id(x)] for x in returned)
    return Traced(step, tuple(places[id(tensor)] for tensor in inputs), tuple(sample), tuple(shared), outcome)


def one_sample(plan: Plan, row: int = 0) -> tuple[Plan, dict[int, Tensor]]:
    """The plan of one sample; and the whole of each tensor of which its stepper holds that row, by the row's id.

    Raises:
        NotNative: the stepper of one sample holds tensors that are no rows of its own.
    """
    rows = torch.tensor([row], device=plan.ts.device)
    stepper = select_rows(plan.stepper, rows)
    wholes: dict[int, Tensor] = {}
    _match(plan.stepper, stepper, wholes, set())
    parts = {name: getattr(plan, name)[rows] for name in ("ts", "sign", "last", "span")}
    return replace(plan, stepper=stepper, **parts), wholes


def _match(whole: Any, one: Any, wholes: dict[int, Tensor], seen: set[int]) -> None:
    """Find the tensors that are rows of others, walking two objects of the same make."""
    if one is whole or id(one) in seen:
        return
    seen.add(id(one))
    if isinstance(one, Tensor):
        if not isinstance(whole, Tensor) or one.shape != (1, *whole.shape[1:]):
            raise NotNative("a stepper whose select does more than take rows")
        wholes[id(one)] = whole
    elif isinstance(one, (tuple, list)) and type(one) is type(whole) and len(one) == len(whole):
        for pair in zip(whole, one):
            _match(*pair, wholes, seen)
    elif isinstance(one, dict) and isinstance(whole, dict) and one.keys() == whole.keys():
        for key in one:
            _match(whole[key], one[key], wholes, seen)
    elif hasattr(one, "__dict__") and type(one) is type(whole):
        _match(vars(whole), vars(one), wholes, seen)
