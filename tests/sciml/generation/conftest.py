"""A small recipe that the tests of the engine share."""

import pytest

from sciml.generation.catalogue import FAMILIES
from sciml.generation.make import make
from sciml.generation.recipe import Recipe


@pytest.fixture(scope="session")
def tubes():
    """Makes recipes of ten short shock tubes in four shards."""

    def recipe(**entries):
        small = {"trajectories": 10, "size": 16, "frames": 3, "shard_size": 3}
        return Recipe(FAMILIES["euler-1d-riemann"], **{**small, **entries})

    return recipe


@pytest.fixture(scope="session")
def breaking():
    """A recipe that no solver could carry out."""
    settings = {"trajectories": 2, "size": 16, "frames": 3, "parameters": {"threshold": 1e12}}
    return Recipe(FAMILIES["fitzhugh-nagumo-2d"], **settings)


@pytest.fixture(scope="session")
def finished(tubes, tmp_path_factory):
    """Their file, made in one go in this process."""
    return make(tubes(), tmp_path_factory.mktemp("finished") / "tubes.h5")
