"""Closed triangle meshes as shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

FORMATS = (".obj", ".stl", ".ply", ".off")
_PAIRS = 1 << 21
"""Points and triangles compared at a time."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """What a closed surface encloses: a function of points (..., 3), -1 inside and 1 outside.

    It has no distance, so that it may be a body or an emitter, not an obstacle. Which side a point is on is counted
    along a ray, exactly also where the ray meets edges and vertices; where the surface encloses a place twice, the
    place is inside.

    Args:
        vertices: (vertex, 3).
        faces: indices of vertices, (face, 3), all counter-clockwise seen from one side.

    Raises:
        ValueError: shapes or indices that are wrong, NaN, or a surface that is not closed.
    """

    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]

    def __post_init__(self) -> None:
        vertices = torch.as_tensor(self.vertices, dtype=torch.float64, device="cpu").clone()
        faces = torch.as_tensor(self.faces, device="cpu").to(torch.int64)
        _check_arrays(vertices, faces)
        _check_closed(faces)
        volume = _volume(vertices, faces)
        if volume == 0:
            raise ValueError("Expected a mesh that encloses a volume, got one of volume 0. Is it flat?")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces if volume > 0 else faces.flip(1))  # outwards

    @property
    def volume(self) -> float:
        """What the surface encloses."""
        return _volume(self.vertices, self.faces)

    def __call__(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """-1 inside, 1 outside."""
        flat = points.detach().reshape(-1, points.shape[-1]).to("cpu", torch.float64)
        if flat.shape[-1] != 3:
            raise ValueError(f"Expected points in 3D, got {flat.shape[-1]}D: a mesh encloses no area.")
        inside = _windings(self.vertices[self.faces], flat) > 0
        return torch.where(inside, -1.0, 1.0).to(points).reshape(points.shape[:-1])


def read_mesh(path: str | Path, *, size: float | None = None, center: Sequence[float] | None = None) -> Mesh:
    """A closed mesh from an OBJ, STL, PLY or OFF file; materials and textures are not looked at.

    Args:
        path: of the file.
        size: what its longest side is scaled to; as in the file by default.
        center: where the middle of its bounding box is put; as in the file by default.

    Raises:
        ValueError: trimesh is not installed; another format; a file that cannot be read; a surface that is not closed.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"Expected a mesh in one of {', '.join(FORMATS)}, got {path}. Convert it.")
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    found: Any = _loaded(path)
    vertices, faces = np.asarray(found.vertices), np.asarray(found.faces)
    if len(faces) == 0:
        raise ValueError(f"{path}: has no triangles. Expected a closed surface.")
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    middle = (low + high) / 2
    scale = 1.0 if size is None else size / float((high - low).max())
    target = middle if center is None else np.asarray(center, dtype=np.float64)
    try:
        return Mesh(torch.from_numpy((vertices - middle) * scale + target), torch.from_numpy(faces.astype(np.int64)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _loaded(path: Path) -> Any:
    try:
        import trimesh
    except ImportError:
        raise ValueError(f"{path}: meshes are read by trimesh. Install it: pip install 'sciml[meshes]'.") from None
    options = {"skip_materials": True} if path.suffix.lower() == ".obj" else {}
    try:
        return trimesh.load_mesh(path, **options)
    except Exception as error:  # whatever a damaged file makes of it
        raise ValueError(f"{path}: is not a mesh that can be read: {error}.") from None


def _check_arrays(vertices: Tensor, faces: Tensor) -> None:
    if vertices.dim() != 2 or vertices.shape[1] != 3 or faces.dim() != 2 or faces.shape[1] != 3 or len(faces) == 0:
        raise ValueError(
            f"Expected vertices (vertex, 3) and faces (face, 3), got {tuple(vertices.shape)} and {tuple(faces.shape)}."
        )
    if not bool(torch.isfinite(vertices).all()):
        raise ValueError("Expected finite vertices, got NaN or infinity.")
    if int(faces.min()) < 0 or int(faces.max()) >= len(vertices):
        raise ValueError(
            f"Expected faces to name vertices 0 to {len(vertices) - 1}, got {int(faces.min())} to {int(faces.max())}."
        )


def _check_closed(faces: Tensor) -> None:
    """Every edge is passed as often in one direction as in the other: the surface has no rim."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    low, high = edges.amin(1), edges.amax(1)
    pairs, where = torch.stack([low, high], dim=1).unique(dim=0, return_inverse=True)
    forward = edges[:, 0] < edges[:, 1]
    balance = torch.zeros(len(pairs), dtype=torch.int64).index_add(0, where, torch.where(forward, 1, -1))
    times = torch.zeros(len(pairs), dtype=torch.int64).index_add(0, where, torch.ones_like(where))
    if not bool(balance.any()):
        return
    open_edges = int((times % 2 == 1).sum())
    if open_edges:
        raise ValueError(
            f"Expected a closed surface, got one with {open_edges} open edges of {len(pairs)}. Merge vertices that are "
            "there twice and close its holes, with trimesh.repair or a mesh editor."
        )
    raise ValueError(
        f"Expected faces wound alike, got {int((balance != 0).sum())} edges between faces of opposite sense. Turn "
        "them: trimesh.repair.fix_normals(mesh)."
    )


def _volume(vertices: Tensor, faces: Tensor) -> float:
    first, second, third = (vertices - vertices.mean(0))[faces].unbind(1)
    return float((first * torch.linalg.cross(second, third)).sum() / 6)


def _windings(triangles: Float[Tensor, "face 3 3"], points: Float[Tensor, "point 3"]) -> Int[Tensor, " point"]:
    """How often the surface winds around each point: crossings of the ray upwards from it, by direction."""
    count = torch.zeros(len(points), dtype=torch.int64)
    low, high = triangles.amin((0, 1)), triangles.amax((0, 1))
    near = ((points >= low) & (points <= high)).all(1).nonzero().flatten()
    columns = _Columns.of(triangles, low[:2], high[:2])
    cell = columns.cell(points[near, :2])
    cell = cell[:, 0] * columns.count + cell[:, 1]
    start, number = columns.start[cell], columns.start[cell + 1] - columns.start[cell]
    for part in _portions(number):
        rows = near[part].repeat_interleave(number[part])
        first = start[part].repeat_interleave(number[part])
        before = (number[part].cumsum(0) - number[part]).repeat_interleave(number[part])
        faces = columns.face[first + torch.arange(len(rows)) - before]
        count.index_add_(0, rows, _crossings(triangles[faces], points[rows]))
    return count


@dataclass(frozen=True)
class _Columns:
    """Triangles by the columns, of a square grid in x and y, that they reach into.

    Attributes:
        face: triangles of one column after the other.
        start: where each column's begin in ``face``, and its end.
        count: columns along each axis.
    """

    face: Tensor
    start: Tensor
    count: int
    low: Tensor
    width: Tensor

    @classmethod
    def of(cls, triangles: Tensor, low: Tensor, high: Tensor) -> _Columns:
        count = int(min(max(len(triangles) ** 0.5, 1), 512))
        width = ((high - low) / count).clamp_min(torch.finfo(low.dtype).tiny)
        empty = cls(torch.empty(0), torch.empty(0), count, low, width)
        first, last = empty.cell(triangles[..., :2].amin(1)), empty.cell(triangles[..., :2].amax(1))
        extent = last - first + 1
        number = extent.prod(1)
        face = torch.arange(len(triangles)).repeat_interleave(number)
        local = torch.arange(len(face)) - (number.cumsum(0) - number)[face]
        column = (first[face, 0] + local // extent[face, 1]) * count + first[face, 1] + local % extent[face, 1]
        order = column.argsort(stable=True)
        start = torch.searchsorted(column[order].contiguous(), torch.arange(count**2 + 1))
        return cls(face[order], start, count, low, width)

    def cell(self, points: Tensor) -> Tensor:
        return ((points - self.low) / self.width).long().clamp(0, self.count - 1)


def _portions(number: Tensor) -> list[slice]:
    """Runs of points with a bounded number of triangles in all."""
    portion = (number.cumsum(0) - number) // _PAIRS
    ends = torch.searchsorted(portion, torch.arange(int(portion[-1]) + 2 if len(portion) else 1)).tolist()
    return [slice(a, b) for a, b in pairwise(ends) if a < b]


def _crossings(triangles: Float[Tensor, "pair 3 3"], points: Float[Tensor, "pair 3"]) -> Int[Tensor, " pair"]:
    """1 where the ray leaves through a triangle above, -1 where it enters, 0 where it misses."""
    sides, weights = [], []
    for k in range(3):
        start, end = triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        area, turned = _area(start[:, :2], end[:, :2], points[:, :2])
        side = torch.where(area >= 0, 1, -1)  # a point on the edge lies to its left: for both of its triangles
        sides.append(torch.where(turned, -side, side))
        weights.append(torch.where(turned, -area, area))
    total = sum(sides)
    weight = torch.stack(weights, dim=1)
    whole = weight.sum(1)
    height = (weight * triangles[..., 2]).sum(1) / torch.where(whole == 0, torch.ones_like(whole), whole)
    above = (height > points[:, 2]) & (whole != 0)
    return torch.where(above & (total == 3), 1, 0) - torch.where(above & (total == -3), 1, 0)


def _area(start: Tensor, end: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the signed area of (start, end, point), the same to the bit from both triangles at an edge, up to its sign.

    It is computed from the end that comes first in x, then y; the second result says where that was ``end``. Taking
    zero for left then amounts to moving the point by an infinitesimal amount, the same for all edges.
    """
    turned = (end[:, 0] < start[:, 0]) | ((end[:, 0] == start[:, 0]) & (end[:, 1] < start[:, 1]))
    first, second = torch.where(turned[:, None], end, start), torch.where(turned[:, None], start, end)
    along, to = second - first, point - first
    return along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0], turned
