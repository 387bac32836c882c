"""Scales that travel with an operator."""

import pytest
import torch
from safetensors.torch import load, save

from sciml.normalization import Normalization

MEAN, STD, DELTA = [1e5, -2.0, 3.0], [1e3, 1e-9, 2.0], [10.0, 1e-10, 0.5]


def fitted() -> Normalization:
    return Normalization(3).set(MEAN, STD, DELTA, dt=0.25)


def test_unset_is_the_identity() -> None:
    normalization, u = Normalization(2), torch.randn(4, 2, 5, 5)
    assert torch.equal(normalization.encode(u), u) and torch.equal(normalization.decode(u), u)
    assert not normalization.is_set


@pytest.mark.parametrize("space", [(7,), (5, 6), (3, 4, 5)])
def test_encoded_data_has_zero_mean_and_unit_spread(space: tuple[int, ...]) -> None:
    u = torch.randn(50, 3, *space, dtype=torch.float64) * 7 + 100
    axes = [0, *range(2, u.dim())]
    normalization = Normalization(3).double().set(u.mean(axes), u.std(axes), torch.ones(3), 1.0)
    z = normalization.encode(u)
    torch.testing.assert_close(z.mean(axes), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(z.std(axes), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(normalization.decode(z), u)


def test_lead_is_dt_over_the_data_sets() -> None:
    assert fitted().lead(torch.tensor([0.0, 0.25, 1.0])).tolist() == [0.0, 1.0, 4.0]


def test_constant_channels_are_not_divided_by_rounding() -> None:
    normalization = Normalization(3).set([5.0, 0.0, 0.0], [1e-7, 0.0, 1e-9], [0.0, 0.0, 0.0], 1.0)
    assert normalization.std.tolist() == pytest.approx([1.0, 1.0, 1e-9])  # the last is small, not constant
    assert bool((normalization.delta_std > 0).all())
    assert bool((normalization.delta_std <= 1e-6 * normalization.std).all())


def test_state_dict_carries_everything() -> None:
    copy = Normalization(3)
    copy.load_state_dict(load(save(fitted().state_dict())))
    u = torch.randn(2, 3, 4)
    assert copy.is_set and torch.equal(copy.encode(u), fitted().encode(u))
    assert copy.lead(torch.ones(1)) == 4.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_the_scales(dtype: torch.dtype) -> None:
    module = torch.nn.Sequential(fitted(), torch.nn.Linear(1, 1)).to(dtype)
    assert module[1].weight.dtype == dtype
    assert module[0].std.dtype == torch.float32 and module[0].std[1] == fitted().std[1] > 0
    assert module[0].encode(torch.ones(1, 3, 2, dtype=dtype)).dtype == torch.float32


def test_autocast_leaves_encoding_in_float32() -> None:
    u = torch.randn(2, 3, 4) * 1e3 + 1e5
    expected = fitted().encode(u)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fitted().encode(u), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [1.0], [1.0], 1.0), r"mean of shape \(3,\)"),
        ((MEAN, [1.0, 2.0], DELTA, 1.0), r"std of shape \(3,\)"),
        ((MEAN, STD, [1.0, float("nan"), 1.0], 1.0), "finite delta_std"),
        ((MEAN, [1.0, -1.0, 1.0], DELTA, 1.0), "std and delta_std >= 0"),
        ((MEAN, STD, DELTA, 0.0), "dt > 0"),
        ((MEAN, STD, DELTA, float("inf")), "dt > 0"),
    ],
)
def test_bad_statistics_are_refused(arguments: tuple, message: str) -> None:
    normalization = Normalization(3)
    with pytest.raises(ValueError, match=message):
        normalization.set(*arguments)
    assert not normalization.is_set
