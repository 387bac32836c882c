"""The relative losses of the neuraloperator library, for each sample, time step and channel.

J. Kossaifi et al., A Library for Learning Neural Operators, 2024. The library sums its values over samples and channels
and its trainer divides by the number of samples: ``relative_l2(p, y).sum() / len(y)`` for one time step is the number
it prints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .metric import Metric
from .pair import Trajectories, field_pair, space_axes

EPS = 1e-8

PerStep = Float[Tensor, "batch time channel"]


def relative_l2(prediction: Trajectories, target: Trajectories) -> PerStep:
    """||e|| / (||y|| + 1e-8), norms over space."""
    prediction, target = field_pair(prediction, target)
    return _norm([prediction - target]) / (_norm([target]) + EPS)


def relative_h1(prediction: Trajectories, target: Trajectories, *, extents: Sequence[float] | None = None) -> PerStep:
    """The same for the norm of the field and its gradient by central differences on a periodic grid.

    Args:
        extents: length of the domain along each spatial axis (1 each).
    """
    prediction, target = field_pair(prediction, target)
    extents = extents or (1.0,) * (target.ndim - 3)
    return _norm(_with_gradient(prediction - target, extents)) / (_norm(_with_gradient(target, extents)) + EPS)


def _norm(terms: list[Tensor]) -> Tensor:
    return torch.linalg.vector_norm(torch.stack(terms).flatten(4), dim=(0, -1))


def _with_gradient(u: Tensor, extents: Sequence[float]) -> list[Tensor]:
    gradient = [
        (u.roll(-1, axis) - u.roll(1, axis)) * (u.shape[axis] / (2 * extent))
        for axis, extent in zip(space_axes(u), extents, strict=True)
    ]
    return [u, *gradient]


def _mean_l2(prediction: Tensor, target: Tensor) -> Tensor:
    return relative_l2(prediction, target).mean()


def _mean_h1(prediction: Tensor, target: Tensor) -> Tensor:
    return relative_h1(prediction, target).mean()


METRICS = {
    "neuralop/L2": Metric("L2", "mean_btc ||e|| / (||y|| + 1e-8)", _mean_l2),
    "neuralop/H1": Metric("H1", "mean_btc ||e||_H1 / (||y||_H1 + 1e-8), periodic central differences", _mean_h1),
}
