"""Whole simulations: gradients, batches, time steps, obstacles, what goes wrong, and physics with a known answer."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.controller import FixedStep
from sciml.solvers.courant import Courant
from sciml.solvers.material_point import (
    ADHERING_SLIP,
    NO_SLIP,
    SLIP,
    STICKY,
    Contact,
    FixedCorotated,
    Fluid,
    Hencky,
    MaterialPointMethod,
    MaterialPoints,
    NeoHookean,
    Obstacle,
    SimulationError,
    Solid,
    VonMises,
    jelly,
    material_points,
    sand,
    stiffness_for,
)
from sciml.solvers.signed_distance import half_space, sphere
from sciml.solvers.solve import solve


def lattice(low: list[float], high: list[float], spacing: float) -> Tensor:
    """Points in the middle of cells, (1, node, d)."""
    axes = [
        a + spacing * (torch.arange(round((b - a) / spacing), dtype=torch.float64) + 0.5) for a, b in zip(low, high)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, len(low))


def small(material: Any = None, **settings: Any) -> tuple[MaterialPointMethod, MaterialPoints]:
    """A square of 36 points, moving towards the floor."""
    x = lattice([0.3, 0.3], [0.6, 0.6], 0.05)
    v = torch.tensor([0.5, -1.0], dtype=torch.float64).expand_as(x) + 0.3 * x.flip(-1)
    chosen = {"spacing": 0.1, "shape": (10, 10), "volume": 0.0025, "gravity": [0.0, -9.8], **settings}
    return MaterialPointMethod(material or jelly(), **chosen), material_points(x, v)


def rollout(method: Any, y: MaterialPoints, time: float, steps: int, **options: Any) -> MaterialPoints:
    ts = torch.tensor([0.0, time], dtype=torch.float64)
    return solve(method, y, ts, FixedStep(time / steps), **options).y_end


@pytest.mark.parametrize("material", [None, Solid(Hencky(1e4, 0.3), VonMises(300.0)), Fluid(1e4, viscosity=3.0)])
def test_gradients_through_a_rollout_are_those_of_finite_differences(material: Any) -> None:
    method, y = small(material)

    def final(scale: Tensor) -> Tensor:
        moving = y | {"velocity": y["velocity"] * scale, "position": y["position"] + 0.01 * scale}
        return rollout(method, moving, 0.02, 10)["position"].square().sum()

    scale = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(final(scale), scale)
    with torch.no_grad():
        expected = (final(scale + 1e-6) - final(scale - 1e-6)) / 2e-6
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


def test_checkpointed_gradients_of_a_material_parameter_are_those_of_every_step() -> None:
    gradients = []
    for adjoint in (None, RecursiveCheckpoint()):
        young = torch.nn.Parameter(torch.tensor(2e4, dtype=torch.float64))
        method, y = small(Solid(FixedCorotated(young, 0.2)))
        loss = rollout(method, y, 0.06, 30, adjoint=adjoint)["position"].square().sum()
        gradients.append(torch.autograd.grad(loss, young)[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-10, atol=0)
    assert gradients[0].abs() > 0


def test_a_batch_is_its_samples() -> None:
    young = torch.tensor([[1e4], [4e4], [1e5]], dtype=torch.float64)
    method, y = small(Solid(NeoHookean(young, 0.3)), gravity=torch.tensor([[0.0, -9.8], [1.0, 0.0], [0.0, 0.0]]))
    many = {name: leaf.expand(3, *leaf.shape[1:]).clone() for name, leaf in y.items()}
    many["velocity"] = many["velocity"] * torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64)[:, None, None]
    for stepper in (method, Courant(method, 0.3)):
        together = rollout(stepper, many, 0.03, 20)
        for k in range(3):
            alone = rollout(stepper.select(torch.tensor([k])), {n: v[k : k + 1] for n, v in many.items()}, 0.03, 20)
            for name, leaf in alone.items():
                assert torch.equal(leaf[0], together[name][k])


def test_courant_takes_each_sample_by_its_own_steps() -> None:
    method, y = small(Solid(NeoHookean(torch.tensor([[1e4], [1e6]], dtype=torch.float64), 0.3)))
    many = {name: leaf.expand(2, *leaf.shape[1:]).clone() for name, leaf in y.items()}
    t, dt = torch.zeros(2, dtype=torch.float64), torch.tensor([0.02, 0.02], dtype=torch.float64)
    step = Courant(method, 0.4)(t, dt, many)
    few, more = step.evaluations.tolist()
    assert more > 5 * few
    still = Courant(method, 0.4)(t, torch.tensor([0.02, 0.0], dtype=torch.float64), many)
    assert torch.equal(still.y["position"][0], step.y["position"][0])
    assert torch.equal(still.y["position"][1], many["position"][1])
    assert still.evaluations.tolist() == [few, 0]


def test_points_wait_for_their_release() -> None:
    method, y = small(release=torch.where(torch.arange(36) < 10, 0.0, 0.05))
    held = rollout(method, y, 0.04, 20)
    assert torch.equal(held["position"][:, 10:], y["position"][:, 10:])
    assert (held["position"][:, :10] != y["position"][:, :10]).any()
    free = rollout(method, y, 0.1, 50)
    assert (free["position"][:, 10:] - y["position"][:, 10:]).norm(dim=-1).min() > 0.01


def test_bodies_of_different_materials_meet() -> None:
    low, high = lattice([0.3, 0.3], [0.5, 0.5], 0.025), lattice([0.3, 0.55], [0.5, 0.75], 0.025)
    count = low.shape[1]
    method = MaterialPointMethod(
        [(Solid(FixedCorotated(1e5, 0.3), density=2000.0), count), (Fluid(1e5, density=1000.0), count)],
        spacing=0.05,
        shape=(20, 20),
        volume=0.025**2,
        walls=None,
    )
    x = torch.cat([low, high], dim=1)
    v = torch.zeros_like(x)
    v[:, count:, 1] = -2.0
    y = material_points(x, v)
    end = rollout(Courant(method), y, 0.06, 12)
    momentum = [(method.mass(z)[..., None] * z["velocity"]).sum(1) for z in (y, end)]
    torch.testing.assert_close(*momentum, rtol=1e-10, atol=1e-10)
    assert end["velocity"][0, :count, 1].mean() < -0.1  # the lower one was hit
    with pytest.raises(ValueError, match="points, as many as the bodies"):
        method(torch.zeros(1), torch.full((1,), 1e-4), material_points(low))


@pytest.mark.parametrize("friction", [0.0, 0.2, 1.0])
def test_a_block_on_a_slope_slides_as_coulomb_has_it(friction: float) -> None:
    angle = math.radians(30)
    up, down = [math.sin(angle), math.cos(angle)], [math.cos(angle), -math.sin(angle)]
    start = lattice([0.0, 0.0], [0.3, 0.1], 0.025)
    axes = torch.tensor([down, up], dtype=torch.float64)
    x = torch.tensor([0.5, 1.2], dtype=torch.float64) + start @ axes
    floor = Obstacle(half_space([0.5, 1.2], up), Contact(friction=friction))
    method = MaterialPointMethod(
        Solid(FixedCorotated(2e6, 0.2)), spacing=0.05, shape=(60, 36), volume=0.025**2, gravity=[0.0, -9.8],
        walls=None, obstacles=[floor],
    )  # fmt: skip
    time = 0.25
    moved = (rollout(Courant(method), material_points(x), time, 5)["position"] - x).mean(dim=1)[0]
    along = float(moved @ axes[0])
    expected = max(0.0, 9.8 * (math.sin(angle) - friction * math.cos(angle))) * time**2 / 2
    assert along == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(("walls", "slides"), [(SLIP, True), (NO_SLIP, False), (STICKY, False)])
def test_walls_stop_what_they_should(walls: Contact, slides: bool) -> None:
    method, y = small(Solid(FixedCorotated(1e3, 0.0)), walls=walls, gravity=None)
    y["position"] = y["position"] + torch.tensor([0.0, -0.12], dtype=torch.float64)
    y["velocity"] = torch.tensor([0.4, -0.4], dtype=torch.float64).expand_as(y["velocity"]).clone()
    step = method(torch.zeros(1, dtype=torch.float64), torch.full((1,), 1e-4, dtype=torch.float64), y)
    lowest = step.y["velocity"][0, y["position"][0, :, 1] < 0.21]
    assert (lowest[:, 0] > 0.3).all() == slides
    assert lowest[:, 1].abs().max() < 0.2


def test_a_moving_obstacle_pushes() -> None:
    ball = Obstacle(sphere([0.1, 0.45], 0.15), path=lambda t: torch.stack([2.0 * t, 0.0 * t], dim=-1))
    method, y = small(obstacles=[ball], gravity=None, walls=None)
    y["velocity"] = torch.zeros_like(y["velocity"])
    pushed = rollout(Courant(method), y, 0.1, 10)
    assert pushed["velocity"][..., 0].mean() > 0.5
    assert (pushed["position"][0] - torch.tensor([0.3, 0.45])).norm(dim=-1).min() > 0.08


def test_what_goes_wrong_is_named() -> None:
    method, y = small(walls=None)
    t, dt = torch.zeros(1, dtype=torch.float64), torch.full((1,), 1e-3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"CFL limit, got dt = 0.5 for sample 0.*Courant"):
        method(t, 500 * dt, y)
    with pytest.raises(ValueError, match="dt >= 0"):
        method(t, -dt, y)
    away = y | {"position": y["position"] - 0.2499, "velocity": 0 * y["velocity"] - 5.0}
    with pytest.raises(SimulationError, match=r"left the grid.*went from.*Give the box walls") as lost:
        rollout(method, away, 0.05, 50)
    assert lost.value.sample == 0
    assert 0 in lost.value.points.tolist()
    broken = {name: leaf.clone() for name, leaf in y.items()}
    broken["velocity"][0, 7, 1] = torch.nan
    with pytest.raises(SimulationError, match=r"velocity of 1 point of sample 0 is not finite.*point 7"):
        method(t, dt, broken)
    inside_out, z = small(Solid(NeoHookean(1e5, 0.3)))
    z["deformation"][0, 5] = torch.diag(torch.tensor([1.0, -0.5], dtype=torch.float64))
    with pytest.raises(SimulationError, match=r"inverted: det F = -0\.5 at point 5.*FixedCorotated") as inverted:
        inside_out(t, dt, z)
    assert inverted.value.points.tolist() == [5]
    with pytest.raises(ValueError, match="keys"):
        method(t, dt, {"position": y["position"]})
    with pytest.raises(ValueError, match="velocity of shape"):
        method(t, dt, y | {"velocity": y["velocity"][:, :5]})


def quarter_period(cells: int) -> float:
    """Of an elastic bar that is fixed at one end and pushed, over that of the exact solution pi c / (2 L)."""
    length, young = 1.0, 1e4
    spacing = length / cells
    start = 3 * spacing
    x = lattice([start, start], [start + length, start + 3 * spacing], spacing / 2)
    v = torch.zeros_like(x)
    v[..., 0] = 0.01 * torch.sin(math.pi / 2 * (x[..., 0] - start) / length)
    method = MaterialPointMethod(
        Solid(FixedCorotated(young, 0.0)), spacing=spacing, shape=(cells + 12, 12), volume=(spacing / 2) ** 2,
        walls=[(STICKY, None), ADHERING_SLIP], wall_thickness=4,
    )  # fmt: skip
    quarter = length / math.sqrt(young / 1000.0)
    ts = torch.cat([torch.zeros(1), torch.linspace(0.9, 1.1, 41)]).double() * quarter
    ys = solve(Courant(method, 0.3), material_points(x, v), ts, FixedStep(quarter / 20)).ys
    assert ys["velocity"][..., 1].abs().max() < 1e-9
    speed = ys["velocity"][0, 1:, :, 0].mean(dim=1)
    k = int((speed < 0).nonzero()[0])
    share = speed[k - 1] / (speed[k - 1] - speed[k])
    return float(ts[k] + share * (ts[k + 1] - ts[k])) / quarter


def test_the_frequency_of_an_elastic_bar_converges() -> None:
    """With the spacing, to the exact one: the ends are sharp to a cell."""
    errors = [quarter_period(cells) - 1 for cells in (6, 12, 24, 48)]
    assert 0 < errors[-1] < 0.008
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(2.0, abs=0.15)


def test_an_elastic_body_never_gains_energy_and_keeps_more_of_it_in_short_steps() -> None:
    method, y = small(Solid(FixedCorotated(1e4, 0.3)), gravity=None, walls=None)
    y = y | {"velocity": torch.zeros_like(y["velocity"]), "deformation": 1.05 * y["deformation"]}

    def energy(z: MaterialPoints) -> float:
        affine = z["gradient"].square().sum((-2, -1)) * method.lattice.spacing**2 / 4
        kinetic = method.mass(z) * (z["velocity"].square().sum(-1) + affine) / 2
        stored = 0.0025 * method.materials[0].elasticity.energy(z["deformation"])
        return float((kinetic + stored).sum())

    ends = []
    for steps in (5, 20):
        z, energies = y, [energy(y)]
        for _ in range(20):
            z = rollout(method, z, 0.01, steps)
            energies.append(energy(z))
        assert max(energies) == energies[0]
        ends.append(max(energies[-5:]) / energies[0])
    assert 0.5 < ends[0] < ends[1] < 1


def test_sand_collapses_to_a_slope_and_rests() -> None:
    spacing = 1 / 40
    x = lattice([0.1, 0.1], [0.3, 0.4], spacing / 2)
    method = MaterialPointMethod(
        sand(young=2e5, friction_angle=30.0), spacing=spacing, shape=(44, 24), volume=spacing**2 / 4,
        gravity=[0.0, -9.8], walls=[(SLIP, None), NO_SLIP], wall_thickness=5,
    )  # fmt: skip
    end = rollout(Courant(method), material_points(x), 0.8, 8)
    position, speed = end["position"][0], end["velocity"][0].norm(dim=-1)
    assert speed.quantile(0.9) < 0.05
    runout, top = float(position[:, 0].quantile(0.98)) - 0.1, float(position[:, 1].max()) - 0.1
    # Of a column 1.5 times as high as wide: width 1 + 1.2 * 1.5 (Lajeunesse, Monnier and Homsy, Phys. Fluids 17, 2005).
    assert runout / 0.2 == pytest.approx(2.8, rel=0.15)
    assert math.degrees(math.atan2(top, runout)) < 30  # nothing rests steeper than the angle of friction


def test_a_dam_breaks_with_the_speed_of_shallow_water() -> None:
    spacing, height = 1 / 40, 0.3
    x = lattice([0.1, 0.1], [0.4, 0.1 + height], spacing / 2)
    fluid = Fluid(stiffness_for(2.0), viscosity=0.01)
    method = MaterialPointMethod(
        fluid, spacing=spacing, shape=(64, 24), volume=spacing**2 / 4, gravity=[0.0, -9.8], wall_thickness=5,
    )  # fmt: skip
    time = 0.2
    end = rollout(Courant(method), material_points(x), time, 4)
    front = float(end["position"][0, :, 0].max())
    ritter = 2 * math.sqrt(9.8 * height) * time  # of shallow water, which has the full speed at once
    assert 0.35 < (front - 0.4) / ritter < 1
    volume = end["deformation"][0, :, 0, 0] ** 2
    assert (volume - 1).abs().quantile(0.9) < 0.05
