"""The step of a recorded solve as a graph: every tensor that it depends on is an input, and it has a gradient.

A vector field finds its parameters on its own: in a module, a closure, a bound argument. Tracing turns all of them into
inputs of the graph, so that gradients reach them and a new value needs no new program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import local
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from ..state import State, leaves
from .iteration import emitted, settle, take
from .program import compiled, explained


def replay(
    stepper: Any, inside: bool, t: Tensor, dt: Tensor, moved: Tensor, theta: Tensor, y: State, reuse: Any
) -> list[Tensor]:
    """The differentiable part of an iteration whose ``Moves`` are known: y, reuse and the outputs after it, flat."""
    step = take(stepper, t, dt, y, reuse)
    y_next, reuse_next = settle(step, moved, y, reuse)
    return [*leaves(y_next), *leaves(reuse_next), *leaves(emitted(step, theta, inside))]


@dataclass(frozen=True)
class Place:
    """Stands for the output ``index`` of a graph."""

    index: int


@dataclass(eq=False)
class StepGraph:
    """The graph of ``replay``. torch keeps it for as long as the same trace is valid, and what is made of it."""

    graph: fx.GraphModule
    made: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Captured:
    """One call of a ``StepGraph``.

    Attributes:
        inputs: its inputs in this call.
        sources: for each input, its place among the tensors handed to ``capture``; None where the stepper holds it.
        outputs: for each tensor that ``replay`` returns, its place among the graph's outputs.
    """

    step: StepGraph
    inputs: tuple[Tensor, ...]
    sources: tuple[int | None, ...]
    outputs: tuple[int, ...]

    @property
    def wanted(self) -> tuple[int, ...]:
        """The inputs that the stepper holds and that gradients flow to."""
        pairs = enumerate(zip(self.inputs, self.sources, strict=True))
        return tuple(i for i, (tensor, source) in pairs if source is None and tensor.requires_grad)


def capture(stepper: Any, inside: bool, moves: Sequence[Tensor], y: State, reuse: Any) -> Captured:
    """Trace ``replay``, or find its trace.

    Args:
        moves: t, dt, moved and theta of any iteration.

    Raises:
        ValueError: the stepper or its vector field cannot be traced.
    """
    given = [*moves, *leaves(y), *leaves(reuse)]
    with torch.enable_grad():
        returned, step, inputs = traced(stepper, replay, stepper, inside, *moves, y, reuse)
    places = {id(tensor): place for place, tensor in enumerate(given)}
    sources = tuple(places.get(id(tensor)) for tensor in inputs)
    return Captured(step, inputs, sources, tuple(place.index for place in returned))


def traced(stepper: Any, function: Callable[..., Any], *arguments: Any) -> tuple[Any, StepGraph, tuple[Tensor, ...]]:
    """What ``function`` returns with a ``Place`` for each tensor it computes, its graph, and the graph's inputs.

    Raises:
        ValueError: the stepper or its vector field cannot be traced.
    """
    with explained(stepper):
        returned = compiled(function, _catch, "")(*arguments)
    return returned, *_noted.call


_noted = local()


def _catch(graph: fx.GraphModule, _: Sequence[Tensor]) -> Callable[..., Any]:
    """A compiler that computes nothing and notes what it was called with."""
    step = StepGraph(graph)
    (results,) = next(node for node in graph.graph.nodes if node.op == "output").args

    def note(*inputs: Tensor) -> tuple[Place, ...]:
        _noted.call = step, inputs
        return tuple(Place(index) for index in range(len(results)))

    return note


def gradient_graph(captured: Captured, wrt: Sequence[int]) -> fx.GraphModule:
    """The vector-Jacobian product of a step: ``(*inputs, *cotangents of replay's results) -> gradients``.

    Args:
        wrt: which inputs the gradients are of.
    """
    graph, count = captured.step.graph, len(captured.inputs)

    def product(*tensors: Tensor) -> list[Tensor]:
        inputs, cotangents = list(tensors[:count]), tensors[count:]
        with torch.enable_grad():
            for i in wrt:
                inputs[i] = inputs[i].detach().requires_grad_()
            results = graph(*inputs)
            pairs = [(results[place], c) for place, c in zip(captured.outputs, cotangents, strict=True)]
            pairs = [(result, cotangent) for result, cotangent in pairs if result.requires_grad]
            sources = [inputs[i] for i in wrt]
            gradients = torch.autograd.grad(
                [result for result, _ in pairs], sources, [cotangent for _, cotangent in pairs], allow_unused=True
            )
        return [torch.zeros_like(s) if g is None else g for s, g in zip(sources, gradients, strict=True)]

    with torch.no_grad():
        results = captured.step.graph(*captured.inputs)
    cotangents = [torch.ones_like(results[place]) for place in captured.outputs]
    return make_fx(product)(*(tensor.detach() for tensor in captured.inputs), *cotangents)
