"""Geometry-informed neural operator of the ``neuraloperator`` package, as a simulator of particles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.operators.neuralop import adopt, parse_modes
from sciml.operators.physical import ChannelLike

from .box import BoxLike
from .frame import ParticleFrame
from .graph import ParticleGraph
from .simulator import ParticleSimulator


class GINO(ParticleSimulator):
    """Particles to a regular grid by a graph neural operator, a Fourier neural operator there, and back.

    Li, Kovachki, Choy, Li, Kossaifi, Otta, Nabian, Stadler, Hundt, Azizzadenesheli, Anandkumar, "Geometry-Informed
    Neural Operator for Large-Scale 3D PDEs", 2023, with the package's layers; an acceleration of each particle from its
    velocities, its walls and its type. It sees particles through the grid alone, and not where they are at rest. Its
    search compares all points with all nodes: it is a baseline, not for large clouds. The package's integrals are of
    float32, and so is this network, whatever the state and ``model.double()``.

    Args:
        channels: of the state, those of ``ParticleWindows`` or ``particle_channels``.
        box: that the particles live in, with walls on all sides.
        radius: within which a node and a particle see each other; nodes are half as far apart.
        modes: wavenumbers kept along each axis.
        width: of the Fourier layers.
        layers: Fourier layers.
        types: how many particle types there are.
        prescribed: types of particles that are not predicted.
        contain: stop particles at the walls.

    Raises:
        ImportError: the package is not installed.
        ValueError: an argument is out of its range, the box is periodic, or its grid too coarse for the modes.
    """

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        box: BoxLike,
        radius: float,
        modes: int | Sequence[int] = 8,
        width: int = 32,
        layers: int = 4,
        types: int = 9,
        prescribed: Sequence[int] = (),
        contain: bool = False,
    ) -> None:
        super().__init__(
            ParticleFrame(channels, box=box, radius=radius, types=types, prescribed=prescribed, contain=contain)
        )
        kept = parse_modes(modes, self.frame.layout.dim)
        self.config: dict[str, Any] = {**self.frame.config, "modes": list(kept), "width": width, "layers": layers}
        self.network = _Network(self, self.frame, kept, width, layers)


class _Network(nn.Module):
    nodes: Tensor

    def __init__(self, owner: nn.Module, frame: ParticleFrame, modes: tuple[int, ...], width: int, layers: int) -> None:
        super().__init__()
        box = frame.box
        if any(box.periodic):
            raise ValueError(f"Expected a box with walls on all sides, which is all that GINO searches, got {box}.")
        self.box, self.types, self.dim = box, frame.types, frame.layout.dim
        shape = [int(2 * side / frame.radius) + 2 for side in box.sides]
        if any(n < 2 * k for n, k in zip(shape, modes)):
            raise ValueError(
                f"Expected modes up to half the {shape} nodes, got {modes}. Give fewer, or a smaller radius."
            )
        network = _build(frame.features + frame.types, self.dim, modes, width, layers, frame.radius / max(box.sides))
        self.gino = adopt(network, owner)
        axes = [torch.linspace(0, side / max(box.sides), n) for side, n in zip(box.sides, shape)]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        self.register_buffer("nodes", grid[None], persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Network:
        super()._apply(lambda tensor: fn(tensor).to(tensor.dtype), recurse)
        return self

    def forward(self, graph: ParticleGraph) -> Tensor:
        with torch.autocast(graph.nodes.device.type, enabled=False):
            return self._accelerations(graph)

    def _accelerations(self, graph: ParticleGraph) -> Tensor:
        features = torch.cat([graph.nodes, F.one_hot(graph.types, self.types).to(graph.nodes)], dim=-1)
        low, _ = self.box.corners(graph.positions)
        places = ((graph.positions - low) / max(self.box.sides)).to(features)
        batch, count, _ = places.shape
        found = features.new_zeros(batch, count, self.dim)
        # The package takes one geometry at a time.
        for row, (x, real, own) in enumerate(zip(places, graph.real, features.unflatten(0, (batch, count)))):
            here = x[real][None]
            found[row, real] = self.gino(here, self.nodes.to(here), here, own[real][None])[0]
        return found.flatten(0, 1)


def _build(inputs: int, dim: int, modes: tuple[int, ...], width: int, layers: int, radius: float) -> nn.Module:
    try:
        from neuralop.models import GINO as Network  # takes seconds
    except ImportError as error:
        raise ImportError("GINO needs the package neuraloperator: pip install 'sciml[baselines]'.") from error
    return Network(
        in_channels=inputs,
        out_channels=dim,
        gno_coord_dim=dim,
        in_gno_radius=radius,
        out_gno_radius=radius,
        in_gno_transform_type="nonlinear",
        fno_in_channels=width,
        fno_n_modes=tuple(2 * k for k in modes),
        fno_hidden_channels=width,
        fno_n_layers=layers,
        in_gno_channel_mlp_hidden_layers=[2 * width, 2 * width],
        out_gno_channel_mlp_hidden_layers=[2 * width, 2 * width],
        gno_use_open3d=False,
        gno_use_torch_scatter=False,
    )
