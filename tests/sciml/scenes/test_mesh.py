"""Meshes: what is inside, exactly, also along edges; files; and surfaces that are not closed."""

from pathlib import Path

import pytest
import torch

from sciml.scenes.mesh import Mesh, read_mesh
from tests.sciml.scenes.meshes import cube


def test_inside_of_a_cube_from_either_winding() -> None:
    vertices, faces = cube()
    points = torch.rand(5000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = ((points - 0.5).abs() < 0.25).all(1)
    for wound in (faces, faces.flip(1)):
        mesh = Mesh(vertices, wound)
        assert mesh.volume == pytest.approx(0.125)
        assert torch.equal(mesh(points) < 0, expected)


def test_rays_through_edges_and_vertices_are_counted_once() -> None:
    """Points straight below the cube's edges, diagonals and corners, and inside on the diagonals."""
    mesh = Mesh(*cube(0.0, 1.0))
    steps = torch.arange(0, 9, dtype=torch.float64) / 8
    points = torch.cartesian_prod(steps, steps, torch.tensor([-0.5, 0.5, 1.5], dtype=torch.float64))
    within = ((points > 0) & (points < 1)).all(1)
    beyond = ((points < 0) | (points > 1)).any(1)
    assert bool((mesh(points)[within] == -1).all()) and bool((mesh(points)[beyond] == 1).all())


def test_a_ball_of_many_faces_and_two_that_overlap() -> None:
    trimesh = pytest.importorskip("trimesh")
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.3)
    vertices, faces = torch.from_numpy(ball.vertices.copy()), torch.from_numpy(ball.faces.copy())
    twice = Mesh(torch.cat([vertices, vertices + 0.1]), torch.cat([faces, faces + len(vertices)]))
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5
    distance = torch.minimum(points.norm(dim=1), (points - 0.1).norm(dim=1)) - 0.3
    clear = distance.abs() > 0.005  # the faces cut the ball's caps off
    assert torch.equal(twice(points)[clear] < 0, distance[clear] < 0)


@pytest.mark.parametrize("suffix", ["obj", "stl", "ply"])
def test_files_are_scaled_and_put_in_place(suffix: str, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    trimesh.creation.box((2.0, 1.0, 1.0)).export(tmp_path / f"box.{suffix}")
    mesh = read_mesh(tmp_path / f"box.{suffix}", size=0.5, center=(0.5, 0.5, 0.5))
    assert mesh.volume == pytest.approx(0.5 * 0.25 * 0.25)
    points = torch.tensor([[0.5, 0.5, 0.5], [0.7, 0.5, 0.5], [0.5, 0.7, 0.5]])
    assert mesh(points).tolist() == [-1.0, -1.0, 1.0]


def test_surfaces_that_are_not_closed_are_refused() -> None:
    vertices, faces = cube()
    with pytest.raises(ValueError, match="3 open edges"):
        Mesh(vertices, faces[1:])
    turned = faces.clone()
    turned[0] = turned[0].flip(0)
    with pytest.raises(ValueError, match="faces wound alike, got 3 edges"):
        Mesh(vertices, turned)
    with pytest.raises(ValueError, match="name vertices 0 to 7"):
        Mesh(vertices, faces + 1)
    with pytest.raises(ValueError, match="finite vertices"):
        Mesh(vertices / 0, faces)


def test_files_that_are_no_meshes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_mesh(tmp_path / "no.obj")
    with pytest.raises(ValueError, match=r"one of .obj, .stl"):
        read_mesh(tmp_path / "scene.blend")
    pytest.importorskip("trimesh")
    (tmp_path / "bad.stl").write_bytes(b"solid nothing at all")
    with pytest.raises(ValueError, match=r"bad\.stl"):
        read_mesh(tmp_path / "bad.stl")
