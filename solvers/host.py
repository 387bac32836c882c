"""Decisions that are taken in Python, also inside ``torch.func`` transforms.

Under ``vmap`` a tensor stands for one of many, and asking it for a value raises. What the loop asks is whether *any*
sample needs something done; that may be asked of all the mapped ones together, since whatever is then done is masked
per sample.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

# These functions are what PyTorch's own compiler uses; they have no public name in torch 2.8 to 2.13.
_functorch = torch._C._functorch


def plain(tensor: Tensor) -> Tensor:
    """The tensor without the wrappers of ``torch.func``: its mapped axes are there, somewhere in front."""
    while _functorch.is_functorch_wrapped_tensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor


def any_of(mask: Tensor) -> bool:
    """Whether a mask holds anywhere."""
    return bool(plain(mask).any())


def all_of(mask: Tensor) -> bool:
    """Whether a mask holds everywhere."""
    return bool(plain(mask).all())


def count_of(mask: Tensor) -> int:
    """At how many places a mask holds, of all the mapped samples."""
    return int(plain(mask).sum())


def least_of(values: Tensor) -> float:
    """The smallest of some numbers, of all the mapped samples; NaN where there is one."""
    return plain(values).min().item()


def mapped() -> bool:
    """Whether a ``torch.func.vmap`` is being traced: then no shape may depend on values."""
    stack = _functorch.get_interpreter_stack()
    return stack is not None and any(level.key() == _functorch.TransformType.Vmap for level in stack)


def traced() -> bool:
    """Whether operations are transformed or recorded as they are carried out: then none may work in place."""
    if torch.compiler.is_compiling() or _functorch.get_interpreter_stack() is not None:
        return True
    return torch._C._len_torch_dispatch_stack() > 0 or forward_ad._current_level >= 0
