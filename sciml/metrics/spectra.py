"""Isotropic energy spectra of periodic fields on uniform grids, and how far two of them lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .metric import Metric
from .pair import Trajectories, field_pair, space_axes

_PerStep = Float[Tensor, "batch time channel"]


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Energy in shells of wavenumbers; its sum over the shells is the mean square of the field, exactly (Parseval).

    Attributes:
        wavenumber: middle of each shell, in waves per length of the longest side: 0, 1, 2, ...
        energy: in the field's unit squared. Halve the sum over velocity channels for a kinetic energy.
        resolved: how many shells fit wholly into the grid's spectrum; those beyond hold the corners only.
    """

    wavenumber: Float[Tensor, " shell"]
    energy: Float[Tensor, "batch time channel shell"]
    resolved: int


def energy_spectrum(u: Trajectories, *, extents: Sequence[float] | None = None) -> Spectrum:
    """Sum of |u_k|^2 over the modes whose wavenumber rounds to the shell's.

    Args:
        u: trajectories on a periodic grid in one to three dimensions.
        extents: length of the domain along each spatial axis; by default cells are square and the longest side is 1.

    Raises:
        ValueError: not trajectories, or as many extents as axes are not given.
    """
    u, _ = field_pair(u, u)
    sides = extents or tuple(float(n) for n in u.shape[3:])
    if len(sides) != u.ndim - 3:
        raise ValueError(f"Expected {u.ndim - 3} extents, one for each spatial axis, got {len(sides)}: {tuple(sides)}.")
    longest = max(sides)
    axes = [torch.fft.fftfreq(n, 1 / n, dtype=torch.float64) * (longest / side) for n, side in zip(u.shape[3:], sides)]
    wavenumber = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0).sqrt()
    shell = (wavenumber + 0.5).floor().long().flatten()
    power = torch.fft.fftn(u, dim=space_axes(u), norm="forward").abs().square().flatten(3)
    energy = power.new_zeros(*power.shape[:3], int(shell.max()) + 1).index_add(-1, shell.to(u.device), power)
    numbers = torch.arange(energy.shape[-1], dtype=energy.dtype, device=u.device)
    resolved = int(min(n / 2 * longest / side for n, side in zip(u.shape[3:], sides)))
    return Spectrum(numbers, energy, resolved)


def spectrum_error(
    prediction: Trajectories, target: Trajectories, *, extents: Sequence[float] | None = None
) -> _PerStep:
    """Sum over shells of |E_p - E_y| over the target's energy: blind to phases, ruled by the energetic scales."""
    first, second = _spectra(prediction, target, extents)
    return (first.energy - second.energy).abs().sum(-1) / second.energy.sum(-1)


def log_spectral_distance(
    prediction: Trajectories, target: Trajectories, *, extents: Sequence[float] | None = None
) -> _PerStep:
    """Root mean square over the resolved shells k >= 1 of log10 E_p / E_y, in decades: every scale counts alike.

    Infinite or NaN where a shell is empty in one of the two; give noisy or dealiased data to ``spectrum_error``
    instead.
    """
    first, second = _spectra(prediction, target, extents)
    ratio = (first.energy / second.energy)[..., 1 : second.resolved]
    return ratio.log10().square().mean(-1).sqrt()


def _spectra(prediction: Tensor, target: Tensor, extents: Sequence[float] | None) -> tuple[Spectrum, Spectrum]:
    prediction, target = field_pair(prediction, target)
    return energy_spectrum(prediction, extents=extents), energy_spectrum(target, extents=extents)


def _mean_error(prediction: Tensor, target: Tensor) -> Tensor:
    return spectrum_error(prediction, target).mean()


METRICS = {
    "spectra/error": Metric(
        "spectrum error", "mean_btc sum_k |E_p(k) - E_y(k)| / sum_k E_y(k), shells of width 1", _mean_error
    ),
}
