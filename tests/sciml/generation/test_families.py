"""Every family: its draws, its laws, and that its trajectories are the equation's, not those of a step or a grid."""

import numpy as np
import pytest
import torch

from sciml.datasets.open import open_dataset
from sciml.generation.catalogue import FAMILIES
from sciml.generation.family import Family
from sciml.generation.make import make
from sciml.generation.randomness import trajectory_generator
from sciml.generation.recipe import Recipe
from sciml.generation.shard import make_shard
from sciml.generation.verification import report

EVERY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
FIELDS = [name for name, family in FAMILIES.items() if family.kind == "grid"]


def small(family: Family, **entries) -> Recipe:
    """Two short float64 trajectories on a coarse grid."""
    size = 64 if family.domain.dimensions == 1 else 120 if family.kind == "particles" else 16
    dt = min(family.dt, 0.02) if family.name.startswith("euler") else family.dt
    settings = {"trajectories": 2, "size": size, "frames": 3, "dt": dt, "dtype": "float64", "shard_size": 2}
    settings["supersample"] = 1
    return Recipe(family, **{**settings, **entries})


def fields(recipe: Recipe) -> np.ndarray:
    """All frames (trajectory, time, channel, *space) of the first shard."""
    return np.stack([trajectory.u for trajectory in make_shard(recipe, 0).trajectories])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest relative distance of two fields over trajectories and channels."""
    space = tuple(range(3, a.ndim))
    gap = np.sqrt(((a - b) ** 2).mean(axis=(1, *space)))
    size = np.sqrt((b**2).mean(axis=(1, *space)))
    return float((gap / size).max())


@EVERY
def test_shards_hold_what_the_family_declares(family):
    recipe = small(family, dtype="float32", trajectories=3, shard_size=3)
    static = sum(channel.static for channel in family.channels)
    space = (recipe.size,) * family.domain.dimensions

    def shape(channels: int) -> tuple[int, ...]:
        return (recipe.size, channels) if family.kind == "particles" else (channels, *space)

    for trajectory in make_shard(recipe, 0).trajectories:
        assert trajectory.u.shape == (3, *shape(len(family.channels) - static))
        assert trajectory.u.dtype == np.float32 and np.isfinite(trajectory.u).all()
        assert set(trajectory.parameters) == set(family.parameter_units)
        assert (trajectory.static is None) == (static == 0)
        if static:
            assert trajectory.static.shape == shape(static) and (trajectory.static > 0).all()


@EVERY
def test_a_shard_is_a_function_of_the_recipe(family):
    first, again = (make_shard(small(family, dtype="float32"), 0) for _ in range(2))
    for a, b in zip(first.trajectories, again.trajectories):
        assert a.u.tobytes() == b.u.tobytes() and a.parameters == b.parameters
    assert first.violations == again.violations
    assert not np.array_equal(first.trajectories[0].u, first.trajectories[1].u)


@EVERY
def test_the_batch_changes_a_trajectory_by_rounding_alone(family):
    fixed = {p.name: p.default if isinstance(p.default, float) else sum(p.default) / 2 for p in family.parameters}
    together = fields(small(family, trajectories=3, shard_size=3, parameters=fixed))
    alone = np.concatenate(
        [
            np.stack(
                [t.u for t in make_shard(small(family, trajectories=3, shard_size=1, parameters=fixed), k).trajectories]
            )
            for k in range(3)
        ]
    )
    np.testing.assert_array_equal(together[:, 0], alone[:, 0])
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-9 * np.abs(together).max())


@pytest.mark.parametrize("family", [family for family in FAMILIES.values() if family.kind == "grid"])
def test_its_laws_hold(family):
    size = 48 if family.name == "wave-2d" else small(family).size
    recipe = small(family, size=size, frames=6, dtype="float32", supersample=2)
    verdicts = report(family.invariants, [make_shard(recipe, 0).violations])
    assert all(entry["verdict"] == "kept" for entry in verdicts.values()), verdicts


@pytest.mark.parametrize("name", [name for name in FIELDS if not name.startswith(("euler", "advection"))])
def test_frames_do_not_depend_on_the_step(name):
    """Frames so close together that the solver takes shorter steps than its own choice lie on the same trajectory."""
    family = FAMILIES[name]
    dt = family.dt if name.startswith(("gray", "kolmogorov")) else family.dt / 2
    finer = 32
    own = fields(small(family, frames=2, dt=dt))
    fine = fields(small(family, frames=finer + 1, dt=dt / finer))
    assert distance(own[:, 1:], fine[:, finer:]) < {"wave-2d": 2e-2, "burgers-1d": 1e-4}.get(name, 1e-5)


@pytest.mark.parametrize(
    ("name", "size", "tolerance"),
    [
        ("advection-1d", 64, 1e-10),
        ("burgers-1d", 256, 1e-3),
        ("navier-stokes-2d", 64, 1e-2),
        ("kolmogorov-2d", 32, 1e-2),
        ("heat-2d", 32, 2e-2),
        ("wave-2d", 32, 5e-2),
        ("fitzhugh-nagumo-2d", 64, 1e-3),
    ],
)
def test_a_finer_solver_grid_gives_the_same_fields(name, size, tolerance):
    family = FAMILIES[name]
    own = small(family, trajectories=1, shard_size=1, size=size, supersample=family.supersample)
    finer = small(family, trajectories=1, shard_size=1, size=size, supersample=2 * family.supersample)
    assert distance(fields(own), fields(finer)) < tolerance


@pytest.mark.parametrize("name", ["navier-stokes-2d", "kolmogorov-2d", "burgers-1d"])
def test_the_largest_speed_at_the_start_is_the_one_asked_for(name):
    from sciml.solvers.equations.navier_stokes import velocity_of

    recipe = small(FAMILIES[name], size=32, parameters={"speed": 0.7})
    start = FAMILIES[name].sample(trajectory_generator(0, 0), recipe.grid, recipe.parameters_of(0)).u
    flow = velocity_of(start[None], length=recipe.grid.domain.lengths)[0] if start.dim() == 3 else start
    assert float(torch.linalg.vector_norm(flow, dim=0).max()) == pytest.approx(0.7, rel=1e-6)


@pytest.mark.parametrize(("name", "typical"), [("heat-2d", "typical_conductivity"), ("wave-2d", "typical_speed")])
def test_media_stay_within_their_contrast(name, typical):
    recipe = small(FAMILIES[name], parameters={typical: 2.0, "contrast": 3.0})
    for trajectory in make_shard(recipe, 0).trajectories:
        assert trajectory.static.min() >= 2 / 3 * (1 - 1e-9) and trajectory.static.max() <= 6 * (1 + 1e-9)
        assert max(trajectory.static.max() / 2, 2 / trajectory.static.min()) == pytest.approx(3.0, rel=1e-9)


def test_recorded_quadrants_are_the_states_on_the_grid():
    trajectory = make_shard(small(FAMILIES["euler-2d-riemann"]), 0).trajectories[0]
    corners = {"lower_left": (0, 0), "upper_right": (-1, -1), "upper_left": (0, -1), "lower_right": (-1, 0)}
    for quadrant, (i, j) in corners.items():
        for channel, name in enumerate(("density", "velocity_x", "velocity_y", "pressure")):
            assert trajectory.parameters[f"{name}_{quadrant}"] == pytest.approx(trajectory.u[0, channel, i, j])


PARTICLES = pytest.mark.parametrize("name", [name for name in FAMILIES if name not in FIELDS])


@PARTICLES
def test_bodies_are_solid_and_fall_as_thrown(name):
    """Points stay in the box, at their distance at the start; a body falls freely before it meets walls."""
    family = FAMILIES[name]
    recipe = small(family, size=300, trajectories=3, shard_size=3, dt=0.005, parameters={"speed": 0.2, "spin": 0.0})
    dim = family.domain.dimensions
    spacing = ({2: 0.09, 3: 0.04}[dim] / recipe.size) ** (1 / dim)
    falls = []
    for position in (torch.from_numpy(trajectory.u) for trajectory in make_shard(recipe, 0).trajectories):
        assert position.min() > -spacing and position.max() < 1 + spacing
        apart = torch.cdist(position[0], position[0]) + torch.eye(recipe.size)
        assert 0.6 * spacing < apart.min() and apart.amin(dim=1).max() < 1.5 * spacing
        falls.append(position.mean(dim=1).diff(n=2, dim=0)[0, 1] / 0.005**2)
    assert min(abs(float(fall) + 9.8) for fall in falls) < 1e-3


def test_particles_are_made_by_worker_processes_and_read_by_others(tmp_path):
    recipe = small(FAMILIES["sand-2d"], trajectories=3, shard_size=1, dtype="float32")
    made = [make(recipe, tmp_path / f"{workers}.h5", workers=workers).read_bytes() for workers in (1, 2)]
    assert made[0] == made[1]
    opened = open_dataset(tmp_path / "1.h5")
    assert opened.kind == "particles" and opened.nodes.tolist() == [120] * 3
    assert [axis.boundary for axis in opened.axes] == ["wall"] * 2
    assert (opened.read(0)[..., 2] == 6).all()
    with pytest.raises(ValueError, match="supersample=1"):
        small(FAMILIES["sand-2d"], supersample=2)
