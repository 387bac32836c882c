"""Random initial states on periodic grids.

A sample depends on the generator and on the samples drawn before it, never on how many are drawn after: the first
fields of a batch are the same whatever its size. Everything is drawn in float64 on the generator's device, so that
float32 and CUDA states are roundings of the same field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def matern_spectrum(*, exponent: float, scale: float) -> Callable[[Tensor], Tensor]:
    """The power spectrum (|k|^2 + scale^2)^-exponent of an angular wave number |k|, smoother for a larger exponent.

    In d dimensions a field has m square-integrable derivatives where 2 (exponent - m) > d.
    """
    return lambda k: (k.square() + scale**2) ** -exponent


def gaussian_random_field(
    batch: int,
    shape: Sequence[int],
    *,
    spectrum: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    channels: int = 1,
    length: float | Sequence[float] = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch channel *space"]:
    """Stationary Gaussian fields of zero mean and unit variance, periodic, in any number of dimensions.

    Args:
        batch: number of fields.
        shape: points of each space axis.
        spectrum: relative power of a mode as a function of its angular wave number |k|; the mean, k = 0, is left out.
        generator: source of randomness; the fields lie on its device.
        channels: independent channels.
        length: of the box, one for all axes or one for each.
        dtype: of the fields.
    """
    axes = tuple(range(1, len(shape) + 1))
    power = spectrum(_wavenumber(shape, length, generator.device))
    power[(0,) * len(shape)] = 0.0
    amplitude = torch.sqrt(power / power.mean())[..., : shape[-1] // 2 + 1]
    fields = []
    for _ in range(batch):
        noise = torch.randn(channels, *shape, generator=generator, dtype=torch.float64, device=generator.device)
        fields.append(torch.fft.irfftn(amplitude * torch.fft.rfftn(noise, dim=axes), s=tuple(shape), dim=axes))
    return torch.stack(fields).to(dtype)


def sine_sums(
    batch: int,
    points: int,
    *,
    generator: torch.Generator,
    terms: int = 2,
    largest: int = 8,
    length: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch 1 points"]:
    """Sums of sines A sin(2 pi n x / length + phase), A in [0, 1], n in 1..largest, phase in [0, 2 pi).

    Source: M. Takamoto et al., "PDEBench: an extensive benchmark for scientific machine learning" (2022), eq. 8, the
    initial states of its advection and Burgers data without their random windows.
    """
    device = generator.device
    x = torch.arange(points, dtype=torch.float64, device=device) * (length / points)
    states = []
    for _ in range(batch):
        draw = torch.rand(3, terms, 1, generator=generator, dtype=torch.float64, device=device)
        amplitude, phase = draw[0], 2 * math.pi * draw[1]
        number = 1 + torch.floor(largest * draw[2])
        states.append((amplitude * torch.sin(2 * math.pi / length * number * x + phase)).sum(0, keepdim=True))
    return torch.stack(states).to(dtype)


def blobs(
    batch: int,
    shape: Sequence[int],
    *,
    generator: torch.Generator,
    count: int = 3,
    width: float = 0.1,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch 1 *space"]:
    """Sums of smooth periodic bumps at random places, of random heights in [0, 1].

    A bump is prod_axes exp((cos(2 pi (x - centre)) - 1) / (2 pi width)^2), close to a Gaussian of standard deviation
    ``width``, which is in units of the box.
    """
    device = generator.device
    states = []
    for _ in range(batch):
        draw = torch.rand(count, 1 + len(shape), generator=generator, dtype=torch.float64, device=device)
        total = draw[:, 0].reshape(-1, *([1] * len(shape)))
        for axis, points in enumerate(shape):
            x = torch.arange(points, dtype=torch.float64, device=device) / points
            bump = torch.exp((torch.cos(2 * math.pi * (x - draw[:, axis + 1, None])) - 1) / (2 * math.pi * width) ** 2)
            line = [1] * len(shape)
            line[axis] = points
            total = total * bump.reshape(count, *line)
        states.append(total.sum(0, keepdim=True))
    return torch.stack(states).to(dtype)


def _wavenumber(shape: Sequence[int], length: float | Sequence[float], device: torch.device) -> Tensor:
    """|k| on the full grid of modes.

    Raises:
        ValueError: there is not one positive length for each axis.
    """
    lengths = [float(length)] * len(shape) if isinstance(length, (int, float)) else [float(part) for part in length]
    if not shape or len(lengths) != len(shape) or min(lengths) <= 0:
        raise ValueError(f"Expected length > 0, one for all or one for each axis of {tuple(shape)}, got {length}.")
    square = torch.zeros((), dtype=torch.float64, device=device)
    for axis, (points, extent) in enumerate(zip(shape, lengths)):
        k = 2 * math.pi * torch.fft.fftfreq(points, d=extent / points, dtype=torch.float64, device=device)
        line = [1] * len(shape)
        line[axis] = points
        square = square + k.square().reshape(line)
    return torch.sqrt(square)
