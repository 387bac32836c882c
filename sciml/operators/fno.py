"""Fourier neural operator of the ``neuraloperator`` package.

Li, Kovachki, Azizzadenesheli, Liu, Bhattacharya, Stuart, Anandkumar, "Fourier Neural Operator for Parametric Partial
Differential Equations", 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.normalization import Normalization
from sciml.solvers.stepper import Step

from .neuralop import adopt, parse_modes
from .physical import (
    ChannelLike,
    advance,
    channel_dicts,
    check_field,
    dynamic_channels,
    parse_channels,
)


class FNO(nn.Module):
    """A Fourier neural operator as a stepper on fields over a regular grid of any size.

    The complex weights are held as real and imaginary parts, so that safetensors, ``.double()`` and
    ``DistributedDataParallel`` treat them like any parameter. Half-precision Fourier transforms are not generally
    available: the network runs in float32 under autocast. In float64 the package still rounds the spectra to complex64.
    It undoes the shift of the spectrum by the same shift, which on an odd number of points is not its inverse: along
    such an axis (the last excepted) a periodic FNO does not commute with translations.

    Args:
        channels: of the state, as ``Channel``, name or dict; static ones are inputs only.
        dim: axes of space, 1, 2 or 3.
        modes: wavenumbers kept, up to this one in both directions; one for all axes or one for each.
        width: features of the Fourier layers.
        layers: Fourier layers.
        periodic: whether the domain is; otherwise the coordinates, 0 to 1 along each axis, are inputs too.
        residual: predict the increment over dt (default), or the state after dt itself.

    Raises:
        ImportError: the package is not installed.
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        dim: int = 2,
        modes: int | Sequence[int] = 8,
        width: int = 32,
        layers: int = 4,
        periodic: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__()
        if dim not in (1, 2, 3):
            raise ValueError(f"Expected dim 1, 2 or 3, got {dim}.")
        self.channels = parse_channels(channels)
        self.dim, self.residual = dim, residual
        self.modes = parse_modes(modes, dim)
        self.config: dict[str, Any] = {
            "channels": channel_dicts(self.channels),
            "dim": dim,
            "modes": list(self.modes),
            "width": width,
            "layers": layers,
            "periodic": periodic,
            "residual": residual,
        }
        self.normalization = Normalization(len(self.channels))
        inputs = len(self.channels) + 1 + (0 if periodic else dim)  # with dt, and the coordinates
        outputs = len(dynamic_channels(self.channels))
        network = adopt(_build(self.modes, inputs, outputs, width, layers), self)
        self.network = _Network(network, coordinates=not periodic)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], u: Float[Tensor, "batch channel *space"]
    ) -> Step:
        """The state after dt, in the units of ``u``. The dynamics are taken as autonomous: t is not read.

        Raises:
            ValueError: u has other axes or channels, or a grid too coarse for the modes.
        """
        check_field(u, dt, self.channels, self.dim)
        if any(n < 2 * modes for n, modes in zip(u.shape[2:], self.modes)):
            raise ValueError(
                f"Expected at least {tuple(2 * modes for modes in self.modes)} points for modes={self.modes}, "
                f"got {tuple(u.shape[2:])}. Give fewer modes."
            )
        y = advance(
            self.network, dt, u, channels=self.channels, normalization=self.normalization, residual=self.residual
        )
        return Step(y=y)


class _Network(nn.Module):
    """The package's network with the relative time step, and the coordinates, as further constant inputs."""

    def __init__(self, fno: nn.Module, *, coordinates: bool) -> None:
        super().__init__()
        self.fno = fno
        self.coordinates = coordinates

    def forward(self, u: Tensor, lead: Tensor) -> Tensor:
        with torch.autocast(u.device.type, enabled=False):
            u = u.to(next(self.fno.parameters()).dtype)
            constant = lead.to(u.dtype).reshape(-1, 1, *([1] * (u.dim() - 2)))
            inputs = [u, constant.expand(-1, 1, *u.shape[2:])]
            if self.coordinates:
                inputs.append(_coordinates(u))
            return self.fno(torch.cat(inputs, dim=1))


def _build(modes: tuple[int, ...], inputs: int, outputs: int, width: int, layers: int) -> nn.Module:
    try:
        # Imported here: it takes seconds and imports loggers of its own.
        from neuralop.models import FNO as Network
    except ImportError as error:
        raise ImportError("FNO needs the package neuraloperator: pip install 'sciml[baselines]'.") from error
    return Network(
        n_modes=tuple(2 * k for k in modes),
        in_channels=inputs,
        out_channels=outputs,
        hidden_channels=width,
        n_layers=layers,
        positional_embedding=None,  # its grid stays behind on the device of the first call
    )


def _coordinates(u: Tensor) -> Tensor:
    """Coordinates from 0 to 1 along each axis, (batch, dim, *space)."""
    axes = [torch.linspace(0, 1, n, dtype=u.dtype, device=u.device) for n in u.shape[2:]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(u), *([-1] * (u.dim() - 1)))
