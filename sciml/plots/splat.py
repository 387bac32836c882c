"""Clouds of points as pictures: each point a small ball, the nearest one seen, in plain NumPy.

Fast enough for films of a hundred thousand points: all balls are painted at once into a buffer of depths, at twice the
size of the picture, which is then halved so that edges are smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

_FINER = 2
_LIGHT = np.array([-0.4, 0.65, 0.65]) / np.linalg.norm([-0.4, 0.65, 0.65])
"""Towards the light: right, up and towards the eye."""
_BACKGROUND = np.array([255.0, 255.0, 255.0])
_EDGE = np.array([185.0, 185.0, 185.0])


@dataclass(frozen=True)
class View:
    """A box as seen from far away, without perspective.

    Attributes:
        low, high: corners of the box, of 2 or 3 numbers.
        up: the axis that points up.
        azimuth, elevation: of the eye, in degrees, in 3D.
        width: of the picture, in pixels.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    up: int = -1
    azimuth: float = 35.0
    elevation: float = 20.0
    width: int = 480

    @property
    def frame(self) -> Float[np.ndarray, "3 d"]:
        """Unit vectors to the right, up and towards the eye."""
        dim, up = len(self.low), self.up % len(self.low)
        if dim == 2:
            return np.array([np.eye(2)[1 - up], np.eye(2)[up], [0.0, 0.0]])
        first, second = np.eye(3)[(up + 1) % 3], np.eye(3)[(up + 2) % 3]
        around, above = np.deg2rad(self.azimuth), np.deg2rad(self.elevation)
        away = -np.sin(around) * first - np.cos(around) * second  # horizontal, towards the eye
        if up == 1:  # the axes are then z and x: x to the right, as in a flat drawing
            away = np.cos(around) * first + np.sin(around) * second
        eye = np.cos(above) * away + np.sin(above) * np.eye(3)[up]
        right = np.cross(np.eye(3)[up], away)
        return np.stack([right, np.cross(eye, right), eye])

    @property
    def corners(self) -> Float[np.ndarray, "corner d"]:
        """Of the box."""
        grid = np.meshgrid(*zip(self.low, self.high), indexing="ij")
        return np.stack([axis.ravel() for axis in grid], axis=1)

    @property
    def scale(self) -> float:
        """Pixels of the picture in a unit of length."""
        across = self.corners @ self.frame[0]
        return 0.94 * self.width / float(np.ptp(across))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture; even, as films want it."""
        upwards = float(np.ptp(self.corners @ self.frame[1])) * self.scale
        return self.width // 2 * 2, int(upwards + 0.06 * self.width) // 2 * 2

    def project(self, points: Float[np.ndarray, "point d"]) -> Float[np.ndarray, "point 3"]:
        """Pixels to the right and down, and depth towards the eye in pixels; a box fills the middle."""
        seen, corners = points @ self.frame.T, self.corners @ self.frame.T
        middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
        width, height = self.size
        centred = (seen - middle) * self.scale
        return np.stack([width / 2 + centred[:, 0], height / 2 - centred[:, 1], centred[:, 2]], axis=1)


def splat(
    points: Float[np.ndarray, "point d"], colours: Float[np.ndarray, "point 3"], radius: float, view: View
) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of points as balls, or as disks in 2D.

    Args:
        points: positions; those that are not finite are left out.
        colours: of each, from 0 to 1.
        radius: of a ball, in units of length.
        view: from where.
    """
    flat = len(view.low) == 2
    width, height = (_FINER * pixels for pixels in view.size)
    canvas = np.empty((height, width, 3))
    canvas[:] = _BACKGROUND
    _draw_box(canvas, view)
    finite = np.isfinite(points).all(axis=1)
    seen = _FINER * view.project(points[finite].astype(np.float64))
    reach = max(_FINER * radius * view.scale, 1.0)
    nearest, owner = _buffer(seen, reach, width, height)
    rows, columns = np.nonzero(owner >= 0)
    ids = owner[rows, columns]
    shade = np.ones(len(ids)) if flat else _shade(seen[ids], columns, rows, reach, nearest, (rows, columns))
    canvas[rows, columns] = 255 * colours[finite][ids] * shade[:, None]
    halved = canvas.reshape(height // _FINER, _FINER, width // _FINER, _FINER, 3).mean(axis=(1, 3))
    return halved.round().clip(0, 255).astype(np.uint8)


def _buffer(seen: np.ndarray, reach: float, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth of what is nearest to the eye at each pixel, -inf for nothing, and whose it is, -1 for nobody's."""
    ends = int(np.ceil(reach))
    offsets = [(i, j) for i in range(-ends, ends + 1) for j in range(-ends, ends + 1) if i * i + j * j <= reach * reach]
    # Far to near: of points in one pixel the last one stays, so that each offset is a plain assignment.
    order = np.argsort(seen[:, 2], kind="stable")
    x, y, depth = np.floor(seen[order, 0]).astype(int), np.floor(seen[order, 1]).astype(int), seen[order, 2]
    nearest, owner = np.full(height * width, -np.inf), np.full(height * width, -1)
    for i, j in offsets:
        column, row = x + i, y + j
        valid = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = row[valid] * width + column[valid]
        front = depth[valid] + np.sqrt(max(reach * reach - i * i - j * j, 0.0))
        closer = front >= nearest[pixel]
        nearest[pixel[closer]], owner[pixel[closer]] = front[closer], order[valid][closer]
    return nearest.reshape(height, width), owner.reshape(height, width)


def _shade(
    centres: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    reach: float,
    nearest: np.ndarray,
    at: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Light on the balls, darker in gaps and behind edges (eye-dome lighting), fainter far away."""
    right, up = (columns + 0.5 - centres[:, 0]) / reach, -(rows + 0.5 - centres[:, 1]) / reach
    towards = np.sqrt(np.clip(1 - right**2 - up**2, 0.0, 1.0))
    light = np.clip(right * _LIGHT[0] + up * _LIGHT[1] + towards * _LIGHT[2], 0.0, 1.0)
    own = nearest[at]
    hidden = np.zeros(len(own))
    distance = max(2, round(1.5 * reach))
    padded = np.pad(nearest, distance, constant_values=-np.inf)
    for i, j in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        other = padded[at[0] + distance + i * distance, at[1] + distance + j * distance]
        hidden += np.clip((other - own) / (6 * reach), 0.0, 1.0)  # nothing there is far behind
    far = np.clip((own.max(initial=0.0) - own) / max(float(np.ptp(own)) if len(own) else 1.0, 1e-9), 0.0, 1.0)
    return (0.6 + 0.5 * light).clip(0, 1) * np.exp(-0.35 * hidden) * (1 - 0.15 * far)


def _draw_box(canvas: np.ndarray, view: View) -> None:
    """The edges of the box, behind everything."""
    corners = view.corners
    pixels = _FINER * view.project(corners)
    for a in range(len(corners)):
        for b in range(a + 1, len(corners)):
            if (corners[a] != corners[b]).sum() == 1:
                _draw_line(canvas, pixels[a], pixels[b])


def _draw_line(canvas: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
    steps = int(2 * max(abs(end[0] - start[0]), abs(end[1] - start[1]))) + 1
    along = np.linspace(0.0, 1.0, steps)
    x = np.clip((start[0] + along * (end[0] - start[0])).astype(int), 0, canvas.shape[1] - 2)
    y = np.clip((start[1] + along * (end[1] - start[1])).astype(int), 0, canvas.shape[0] - 2)
    for i in (0, 1):
        canvas[y + i, x + i] = _EDGE
