"""Graph neural operators: integrals of a learned kernel over the neighbours of a point."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.kernels.neighbors.radius import Neighbors

from .blocks import MLP, aggregate

# Where neighbours come within reach from outside their weight is near 0; beside this, the sum starts at 0 too.
_FADE = 0.05


class IntegralTransform(nn.Module):
    """g(x) = mean over the sources y within a radius of k(x, y) f(y), or of k(x, y, f(y)).

    Z. Li, Kovachki, Azizzadenesheli, Liu, Bhattacharya, Stuart, Anandkumar, "Neural Operator: Graph Kernel Network for
    Partial Differential Equations", 2020, equation 8. The kernel sees (y - x) / radius and its length, which is both
    points up to a translation. Sources are weighted by (1 - s^2)^2 with s the distance over the radius, so that g is
    continuous in x although the neighbours change.

    Args:
        dim: axes of space.
        features: of f.
        hidden: widths of the kernel's hidden layers.
        out: features of g; those of f where the kernel multiplies it.
        reads: whether the kernel reads f (True) or multiplies it.
        published: the kernel sees y alone, and sources weigh the same, as in GIOROM's released code. Then g depends on
            x only through which sources are within the radius: it is piecewise constant.
    """

    def __init__(
        self, dim: int, features: int, hidden: Sequence[int], out: int, *, reads: bool, published: bool = False
    ) -> None:
        super().__init__()
        if not reads and features != out:
            raise ValueError(f"Expected out={features}, the features that the kernel multiplies, got {out}.")
        inputs = (dim if published else dim + 1) + (features if reads else 0)
        activation: Callable[[], nn.Module] = nn.GELU
        self.kernel = MLP([inputs, *hidden, out], activation=activation)
        self.reads, self.published = reads, published

    def forward(
        self,
        near: Neighbors,
        f: Float[Tensor, "sources feature"],
        y: Float[Tensor, "sources dim"],
        radius: float,
    ) -> Float[Tensor, "queries out"]:
        """g at the queries, 0 where no source is near.

        Args:
            near: sources within ``radius`` of the queries.
            f: at the sources of all samples, one after the other.
            y: their positions, for ``published``.
            radius: that of the search.
        """
        values = f[near.source]
        relative = near.displacement / radius
        length = torch.linalg.vector_norm(relative, dim=-1, keepdim=True)
        place = y[near.source] if self.published else torch.cat([relative, length], dim=-1)
        place = place.to(f.dtype)
        queries = near.shape[0] * near.shape[2]
        kernel = self.kernel(torch.cat([place, values], dim=-1) if self.reads else place)
        kernel = kernel if self.reads else kernel * values
        if self.published:
            return aggregate(kernel, near.target, queries, "mean")
        weight = window(length).to(kernel.dtype)
        total = aggregate(weight, near.target, queries)
        return aggregate(weight * kernel, near.target, queries) / (total + _FADE)


def window(s: Tensor) -> Tensor:
    """(1 - s^2)^2 for s up to 1: a smooth bump that ends at 0 with slope 0."""
    return (1 - s.square()).clamp(min=0.0).square()
