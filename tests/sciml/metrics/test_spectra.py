import math

import pytest
import torch

from sciml.metrics import spectra


def test_shells_sum_to_the_mean_square(pair):
    u, _ = pair
    spectrum = spectra.energy_spectrum(u)
    torch.testing.assert_close(spectrum.energy.sum(-1), u.square().flatten(3).mean(-1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_wave_is_in_its_shell(dim):
    x = torch.arange(16, dtype=torch.float64) / 16
    wave = 2 * torch.cos(2 * math.pi * 3 * x + 0.7).reshape(1, 1, 1, 16, *[1] * (dim - 1)).expand(1, 1, 1, *[16] * dim)
    spectrum = spectra.energy_spectrum(wave)
    expected = torch.zeros_like(spectrum.energy)
    expected[..., 3] = 2.0
    torch.testing.assert_close(spectrum.energy, expected)
    assert spectrum.resolved == 8


def test_a_long_box_counts_waves_along_its_longest_side():
    x = torch.arange(16, dtype=torch.float64) / 8
    wave = torch.cos(2 * math.pi * 2 * x)[:, None].expand(16, 8)[None, None, None]
    # two waves a unit length on a box of 2 by 1: four along the longest side
    assert spectra.energy_spectrum(wave, extents=(2.0, 1.0)).energy[0, 0, 0].argmax() == 4
    assert spectra.energy_spectrum(wave).energy[0, 0, 0].argmax() == 4


def test_spectrum_is_blind_to_translation_and_its_error_to_scale(pair):
    prediction, target = pair
    torch.testing.assert_close(
        spectra.energy_spectrum(target.roll(2, -1)).energy, spectra.energy_spectrum(target).energy
    )
    error = spectra.spectrum_error(prediction, target)
    torch.testing.assert_close(spectra.spectrum_error(3 * prediction, 3 * target), error)
    assert spectra.spectrum_error(target.roll(1, -1), target).max() < 1e-12


def test_ten_times_the_field_is_two_decades_of_energy(pair):
    _, target = pair
    distance = spectra.log_spectral_distance(10 * target, target)
    torch.testing.assert_close(distance, torch.full_like(distance, 2.0))
    torch.testing.assert_close(spectra.spectrum_error(10 * target, target), torch.full_like(distance, 99.0))


def test_wrong_extents_are_refused(pair):
    with pytest.raises(ValueError, match="extents, one for each spatial axis"):
        spectra.energy_spectrum(pair[0], extents=(1.0,) * 4)
