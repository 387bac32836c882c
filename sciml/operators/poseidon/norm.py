"""Layer norms, plain or with a scale and a shift that depend on the lead time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ConditionalLayerNorm(nn.Module):
    """A layer norm over the last axis, its scale and its shift affine in the lead time.

    The variance is computed in two passes: the reference's E[x^2] - E[x]^2 turns negative, and the result NaN, where
    features are large beside their spread.
    """

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.features, self.eps = features, eps
        self.weight = nn.Linear(1, features)
        self.bias = nn.Linear(1, features)

    def forward(
        self, x: Float[Tensor, "batch *grid feature"], time: Float[Tensor, " times"]
    ) -> Float[Tensor, "batch *grid feature"]:
        lead = time[:, None].to(self.weight.weight.dtype)
        shape = (len(time), *(1,) * (x.dim() - 2), self.features)
        scale, shift = self.weight(lead).reshape(shape), self.bias(lead).reshape(shape)
        return torch.addcmul(shift, F.layer_norm(x, (self.features,), eps=self.eps), scale)


class PlainLayerNorm(nn.LayerNorm):
    """An ordinary layer norm, which takes no notice of the lead time."""

    def forward(
        self, x: Float[Tensor, "batch *grid feature"], time: Tensor | None = None
    ) -> Float[Tensor, "batch *grid feature"]:
        return super().forward(x)


def layer_norm(features: int, *, conditional: bool, eps: float = 1e-5) -> nn.Module:
    """A norm called as ``norm(x, time)``."""
    return ConditionalLayerNorm(features, eps) if conditional else PlainLayerNorm(features, eps=eps)
