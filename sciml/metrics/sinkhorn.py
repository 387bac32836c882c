"""Entropic optimal transport between two clouds of points, in the log domain.

M. Cuturi, Sinkhorn Distances: Lightspeed Computation of Optimal Transport, NeurIPS 2013; J. Feydy et al., Interpolating
between Optimal Transport and MMD using Sinkhorn Divergences, AISTATS 2019 (the debiased divergence, eq. 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Cloud = Float[Tensor, "node dim"]

_CHECK_EVERY = 10


@dataclass(frozen=True, slots=True)
class SinkhornTolerance:
    """When the iteration ends.

    Attributes:
        marginal: sum over points of the absolute error of the plan's marginal (total mass is 1).
        iterations: at most; a cloud with NaN or infinite positions runs no further than the first check.
    """

    marginal: float = 1e-4
    iterations: int = 2000


def sinkhorn_divergence(
    x: Cloud,
    y: Cloud,
    *,
    box: Float[Tensor, " dim"] | None = None,
    regularisation: float = 0.05,
    tolerance: SinkhornTolerance | None = None,
) -> Float[Tensor, ""]:
    """OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2 for uniform weights and squared (minimum image) distances.

    Not negative but for rounding, 0 at equality, symmetric up to the tolerance. The entropy's weight is
    ``regularisation`` times the mean cost between x and y, shared by the three terms. Differentiable in both clouds: by
    the envelope theorem the gradient needs the converged potentials alone, not the iteration. Memory is that of a few
    (node, node) matrices.

    Args:
        x, y: positions, as many in each.
        box: periods of the axes; None for free space.
    """
    tolerance = tolerance or SinkhornTolerance()
    between = squared_distances(x, y, box)
    epsilon = regularisation * between.mean()
    cost_x, cost_y = squared_distances(x, x, box), squared_distances(y, y, box)
    own = [_transport(cost, epsilon, tolerance, symmetric=True) for cost in (cost_x, cost_y)]
    return _transport(between, epsilon, tolerance, symmetric=False) - 0.5 * (own[0] + own[1])


def squared_distances(x: Cloud, y: Cloud, box: Float[Tensor, " dim"] | None = None) -> Float[Tensor, "node other"]:
    """Squared distances between the points of two clouds, to the nearest image where ``box`` is given."""
    return minimum_image(x[:, None] - y[None], box).square().sum(-1)


def minimum_image(
    displacement: Float[Tensor, "*any dim"], box: Float[Tensor, " dim"] | None
) -> Float[Tensor, "*any dim"]:
    """The shortest displacement among the periodic images, each component in [-box / 2, box / 2]."""
    return displacement if box is None else displacement - box * torch.round(displacement / box)


def _transport(cost: Tensor, epsilon: Tensor, tolerance: SinkhornTolerance, *, symmetric: bool) -> Tensor:
    """Optimum of the dual problem as a function of cost and epsilon, the potentials held (envelope theorem)."""
    iterate = _symmetric_potentials if symmetric else _potentials
    with torch.no_grad():
        f, g = iterate(cost, epsilon, tolerance)
    log_plan = (f[:, None] + g - cost) / epsilon - math.log(cost.numel())
    return f.mean() + g.mean() + epsilon * (1 - log_plan.exp().sum())


def _potentials(cost: Tensor, epsilon: Tensor, tolerance: SinkhornTolerance) -> tuple[Tensor, Tensor]:
    f, g = cost.new_zeros(cost.shape[0]), cost.new_zeros(cost.shape[1])
    for iteration in range(tolerance.iterations):
        f_next = _soft_minimum(cost - g, epsilon)
        if iteration % _CHECK_EVERY == 0 and not _marginal_error(f, f_next, epsilon) > tolerance.marginal:
            break
        f = f_next
        g = _soft_minimum(cost.T - f, epsilon)
    return f, g


def _symmetric_potentials(cost: Tensor, epsilon: Tensor, tolerance: SinkhornTolerance) -> tuple[Tensor, Tensor]:
    # One potential serves both sides; averaging two sweeps converges in a handful of them (Feydy et al. 2019, section
    # 3.1).
    f = cost.new_zeros(cost.shape[0])
    for _ in range(tolerance.iterations):
        f_next = _soft_minimum(cost - f, epsilon)
        if not _marginal_error(f, f_next, epsilon) > tolerance.marginal:
            break
        f = 0.5 * (f + f_next)
    return f, f


def _soft_minimum(values: Tensor, epsilon: Tensor) -> Tensor:
    """-epsilon log mean exp(-values / epsilon) along the last axis."""
    return -epsilon * (torch.logsumexp(-values / epsilon, dim=-1) - math.log(values.shape[-1]))


def _marginal_error(f: Tensor, f_next: Tensor, epsilon: Tensor) -> float:
    """The plan's row sums are exp((f - f_next) / epsilon) / node; NaN reads as converged, the result is NaN anyway."""
    return float((((f - f_next) / epsilon).exp() - 1).abs().mean())
