"""States: a tensor, or a tuple, list or dict of tensors, that share their leading batch axis.

Everything the loop does to a state goes through these few functions, so that a particle cloud with its material
variables is stepped by the same code as one field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils import _pytree as pytree  # the public face of this module has no stable name in torch 2.8 to 2.13

State: TypeAlias = Any
"""A tensor of shape (batch, ...), or a tuple, list or dict of such tensors."""


def map_state(function: Callable[..., Any], *states: State) -> State:
    """Apply ``function`` leaf by leaf to one or more states of the same structure."""
    if isinstance(states[0], Tensor):  # the loop is here a dozen times a step: a plain tensor takes the short way
        return function(*states)
    return pytree.tree_map(function, *states)


def leaves(state: State) -> list[Any]:
    """The tensors of a state, in a fixed order."""
    return [state] if isinstance(state, Tensor) else pytree.tree_leaves(state)


def batch_of(state: State, name: str = "y0") -> int:
    """The length of the batch axis that all tensors of the state share.

    Raises:
        ValueError: a leaf is not a tensor, has no batch axis, or the leaves disagree.
    """
    found = leaves(state)
    if not found:
        raise ValueError(f"Expected {name} to hold at least one tensor, got {state!r}.")
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"Expected {name} to hold tensors, got {type(leaf).__name__}. Convert it: torch.as_tensor."
            )
        if leaf.dim() == 0:
            raise ValueError(f"Expected {name} of shape (batch, ...), got a scalar. Add the batch axis: {name}[None].")
    sizes = {leaf.shape[0] for leaf in found}
    if len(sizes) > 1:
        raise ValueError(f"Expected the tensors of {name} to share their batch axis, got lengths {sorted(sizes)}.")
    return sizes.pop()


def broadcast(value: Tensor, leaf: Tensor) -> Tensor:
    """Shape a per-sample ``value`` (batch,) so that it multiplies ``leaf`` (batch, ...), in the leaf's real dtype."""
    shaped = value.reshape((-1,) + (1,) * (leaf.dim() - 1)) if leaf.dim() > 1 else value
    return shaped if shaped.dtype == torch.bool or shaped.dtype == leaf.dtype else shaped.to(real_dtype(leaf))


def where(mask: Tensor, new: State, old: State) -> State:
    """Take ``new`` for the samples where ``mask`` (batch,) holds, ``old`` elsewhere; neither's NaNs leak."""
    return map_state(lambda a, b: torch.where(broadcast(mask, a), a, b), new, old)


def real_dtype(leaf: Tensor) -> torch.dtype:
    """The dtype of the leaf's real part."""
    return leaf.real.dtype if leaf.is_complex() else leaf.dtype


def select(state: State, rows: Tensor) -> State:
    """The samples ``rows`` of a state, or of None."""
    return None if state is None else map_state(lambda leaf: leaf[rows], state)


def rms_norm(state: State) -> Tensor:
    """Root mean square over everything but the batch axis, (batch,); tensors of a structure weigh by their size.

    ``vector_norm`` and not ``square().mean().sqrt()``: the gradient of the latter is NaN at an exactly zero error.
    """
    flat = [leaf if leaf.dim() == 2 else leaf.reshape(leaf.shape[0], -1) for leaf in leaves(state)]
    total = sum(leaf.shape[1] for leaf in flat)
    norms = [torch.linalg.vector_norm(leaf, dim=1) for leaf in flat]
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return norm / max(total, 1) ** 0.5


def max_norm(state: State) -> Tensor:
    """Largest modulus over everything but the batch axis, (batch,)."""
    return torch.stack([leaf.reshape(leaf.shape[0], -1).abs().amax(dim=1) for leaf in leaves(state)]).amax(dim=0)


def all_finite(state: State) -> Tensor:
    """Whether each sample is free of NaN and infinity, (batch,)."""
    flags = [torch.isfinite(leaf).reshape(leaf.shape[0], -1).all(dim=1) for leaf in leaves(state)]
    return torch.stack(flags).all(dim=0)
