"""Meshes to test with."""

import torch
from torch import Tensor


def cube(low: float = 0.25, high: float = 0.75) -> tuple[Tensor, Tensor]:
    """Vertices and faces of a cube, wound outwards."""
    vertices = torch.cartesian_prod(*[torch.tensor([low, high], dtype=torch.float64)] * 3)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return vertices, torch.tensor(faces)
