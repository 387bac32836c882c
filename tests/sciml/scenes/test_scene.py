"""Scenes: mass, momentum and types of their points, and what is refused."""

import math

import pytest
import torch

from sciml.scenes import (
    NO_SLIP,
    SLIP,
    BlueNoise,
    Body,
    Emitter,
    Mesh,
    Obstacle,
    Regular,
    Scene,
    box,
    fluid,
    half_space,
    intersection,
    jelly,
    material_named,
    sand,
    sphere,
    water,
)
from tests.sciml.scenes.meshes import cube

DISK = sphere((0.5, 0.6), 0.2)


@pytest.mark.parametrize("pattern", [Regular(), Regular(0.7), BlueNoise()])
def test_mass_and_momentum_are_those_of_the_bodies(pattern: Regular | BlueNoise) -> None:
    scene = Scene(
        [Body(sphere((0.3, 0.3), 0.15), jelly(density=500.0), (1.0, -2.0), spin=3.0, pattern=pattern)], cells=32
    )
    mass, velocity = scene.cloud.mass, scene.cloud.velocity
    assert float(mass.sum()) == pytest.approx(500 * math.pi * 0.15**2, rel=2e-3)
    torch.testing.assert_close((mass @ velocity) / mass.sum(), torch.tensor([1.0, -2.0], dtype=torch.float64))
    arm = scene.cloud.position - scene.cloud.position.mean(0)
    turning = arm[:, 0] * velocity[:, 1] - arm[:, 1] * velocity[:, 0]
    assert float(turning.sum() / arm.square().sum()) == pytest.approx(3.0)


def test_spin_in_space_is_the_cross_product() -> None:
    scene = Scene([Body(Mesh(*cube()), jelly(), spin=(0.0, 0.0, 2.0))], cells=8, gravity=(0.0, 0.0, -9.81))
    arm = scene.cloud.position - scene.cloud.position.mean(0)
    expected = torch.stack([-2 * arm[:, 1], 2 * arm[:, 0], 0 * arm[:, 0]], dim=1)
    torch.testing.assert_close(scene.cloud.velocity, expected)


def test_points_per_cell_and_spacing() -> None:
    def points(**filling: float) -> int:
        return len(Scene([Body(box((0.0, 0.0), (0.5, 0.5)), jelly(), **filling)], cells=16).cloud.kind)  # type: ignore[arg-type]

    assert points() == 4 * 64 and points(points_per_cell=9) == 9 * 64 and points(spacing=1 / 64) == 32 * 32


def test_bodies_of_one_material_have_one_type() -> None:
    shared = jelly()
    left, right, above = (sphere(center, 0.1) for center in ((0.2, 0.3), (0.8, 0.3), (0.5, 0.8)))
    scene = Scene([Body(left, shared), Body(right, sand()), Body(above, shared)], cells=16)
    types = scene.particle_types()
    assert len(scene.materials) == 2 and types.unique_consecutive().tolist() == [0, 1, 0]
    state = scene.state()
    step = scene.stepper()(torch.zeros(1, dtype=torch.float64), torch.full((1,), 0.01, dtype=torch.float64), state)
    assert state["position"].dtype == torch.float32 and step.y["position"].shape == (1, len(types), 2)


def test_walls_stand_at_the_faces_of_the_box() -> None:
    """A pool at rest stays in the box, which need not begin at zero."""
    scene = Scene([Body(box((-1.0, 2.0), (1.0, 2.5)), water())], box=((-1.0, 2.0), (1.0, 3.0)), cells=16)
    assert scene.grid.cells == (16, 8) and scene.grid.spacing == 0.125
    y, t = scene.state(), torch.zeros(1, dtype=torch.float64)
    y = scene.stepper()(t, t + 0.2, y).y
    low, high = y["position"][0].amin(0), y["position"][0].amax(0)
    assert bool((low >= torch.tensor([-1.0, 2.0])).all()) and float(high[0]) <= 1.0
    assert float(y["position"][0, :, 1].mean()) == pytest.approx(2.25, abs=0.03)


def test_emitters_let_batches_in_without_gaps() -> None:
    jet = Emitter(box((0.0, 0.5), (0.25, 0.625)), fluid(), (2.0, 0.0), until=0.5)
    scene = Scene([], emitters=[jet], cells=16, duration=1.0)
    times = scene.cloud.release.unique()
    assert times.tolist() == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5])
    assert len(scene.cloud.kind) == 5 * 32
    y, t = scene.state(), torch.zeros(1, dtype=torch.float64)
    y = scene.stepper()(t, t + 0.13, y).y
    waiting = scene.cloud.release > 0.2
    assert torch.equal(y["position"][0, waiting], scene.state()["position"][0, waiting])
    assert float(y["position"][0, ~waiting, 0].max()) > 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bodies": []}, "at least one body or emitter"),
        ({"bodies": [jelly()]}, "bodies to be of Body"),
        ({"bodies": [Body(sphere((0.5, 0.6), 0.5), jelly(), name="ball")]}, "ball to lie inside the box"),
        ({"bodies": [Body(half_space((0.0, 0.3), (0.0, 1.0)), jelly())]}, r"cut it with intersection"),
        ({"bodies": [Body(sphere((3.0, 0.5), 0.2), jelly())]}, "points in body 0, found none"),
        ({"bodies": [Body(DISK, jelly()), Body(sphere((0.6, 0.6), 0.2), sand())]}, "body 1 apart from body 0"),
        ({"obstacles": [Obstacle(sphere((0.5, 0.3), 0.2))]}, "body 0 outside of all obstacles"),
        ({"bodies": [Body(DISK, jelly(), velocity=(1.0, 0.0, 0.0))]}, "velocity of body 0 of 2 numbers"),
        ({"bodies": [Body(DISK, jelly(), spin=(1.0, 0.0, 0.0))]}, "one number in 2D"),
        ({"gravity": (0.0, 0.0, -9.81), "box": ((0.0, 0.0), (1.0, 1.0))}, "gravity of 2 numbers"),
        ({"gravity": (0.0, math.nan)}, "gravity of finite numbers"),
        ({"box": ((0.0, 0.0), (1.0, 0.53))}, "0.53 along y is 8.48 cells of 0.0625. Make it 0.5"),
        ({"box": ((0.0, 0.0), (1.0, -1.0))}, "low < high"),
        ({"walls": [SLIP, NO_SLIP, SLIP]}, "walls for each of 2 axes"),
        ({"duration": 0.0}, "duration > 0"),
        ({"frames": 1}, "frames >= 2"),
        ({"dtype": torch.float16}, "dtype torch.float32"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scene(**{"bodies": [Body(DISK, jelly())], "cells": 16, **arguments}).cloud  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"material": "jelly"}, "Expected a material such as jelly"),
        ({"shape": (0.5, 0.5)}, "Expected a shape such as sphere"),
        ({"points_per_cell": 4, "spacing": 0.1}, "points_per_cell or spacing"),
        ({"spacing": -1.0}, "spacing > 0"),
        ({"velocity": (math.inf, 0.0)}, "velocity of finite numbers"),
    ],
)
def test_bodies_that_make_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Body(**{"shape": DISK, "material": jelly(), **arguments})


def test_emitters_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="other than zero"):
        Emitter(DISK, fluid(), (0.0, 0.0), until=1.0)
    with pytest.raises(ValueError, match="start <= until"):
        Emitter(DISK, fluid(), (0.0, 1.0), until=1.0, start=2.0)


def test_materials_are_known_by_name() -> None:
    assert float(material_named("jelly", {"young": 2e4}).elasticity.young) == 2e4  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"one of jelly, plasticine, sand.*Did you mean jelly"):
        material_named("jely")
    with pytest.raises(ValueError, match="parameters of sand: young, poisson"):
        material_named("sand", {"viscosity": 1.0})
    with pytest.raises(ValueError, match="to be a number"):
        material_named("sand", {"young": "stiff"})


@pytest.mark.parametrize("material", [jelly(young=1e30), fluid(viscosity=1e15)])
def test_materials_that_would_take_for_ever(material: object) -> None:
    with pytest.raises(ValueError, match=r"steps to the next frame\. Make it softer"):
        Scene([Body(DISK, material)], cells=16).stepper()  # type: ignore[arg-type]


def test_a_pool_is_a_half_space_cut_to_the_box() -> None:
    pool = intersection(half_space((0.0, 0.25), (0.0, 1.0)), box((0.0, 0.0), (1.0, 1.0)))
    assert float(Scene([Body(pool, water())], cells=16).cloud.volume.sum()) == pytest.approx(0.25, rel=2e-3)
