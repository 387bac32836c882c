"""How far two clouds of points are from each other, whatever their order and number.

H. Fan, H. Su, L. Guibas, A Point Set Generation Network for 3D Object Reconstruction from a Single Image, CVPR 2017,
eq. 1, with means in place of sums.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from sciml.kernels.neighbors.nearest import nearest_neighbors

Cloud = Float[Tensor, "batch node dim"]
Other = Float[Tensor, "batch other dim"]
Box = Sequence[float] | Float[Tensor, " dim"]


def chamfer_distance(
    x: Cloud,
    y: Other,
    *,
    box: Box | None = None,
    average: bool = False,
    x_mask: Bool[Tensor, "batch node"] | None = None,
    y_mask: Bool[Tensor, "batch other"] | None = None,
) -> Float[Tensor, " batch"]:
    """mean_x min_y |x - y|^2 + mean_y min_x |x - y|^2, in the coordinates' unit squared.

    By an exact search of nearest points, so that clouds of 100,000 need no matrix of distances. Differentiable: the
    gradient is that of the pairs which are nearest. 0 for the same set of points, and only then.

    Args:
        x, y: in one to three dimensions; as many points in each as there are.
        box: periods of the axes (inf where open); None for free space.
        average: half the sum, as some define it.
        x_mask, y_mask: True where there is a point.

    Raises:
        ValueError: a sample without points, NaN or infinite positions, or shapes that do not fit.
    """
    there = _mean_square(nearest_neighbors(y, x, count=1, period=box, mask=y_mask, query_mask=x_mask).distance, x_mask)
    back = _mean_square(nearest_neighbors(x, y, count=1, period=box, mask=x_mask, query_mask=y_mask).distance, y_mask)
    return (there + back) / 2 if average else there + back


def _mean_square(distance: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return distance[..., 0].square().mean(-1)
    mask = mask.to(distance.device)
    return distance[..., 0].masked_fill(~mask, 0.0).square().sum(-1) / mask.sum(-1)
