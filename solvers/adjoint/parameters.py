"""The tensors that the gradient of a solve flows to, also those that a vector field merely closes over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from ..runge_kutta import RungeKutta
from ..state import State, map_state
from ..stepper import Stepper

_Edge = tuple[Any, int]  # a node of the autograd graph and which of its outputs


def parameters_of(stepper: Stepper, t: Tensor, y: State) -> tuple[Tensor, ...]:
    """The tensors requiring gradients, beside t and y, that steps from (t, y) depend on.

    These are the parameters of a stepper that is a module, and whatever autograd sees when one step is taken: leaves
    and intermediate results that a plain function closes over. An intermediate result (a conditioning vector that an
    encoder made) is returned itself, so that its own graph is walked once, after the solve, and not in every step; but
    not where it depends on another of these tensors, whose gradient would then hold its part twice: then the leaves
    that it depends on are returned, and its graph is walked in every step. Without gradients enabled there are none.
    """
    if not torch.is_grad_enabled():
        return ()
    declared = [p for p in stepper.parameters() if p.requires_grad] if isinstance(stepper, nn.Module) else []
    t, y = t.detach(), map_state(torch.detach, y)
    return joined(declared, closed_over(lambda: _probe(stepper, t, y)))


def joined(*groups: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """All these tensors, each once and none dependent on another."""
    found = {id(tensor): tensor for group in groups for tensor in group}
    return tuple(_independent(list(found.values())))


def _independent(tensors: list[Tensor]) -> list[Tensor]:
    """The same, with leaves in the place of intermediate results that depend on another of them."""
    while True:
        ends: dict[_Edge, Tensor] = {(x.grad_fn, x.output_nr): x for x in tensors if x.grad_fn is not None}
        kept = {id(tensor): tensor for tensor in tensors}
        for tensor in [x for x in tensors if x.grad_fn is not None]:
            others = {edge: x for edge, x in ends.items() if x is not tensor}
            sources, _ = _walk([tensor], -1, others)
            if any(id(source) in kept for source in sources):
                del kept[id(tensor)]
                kept.update((id(source), source) for source in sources)
        if len(kept) == len(tensors) and all(id(tensor) in kept for tensor in tensors):
            return tensors
        tensors = list(kept.values())


def closed_over(probe: Callable[[], list[Tensor]]) -> list[Tensor]:
    """The tensors requiring gradients that existed before, and that what ``probe`` returns depends on."""
    first = _sequence_number()
    tensors, cut = _walk(probe(), first, {})
    if not cut:
        return tensors
    # Nodes older than the probe: results computed before. Their tensors are found by watching a second probe.
    first = _sequence_number()
    with _Watch(first) as watch:
        outputs = probe()
    return _walk(outputs, first, watch.seen)[0]


def _probe(stepper: Any, t: Tensor, y: State) -> list[Tensor]:
    """Results that depend on all that a step depends on."""
    if type(stepper) is RungeKutta:  # depends on nothing but its field: one evaluation tells
        return _tensors(stepper.vector_field(t, y))
    start = getattr(stepper, "start", None)
    reuse = None if start is None else start(t, y)
    dt = torch.zeros_like(t)
    step = stepper(t, dt, y) if reuse is None else stepper(t, dt, y, reuse)
    return _tensors((reuse, step.y, step.reuse))


class _Watch(TorchFunctionMode):
    """Collects the intermediate results, made before the node ``first``, that torch functions are called with."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first
        self.seen: dict[_Edge, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors((args, kwargs)):
            if tensor.grad_fn is not None and tensor.grad_fn._sequence_nr() < self.first:
                self.seen[tensor.grad_fn, tensor.output_nr] = tensor
        return func(*args, **(kwargs or {}))


def _walk(outputs: list[Tensor], first: int, seen: dict[_Edge, Tensor]) -> tuple[list[Tensor], bool]:
    """The tensors that ``outputs`` depend on, those ``seen`` and leaves; whether a node older than ``first`` was met.

    The walk ends at tensors that were seen; an older node whose tensor was not seen is followed to its leaves.
    """
    found = [output for output in outputs if output.requires_grad and output.is_leaf]
    stack: list[_Edge] = [(output.grad_fn, output.output_nr) for output in outputs if output.grad_fn is not None]
    visited: set[_Edge] = set()
    cut = False
    while stack:
        edge = stack.pop()
        node = edge[0]
        if node is None or edge in visited:
            continue
        visited.add(edge)
        if hasattr(node, "variable"):
            found.append(node.variable)
        elif edge in seen:
            found.append(seen[edge])
        else:
            cut = cut or node._sequence_nr() < first
            stack.extend(node.next_functions)
    return found, cut


def _sequence_number() -> int:
    """The number of a node made now: autograd counts the nodes that a thread makes."""
    return torch.zeros((), requires_grad=True).view_as(torch.empty(())).grad_fn._sequence_nr()  # type: ignore[union-attr]


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]
