"""One sample's step attempt as a graph, and where each of its inputs comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...arguments import BoundField, PerSample, select_args
from ...state import leaves
from ...stepper import Stepper
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
    first = Carry(*torch.utils._pytree.tree_map(lambda leaf: leaf[:1].detach().clone(), tuple(carry)))
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


def one_sample(plan: Plan) -> tuple[Plan, dict[int, Tensor]]:
    """The plan of the first sample alone; and the whole of each tensor of which it holds one row, by that row's id.

    Raises:
        NotNative: the stepper or its field has rows of its own.
    """
    row = torch.zeros(1, dtype=torch.int64, device=plan.ts.device)
    stepper, wholes = _alone(plan.stepper, row)
    names = ("ts", "sign", "last", "span")
    return replace(plan, stepper=stepper, **{name: getattr(plan, name)[:1].clone() for name in names}), wholes


def _alone(stepper: Any, row: Tensor) -> tuple[Stepper, dict[int, Tensor]]:
    field = getattr(stepper, "vector_field", None)
    if hasattr(stepper, "select") or (hasattr(field, "select") and not isinstance(field, BoundField)):
        raise NotNative("a stepper with rows of its own")
    if not isinstance(field, BoundField) or not any(isinstance(arg, PerSample) for arg in field.args):
        return stepper, {}
    args = select_args(field.args, row)
    pairs = zip(args, field.args, strict=True)
    wholes = {id(one.value): whole.value for one, whole in pairs if isinstance(whole, PerSample)}
    return stepper.over(BoundField(field.field, args)), wholes
