"""The vector field of hidden states."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class LatentField(nn.Module):
    """An autonomous vector field of two hidden layers."""

    def __init__(self, latent: int, *, hidden: int = 50) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, latent),
        )

    def forward(self, t: Float[Tensor, " batch"], z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        return self.layers(z)
