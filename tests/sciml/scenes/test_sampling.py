"""Points in shapes: their number, their distances, and the volume that they stand for."""

import math

import pytest
import torch

from sciml.scenes.mesh import Mesh
from sciml.scenes.sampling import BlueNoise, Regular, Room, volume
from sciml.solvers.signed_distance import box, capsule, complement, intersection, sphere, turned
from tests.sciml.scenes.meshes import cube

SQUARE, CUBE = Room((0.0, 0.0), (1.0, 1.0)), Room((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SHELL = intersection(sphere((0.5, 0.5, 0.5), 0.4), complement(sphere((0.5, 0.5, 0.5), 0.25)))
ROD = capsule((0.3, 0.5, 0.5), (0.7, 0.6, 0.5), 0.15)
SHAPES = {
    "disk": (sphere((0.5, 0.52), 0.31), SQUARE, math.pi * 0.31**2, 2e-3),
    "rectangle": (box((0.21, 0.33), (0.55, 0.7)), SQUARE, 0.34 * 0.37, 2e-3),
    "turned": (turned(box((0.21, 0.33), (0.55, 0.7)), 0.4, (0.4, 0.5)), SQUARE, 0.34 * 0.37, 2e-3),
    "ball": (sphere((0.5, 0.5, 0.5), 0.31), CUBE, 4 / 3 * math.pi * 0.31**3, 3e-3),
    "rod": (ROD, CUBE, math.pi * 0.15**2 * math.hypot(0.4, 0.1) + 4 / 3 * math.pi * 0.15**3, 3e-3),
    "shell": (SHELL, CUBE, 4 / 3 * math.pi * (0.4**3 - 0.25**3), 5e-3),
    "mesh": (Mesh(*cube()), CUBE, 0.125, 1e-12),
    "indicator": (lambda x: torch.where(x[:, 0] < 0.5, -1.0, 1.0), SQUARE, 0.5, 0.1),
}  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", SHAPES)
def test_the_volume_is_that_of_the_shape(name: str) -> None:
    shape, room, expected, tolerance = SHAPES[name]
    points = Regular().points(shape, room, 1 / 24, generator())
    assert volume(shape, points, 1 / 24) == pytest.approx(expected, rel=tolerance)
    assert len(points) == pytest.approx(expected * 24 ** len(room.low), rel=0.1)


def test_a_lattice_is_aligned_with_the_room() -> None:
    points = Regular().points(box((0.0, 0.0), (0.5, 0.25)), SQUARE, 1 / 8, generator())
    assert points.tolist() == [[(i + 0.5) / 8, (j + 0.5) / 8] for i in range(4) for j in range(2)]


def test_jitter_moves_points_as_far_as_it_says() -> None:
    whole = box((-1.0, -1.0), (2.0, 2.0))
    still, moved = (Regular(jitter).points(whole, SQUARE, 1 / 8, generator()) for jitter in (0.0, 0.5))
    assert 0.02 < float((moved - still).abs().max()) <= 0.25 / 8
    assert torch.equal(moved, Regular(0.5).points(whole, SQUARE, 1 / 8, generator()))
    with pytest.raises(ValueError, match="jitter from 0 to 1"):
        Regular(-0.1)


@pytest.mark.parametrize("name", ["disk", "ball"])
def test_blue_noise_keeps_its_distance_and_leaves_no_holes(name: str) -> None:
    shape, room, expected, _ = SHAPES[name]
    spacing, dim = 1 / 20, len(room.low)
    points = BlueNoise().points(shape, room, spacing, generator(3))
    between = torch.cdist(points, points).fill_diagonal_(1.0)
    assert float(between.min()) > 0.8 * spacing
    assert float(between.amin(1).max()) < 1.7 * spacing
    assert len(points) == pytest.approx(expected * 20**dim, rel=0.15)
    assert torch.equal(points, BlueNoise().points(shape, room, spacing, generator(3)))


def test_shapes_that_return_something_else() -> None:
    with pytest.raises(ValueError, match="got NaN from the shape at"):
        Regular().points(lambda x: x[:, 0] / 0 * 0, SQUARE, 0.1, generator())
    with pytest.raises(ValueError, match="a distance for each of"):
        Regular().points(lambda x: x, SQUARE, 0.1, generator())
