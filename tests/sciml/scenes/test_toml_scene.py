"""Scenes from TOML: what they say, and errors that name the file and the entry."""

import math
from pathlib import Path

import pytest
import torch

from sciml.scenes import NO_SLIP, SLIP, BlueNoise, Contact, read_scene
from tests.sciml.scenes.meshes import cube

WHOLE = """
title = "all of it"
box = [[0, 0], [2, 1]]
cells = 40
gravity = [0.0, -1.0]
walls = { x = "no_slip", y = [{ friction = 0.4 }, "none"] }
duration = 0.5
frames = 11
courant = 0.3
seed = 4
dtype = "float64"

[[bodies]]
name = "block"
shape = { box = [[0.1, 0.1], [0.4, 0.5]] }
material = "jelly"
velocity = [1, 0]
spin = 2

[[bodies]]
shape = { union = [{ sphere = { center = [1.0, 0.5], radius = 0.2 } }, { capsule = { start = [1.0, 0.5], end = [1.4, 0.5], radius = 0.1 } }] }
material = { jelly = { young = 2e4 } }
blue_noise = true

[[bodies]]
shape = { intersection = [{ box = { low = [1.0, 0.0], high = [2.0, 0.5] } }, { half_space = { point = [0, 0.2], normal = [0, 1] } }] }
material = "jelly"
jitter = 0.5

[[emitters]]
shape = { turned = { shape = { box = [[0.1, 0.8], [0.2, 0.9]] }, rotation = 0.3, about = [0.15, 0.85] } }
material = { herschel_bulkley = { exponent = 0.7 } }
velocity = [1.0, 0.0]
until = 0.3

[[obstacles]]
shape = { sphere = { center = [0.7, 0.2], radius = 0.1 } }
contact = "slip"
velocity = [0.1, 0.0]
"""  # noqa: E501


def test_everything_is_read(tmp_path: Path) -> None:
    (tmp_path / "scene.toml").write_text(WHOLE)
    scene = read_scene(tmp_path / "scene.toml")
    assert scene.grid.cells == (40, 20) and scene.dt == pytest.approx(0.05) and scene.dtype == torch.float64
    assert scene.walls == [NO_SLIP, (Contact(friction=0.4), None)]
    assert [body.name for body in scene.bodies] == ["block", "jelly", "jelly"]
    assert scene.bodies[0].material is scene.bodies[2].material and len(scene.materials) == 3
    assert isinstance(scene.bodies[1].pattern, BlueNoise) and scene.bodies[0].spin == 2
    assert scene.obstacles[0].contact == SLIP and scene.obstacles[0].path is not None
    torch.testing.assert_close(scene.obstacles[0].path(torch.tensor([2.0])), torch.tensor([[0.2, 0.0]]))
    masses = [float(scene.cloud.mass[scene.cloud.kind == kind].sum()) for kind in range(2)]
    assert masses[0] == pytest.approx(1000 * (0.3 * 0.4 + 0.2), rel=5e-3)
    both = math.pi * 0.04 + 0.2 * 0.4 + math.pi * 0.005
    assert 1000 * math.pi * 0.04 < masses[1] < 1000 * both


def test_a_mesh_beside_the_file(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    vertices, faces = cube()
    trimesh.Trimesh(vertices.numpy(), faces.numpy()).export(tmp_path / "cube.obj")
    (tmp_path / "scene.toml").write_text(
        'cells = 16\ngravity = [0, 0, -9.81]\n[[bodies]]\nmaterial = "sand"\n'
        'shape = { mesh = { path = "cube.obj", size = 0.4, center = [0.5, 0.5, 0.3] } }\n'
    )
    assert float(read_scene(tmp_path / "scene.toml").cloud.volume.sum()) == pytest.approx(0.4**3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("cells = 40", "cells = "), "is not TOML"),
        (("cells = 40", "cell = 40"), "entries of a scene among bodies, .*; got cell"),
        (("cells = 40", 'cells = "many"'), "not of the kind expected"),
        (('"jelly"', '"jely"'), r"bodies\[0\]: Expected a material, one of jelly.*Did you mean jelly"),
        (("young = 2e4", "yung = 2e4"), r"bodies\[1\]: Expected parameters of jelly: young"),
        (("spin = 2", "spun = 2"), r"bodies\[0\]: Expected entries of this among shape, .*got spun"),
        (("{ sphere = { center = [0.7", "{ ball = { center = [0.7"), r"obstacles\[0\]: Expected a shape, one of box"),
        (("radius = 0.1 }", "size = 0.1 }"), r"bodies\[1\]: Expected entries of capsule among start, end, radius"),
        (('contact = "slip"', 'contact = "glue"'), r"obstacles\[0\]: Expected a contact, one of slip"),
        (('x = "no_slip"', 'z = "no_slip"'), "Expected a table of friction|Expected entries of walls|a contact among"),
        (('dtype = "float64"', 'dtype = "half"'), "dtype float32 or float64"),
        (("until = 0.3", "until = -0.3"), r"emitters\[0\]: Expected 0 <= start <= until"),
        (("jitter = 0.5", "jitter = 0.5\nblue_noise = true"), r"bodies\[2\]: Expected jitter or blue_noise"),
    ],
)
def test_errors_name_the_file_and_the_entry(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    assert change[0] in WHOLE
    (tmp_path / "scene.toml").write_text(WHOLE.replace(*change, 1))
    with pytest.raises(ValueError, match=message) as raised:
        read_scene(tmp_path / "scene.toml")
    assert str(raised.value).startswith(str(tmp_path / "scene.toml"))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_scene(tmp_path / "no.toml")
