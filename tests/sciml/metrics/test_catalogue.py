import pytest
import torch

from sciml.metrics import METRICS
from sciml.metrics.pair import field_pair, particle_pair

PARTICLES = [name for name in METRICS if name.startswith(("lagrangebench/", "giorom/"))]
FIELD = [name for name in METRICS if name not in PARTICLES]


def _fields():
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(2, 25, 2, 32, generator=generator)
    return target + 0.2 * torch.randn(target.shape, generator=generator), target


@pytest.mark.parametrize("name", FIELD)
def test_every_field_metric_is_a_scalar_that_prefers_the_truth(name):
    metric, (prediction, target) = METRICS[name], _fields()
    worse, best = metric.function(prediction, target), metric.function(target, target)
    assert worse.shape == ()
    assert (best < worse) == metric.lower_is_better
    assert metric.formula and name.endswith(metric.label.removeprefix("spectrum "))


@pytest.mark.parametrize("name", PARTICLES)
def test_every_particle_metric_is_a_scalar_that_prefers_the_truth(name):
    prediction, target = (u[:1, :20, :, :8].transpose(2, 3) for u in _fields())
    worse, best = (METRICS[name].function(x, target) for x in (prediction, target))
    assert worse.shape == () and best.abs() < 1e-6 < worse


@pytest.mark.parametrize("name", FIELD)
def test_every_field_metric_takes_a_blown_up_prediction(name):
    prediction, target = _fields()
    prediction[0, 3:] = torch.nan
    assert not METRICS[name].function(prediction, target).isfinite()


def test_shape_errors_name_the_way_out():
    with pytest.raises(
        ValueError, match=r"Expected prediction of the target's shape .* = \(2, 3, 1, 8\), got \(2, 4, 1, 8\)"
    ):
        field_pair(torch.ones(2, 4, 1, 8), torch.ones(2, 3, 1, 8))
    with pytest.raises(ValueError, match=r"got \(2, 3, 8\). A single frame needs a time axis"):
        field_pair(torch.ones(2, 3, 8), torch.ones(2, 3, 8))
    with pytest.raises(ValueError, match=r"Expected target of shape \(batch, time, node, dim\), got \(4, 9, 2\)"):
        particle_pair(torch.ones(4, 9, 2), torch.ones(4, 9, 2))
