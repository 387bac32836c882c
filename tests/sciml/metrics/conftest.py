"""Fields and the benchmarks' own numbers that the tests of the metrics share."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

DATA = Path(__file__).parents[2] / "data" / "metrics"


@pytest.fixture(scope="session")
def golden():
    """Values that the benchmarks' own code computed, by suite."""
    return json.loads((DATA / "golden.json").read_text())


@pytest.fixture(scope="session")
def arrays():
    """The predictions and targets those values belong to, in the originals' axis order."""
    with np.load(DATA / "arrays.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="session")
def poseidon_golden():
    return torch.load(DATA / "poseidon.pt", weights_only=True)


@pytest.fixture(params=[(24,), (12, 10), (6, 8, 5)], ids=["1d", "2d", "3d"])
def pair(request):
    """A prediction and a target (3, 4, 2, *space) in double precision."""
    generator = torch.Generator().manual_seed(0)
    shape = (3, 4, 2, *request.param)
    target = torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5
    return target + 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64), target
