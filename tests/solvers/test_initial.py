"""Random initial states: a sample depends on the seed alone, and every field is periodic and of its declared kind."""

import math

import pytest
import torch

from sciml.solvers.initial import blobs, gaussian_random_field, matern_spectrum, sine_sums

SPECTRUM = matern_spectrum(exponent=2.5, scale=7.0)


def draw(kind, batch, dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    if kind == "sines":
        return sine_sums(batch, 32, generator=generator, dtype=dtype)
    if kind == "blobs":
        return blobs(batch, (8, 10, 6), generator=generator, dtype=dtype)
    shape = {"line": (32,), "plane": (16, 12), "cube": (8, 6, 10)}[kind]
    return gaussian_random_field(batch, shape, spectrum=SPECTRUM, generator=generator, channels=2, dtype=dtype)


KINDS = ["sines", "blobs", "line", "plane", "cube"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_the_batch_size(kind):
    many = draw(kind, 5)
    assert torch.equal(draw(kind, 2), many[:2])
    assert not torch.equal(many[0], many[1])


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_the_rounded_float64(kind):
    exact = draw(kind, 2, torch.float64)
    assert exact.dtype == torch.float64 and torch.equal(draw(kind, 2), exact.float())


@pytest.mark.parametrize("kind", ["line", "plane", "cube"])
def test_random_fields_have_no_mean(kind):
    fields = draw(kind, 3, torch.float64)
    assert fields.flatten(2).mean(-1).abs().max() < 1e-14


def test_two_dimensional_field_is_isotropic_on_a_stretched_box():
    """On a box twice as long, mode 2n of the long axis has the power of mode n of the short one."""
    fields = gaussian_random_field(
        3000, (16, 8), spectrum=SPECTRUM, length=(2.0, 1.0), generator=torch.Generator().manual_seed(0)
    )
    power = torch.fft.fft2(fields).abs().square().mean(dim=(0, 1))
    assert power[2, 0].item() == pytest.approx(power[0, 1].item(), rel=0.1)
    assert power[1, 0].item() > 1.5 * power[0, 1].item()


def test_sine_sums_hold_few_low_modes():
    states = sine_sums(20, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64, length=3.0)
    amplitude = 2 * torch.fft.rfft(states, norm="forward").abs()[:, 0]
    assert ((amplitude > 1e-12).sum(1) <= 2).all() and amplitude[:, 0].max() < 1e-13
    assert amplitude[:, 9:].max() < 1e-13 and amplitude.sum(1).max() <= 2


def test_blobs_have_their_width():
    state = blobs(1, (256,), count=1, width=0.05, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[0, 0]
    state = state.roll(128 - int(state.argmax()))
    x = (torch.arange(256, dtype=torch.float64) - 128) / 256
    centre = (x * state).sum() / state.sum()
    deviation = math.sqrt(((x - centre).square() * state).sum() / state.sum())
    assert deviation == pytest.approx(0.05, rel=0.05)


def test_lengths_are_checked():
    with pytest.raises(ValueError, match="length"):
        gaussian_random_field(1, (8, 8), spectrum=SPECTRUM, length=(1.0,), generator=torch.Generator())
