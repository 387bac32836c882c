"""Simulators and decoders of particles on a GPU: outputs and gradients are those of the CPU."""

import pytest
import torch

from tests.sciml.operators.particles.clouds import ALL, made, states
from tests.sciml.operators.particles.test_decoders import ALL as DECODERS
from tests.sciml.operators.particles.test_decoders import cloud, randomised

from .compare import F64, assert_like_cpu, full_precision

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _full_precision():
    with full_precision():
        yield


def stepped(operator):
    return lambda t, dt, y: operator(t, dt, y).y


def decoded(decoder):
    return lambda sparse, dense, moved: decoder.decode(decoder.prepare(sparse, dense), moved)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=["float64", "float32"])
def test_simulators(name, dim, dtype, device):
    model = made(ALL[name], dim)
    tolerance = 1e-3 if dtype == torch.float32 else 1e-10
    assert_like_cpu(model, stepped, states(model), device, tolerance, dtype=dtype)


@pytest.mark.parametrize("name", DECODERS)
def test_decoders(name, device):
    sparse, dense = cloud()
    inputs = (sparse, dense, sparse + 0.02 * torch.sin(9 * sparse))
    assert_like_cpu(randomised(DECODERS[name]), decoded, inputs, device, 1e-9)
