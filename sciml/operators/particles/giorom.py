"""Neural operator for particle dynamics on sparse clouds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sciml.operators.physical import ChannelLike

from .box import Box, BoxLike
from .frame import ParticleFrame
from .giorom_config import ConfigLike, GIOROMConfig, parse_config
from .giorom_network import GIOROMNetwork
from .latent_grid import LatentGrid, half_period, latent_shape, spacing_of
from .simulator import ParticleSimulator


class GIOROM(ParticleSimulator):
    """Steps a sparse sample of a particle cloud; a decoder gives the dense one (see ``DenseView``).

    Viswanath, Chang, Berner, Chen, Bera, "Reduced-Order Neural Operators: Learning Lagrangian Dynamics on Highly Sparse
    Graphs", 2024, second generation: interaction operators on the graph of neighbours, a graph neural operator onto a
    latent grid, the transformer GNOT there, a graph neural operator back, interaction operators, an acceleration.
    ``PUBLISHED_3D`` and its like are the released networks; the defaults mend what docs/simulators.md lists.

    Args:
        channels: of the state, those of ``ParticleWindows`` or ``particle_channels``.
        box: that the particles live in.
        radius: within which particles see each other; see ``sparse_radius``.
        architecture: of the network.
        types: how many particle types there are.
        prescribed: types of particles that are not predicted.
        contain: stop particles at the walls.

    Raises:
        ValueError: an argument is out of its range, or the latent grid would miss particles.
    """

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        box: BoxLike,
        radius: float,
        architecture: ConfigLike = None,
        types: int = 9,
        prescribed: Sequence[int] = (),
        contain: bool = False,
    ) -> None:
        super().__init__(
            ParticleFrame(channels, box=box, radius=radius, types=types, prescribed=prescribed, contain=contain)
        )
        self.architecture = parse_config(architecture)
        self.config: dict[str, Any] = {**self.frame.config, "architecture": self.architecture.as_dict()}
        grid = _grid(self.architecture, self.frame.box, self.frame.radius)
        self.network = GIOROMNetwork(self.frame.features, self.frame.edge_features, types, grid, self.architecture)


def _grid(config: GIOROMConfig, box: Box, radius: float) -> LatentGrid:
    """The latent grid: as given, or as fine as the radius."""
    shape = config.grid or latent_shape(box, config.spacing * radius)
    if config.latent_radius is not None:
        return LatentGrid(box, shape, config.latent_radius, fixed=config.published, holes=config.published)
    spacing = max(spacing_of(box, shape, fixed=config.published))
    return LatentGrid(box, shape, min(1.5 * spacing, half_period(box)), fixed=config.published)
