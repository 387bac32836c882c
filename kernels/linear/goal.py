"""When a solve has arrived."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Goal(NamedTuple):
    """The norm of the residual is at most max(rtol * reference, atol).

    Attributes:
        rtol: of each sample.
        atol: of each sample.
        initial: the reference is the norm of the first residual, not that of b.
    """

    rtol: Float[Tensor, " batch"]
    atol: Float[Tensor, " batch"]
    initial: bool

    def norm(self, b: Float[Tensor, "batch n"], residual: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """That bound, from b and the norm of the first residual."""
        reference = residual if self.initial else torch.linalg.vector_norm(b.double(), dim=1)
        return torch.maximum(self.rtol.double() * reference, self.atol.double())
