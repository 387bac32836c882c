"""What GIOROM's network is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class GIOROMConfig:
    """Sizes of the time-stepper with a neural operator transformer on a latent grid. Defaults are ours.

    Attributes:
        steps: interaction operators before the latent grid, and as many after it.
        width: of particles, edges and their hidden layers.
        layers, transformer_width, heads, experts, dropout: of the transformer.
        token: features of a grid node that the transformer reads.
        to_grid: widths of the hidden layers of the kernel from particles to the grid, and of its output.
        from_grid: widths of the hidden layers of the kernel from the grid to particles.
        projection: widths of the hidden layers after that.
        spacing: of the grid over the particles' radius; without effect where ``grid`` is given.
        grid: nodes along each axis; None for as many as the spacing takes.
        latent_radius: within which particles and grid see each other; None for 1.5 spacings of the grid.
        published: the network of the released code, to the parameter: the kernels see the source's place alone, the
            gate of the experts reads features instead of the place, the grid is fixed to the box.
    """

    steps: int = 2
    width: int = 128
    layers: int = 2
    transformer_width: int = 128
    heads: int = 4
    experts: int = 2
    dropout: float = 0.0
    token: int = 64
    to_grid: tuple[int, ...] = (64, 64, 64)
    from_grid: tuple[int, ...] = (32, 64)
    projection: tuple[int, ...] = ()
    spacing: float = 1.0
    grid: tuple[int, ...] | None = None
    latent_radius: float | None = None
    published: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "width", "layers", "transformer_width", "heads", "experts", "token"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} >= 1, got {getattr(self, name)}.")
        if not self.to_grid or self.to_grid[-1] > self.token or (self.to_grid[-1] < self.token and not self.published):
            raise ValueError(
                f"Expected to_grid to end in token={self.token}, the features of a grid node, got {self.to_grid}."
            )
        for name in ("spacing", "latent_radius"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Expected {name} > 0, got {value}.")

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it; ``parse_config`` takes it back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


ConfigLike: TypeAlias = GIOROMConfig | Mapping[str, Any] | None


def parse_config(config: ConfigLike) -> GIOROMConfig:
    """A configuration given as such, as the dict of a stored one, or None for the defaults."""
    if isinstance(config, GIOROMConfig):
        return config
    stored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in (config or {}).items()}
    return GIOROMConfig(**stored)


_RELEASED = GIOROMConfig(
    published=True, layers=1, transformer_width=256, dropout=0.3, token=64, to_grid=(32, 64, 64), grid=(16, 16, 16)
)

# The released code's classes, with the parameters they have.
PUBLISHED_3D = GIOROMConfig(**{**asdict(_RELEASED), "latent_radius": 0.125})
"""Defaults of its classes, in all published weights: 2,387,669 parameters."""
PUBLISHED_3D_SMALL = GIOROMConfig(
    **{**asdict(_RELEASED), "layers": 2, "token": 128, "projection": (256, 256), "latent_radius": 0.165}
)
"""giorom3d_T: 3,690,199 parameters. As released it cannot run, since its kernel makes 64 of the 128 features that the
transformer reads; here the others are 0."""
PUBLISHED_3D_LARGE = GIOROMConfig(
    **{
        **asdict(_RELEASED),
        "steps": 4,
        "layers": 3,
        "to_grid": (112, 86, 64),
        "grid": (12, 12, 12),
        "latent_radius": 0.025,
    }
)
"""giorom3d_T_large: 5,344,591 parameters. On the unit box its radius leaves holes, which is warned of."""
PUBLISHED_2D = GIOROMConfig(
    **{
        **asdict(_RELEASED),
        "layers": 2,
        "token": 32,
        "to_grid": (32, 64, 32),
        "grid": (32, 32),
        "latent_radius": 0.024,
    }
)
"""giorom2d_T: 3,493,694 parameters."""
