"""States of few components as the code generator for processors likes them: one component after the other.

A kernel's vectors run along the axis that is contiguous in memory. For a state of shape (batch, 2) that is the axis of
length two, and the vectors stay empty. So a narrow state is carried as (2, batch), handed to the stepper as a view of
the old shape, and what a vector field stacks along its last axis is stacked along the first instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch._inductor.custom_graph_pass import CustomGraphPass

from ..state import State, leaves, map_state

_NARROW = 16  # components up to which a state is folded
_MANY = 8  # samples from which on a vector is filled


def folds(state: State) -> bool:
    """Whether a program on this state is faster if it is folded."""
    return all(
        leaf.device.type == "cpu" and leaf.shape[0] >= _MANY and leaf.shape[1:].numel() <= _NARROW
        for leaf in leaves(state)
    )


def folded(state: State) -> State:
    """The state with its batch axis last, contiguous."""
    return map_state(lambda leaf: leaf.movedim(0, -1).clone(memory_format=torch.contiguous_format), state)


def unfolded(state: State) -> State:
    """A view of a folded state in its own shape."""
    return map_state(lambda leaf: leaf.movedim(-1, 0), state)


class StackFirst(CustomGraphPass):
    """Concatenate narrow matrices (batch, components) along a first axis instead of their last."""

    def __call__(self, graph: fx.Graph) -> None:
        for node in graph.nodes:
            if node.op == "call_function" and node.target is torch.ops.aten.cat.default and _is_narrow(node):
                with graph.inserting_before(node):
                    parts = [_transposed(graph, part) for part in node.args[0]]
                    joined = graph.call_function(node.target, (parts, 0))
                    joined.meta["val"] = node.target([part.meta["val"] for part in parts], 0)
                    node.replace_all_uses_with(_transposed(graph, joined))
                graph.erase_node(node)

    def uuid(self) -> Any:
        """What a cached program is recognised by; to change with this class."""
        return f"sciml {__name__} 1 {_NARROW} {_MANY}"


def _is_narrow(node: fx.Node) -> bool:
    value = node.meta.get("val")
    dim = node.args[1] if len(node.args) > 1 else 0
    return (
        isinstance(value, Tensor)
        and value.dim() == 2
        and dim in (1, -1)
        and value.shape[0] >= _MANY
        and value.shape[1] <= _NARROW
        and value.device.type == "cpu"
    )


def _transposed(graph: fx.Graph, node: fx.Node) -> fx.Node:
    turned = graph.call_function(torch.ops.aten.permute.default, (node, [1, 0]))
    turned.meta["val"] = node.meta["val"].permute(1, 0)
    return turned
