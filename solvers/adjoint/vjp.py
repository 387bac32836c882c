"""Vector-Jacobian products over states, and the bookkeeping around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def inexact(tensor: Any) -> bool:
    """Whether gradients can flow through it."""
    return isinstance(tensor, Tensor) and (tensor.is_floating_point() or tensor.is_complex())


def tracked(tree: Any) -> Any:
    """The same tree with its tensors cut from their history and requiring gradients."""
    return pytree.tree_map(lambda leaf: leaf.detach().requires_grad_() if inexact(leaf) else leaf, tree)


def inexact_leaves(tree: Any) -> list[Tensor]:
    """The tensors of a tree that gradients can flow through, in a fixed order."""
    return [leaf for leaf in pytree.tree_leaves(tree) if inexact(leaf)]


def vjp(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    *,
    differentiably: bool = False,
) -> list[Tensor | None]:
    """The gradients of sum_i <cotangents_i, outputs_i>, None for inputs that it does not depend on."""
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if c is not None and o.requires_grad]
    if not pairs or not inputs:
        return [None] * len(inputs)
    # Results made before this graph (an encoder's output) may be walked again: what is theirs must not be freed.
    return list(
        torch.autograd.grad(
            [o for o, _ in pairs],
            list(inputs),
            [c for _, c in pairs],
            retain_graph=True,
            create_graph=differentiably,
            allow_unused=True,
        )
    )


def plus(total: Tensor | None, term: Tensor | None) -> Tensor | None:
    """Their sum, None standing for zero."""
    if total is None or term is None:
        return term if total is None else total
    return total + term


def filled(gradient: Tensor | None, like: Tensor) -> Tensor:
    """The gradient, zeros for None."""
    return torch.zeros_like(like) if gradient is None else gradient
