import numpy as np
import pytest

from sciml.generation.catalogue import FAMILIES, family_named
from sciml.generation.recipe import Recipe

TUBE = FAMILIES["euler-1d-riemann"]


def test_zeros_stand_for_the_family_s_defaults():
    recipe = Recipe(TUBE, trajectories=5)
    assert (recipe.size, recipe.frames, recipe.dt) == (TUBE.size, TUBE.frames, TUBE.dt)
    assert (recipe.shard_size, recipe.supersample) == (TUBE.shard_size, TUBE.supersample)
    assert recipe.trajectories == 5


@pytest.mark.parametrize("trajectories", [1, 3, 8, 9, 16, 17])
@pytest.mark.parametrize("shard_size", [1, 3, 8])
def test_shards_cover_every_trajectory_once(trajectories, shard_size):
    recipe = Recipe(TUBE, trajectories=trajectories, shard_size=shard_size)
    members = [member for shard in range(recipe.shards) for member in recipe.members(shard)]
    assert members == list(range(trajectories))


@pytest.mark.parametrize(
    ("trajectories", "counts"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (100, (80, 10, 10)), (88, (72, 8, 8))]
)
def test_splits_follow_the_index(trajectories, counts):
    recipe = Recipe(TUBE, trajectories=trajectories)
    names = [recipe.split_of(k) for k in range(trajectories)]
    assert tuple(names.count(name) for name in ("train", "valid", "test")) == counts
    assert names == sorted(names, key=["train", "valid", "test"].index)


def test_given_splits_may_leave_some_trajectories_out():
    recipe = Recipe(TUBE, trajectories=10, splits=(5, 2, 1))
    assert [recipe.split_of(k) for k in range(10)] == ["train"] * 5 + ["valid"] * 2 + ["test"] + [""] * 2


def test_a_fixed_parameter_changes_no_other():
    free, fixed = Recipe(TUBE), Recipe(TUBE, parameters={"pressure_left": 0.5})
    for k in range(4):
        assert fixed.parameters_of(k) == free.parameters_of(k) | {"pressure_left": 0.5}


def test_times_start_at_zero_and_are_evenly_spaced():
    np.testing.assert_allclose(Recipe(TUBE, frames=4, dt=0.25).times, [0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"trajectories": -1}, "trajectories to be a whole number >= 1, got -1"),
        ({"size": 2.5}, "size to be a whole number >= 4"),
        ({"frames": 1}, "frames"),
        ({"seed": -1}, "seed"),
        ({"dt": -0.1}, "dt to be a number > 0"),
        ({"dt": float("inf")}, "dt"),
        ({"dtype": "float16"}, "dtype to be one of float32, float64, got 'float16'"),
        ({"device": "tpu:zero"}, "device"),
        ({"parameters": {"visc": 1.0}}, "Expected parameters of euler-1d-riemann: .*got 'visc'"),
        ({"parameters": {"gamma": "1.4"}}, "gamma to be a number or a"),
        ({"parameters": {"gamma": -1.0}}, r"gamma > 0 \(ratio of specific heats\)"),
        ({"parameters": {"gamma": (2.0, 1.0)}}, "low <= high"),
        ({"parameters": {"gamma": float("nan")}}, "finite"),
        ({"parameters": 3}, "parameters"),
        ({"splits": (100, 1, 1), "trajectories": 10}, "together at most 10"),
        ({"splits": (1, 1)}, "three counts"),
        ({"splits": 5}, "three counts"),
    ],
)
def test_nonsense_is_refused_with_the_name_and_the_value(entries, message):
    with pytest.raises(ValueError, match=message):
        Recipe(TUBE, **entries)


def test_an_unknown_family_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean euler-1d-riemann"):
        family_named("euler-1d-rieman")
