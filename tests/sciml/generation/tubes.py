"""A small recipe that the tests of the engine share, and what counts as the same file."""

from sciml.generation.catalogue import FAMILIES
from sciml.generation.recipe import Recipe

TUBE = FAMILIES["euler-1d-riemann"]


def tubes(**entries):
    """Ten short shock tubes in four shards."""
    return Recipe(TUBE, **{"trajectories": 10, "size": 16, "frames": 3, "shard_size": 3, **entries})
