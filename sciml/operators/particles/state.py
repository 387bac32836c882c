"""The state of a particle simulator: the last positions of all particles, oldest first, and constants.

The state is (batch, node, window * dim + static). Its channels say which is which: ``position_x[-1]`` is x one frame
ago (static, as it is not predicted), ``position_x`` the newest one, the rest constants of a particle: its
``particle_type`` (-1 for a place that no particle fills), where it is while its body is at rest (``reference_x``, ...,
for elastic bodies, whose forces no positions of the last frames could tell), and any others, which the network reads:
material parameters, the components of gravity, constants of the whole sample repeated for each of its particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.datasets.particles import PARTICLE_TYPE
from sciml.operators.physical import ChannelLike, parse_channels

PADDING = -1
"""The type of a place that no particle fills."""


def particle_channels(
    dim: int, window: int = 6, *, static: Sequence[Channel | str] = (PARTICLE_TYPE,), units: str = ""
) -> tuple[Channel, ...]:
    """The channels of a state.

    Args:
        dim: axes of space.
        window: positions that it holds.
        static: what is constant: the type and other inputs, as channels or names.
        units: of the positions.
    """
    ages = [f"[-{age}]" for age in range(window - 1, 0, -1)] + [""]
    positions = [
        Channel(f"position_{axis}{age}", units, field="position", component=axis, static=age != "")
        for age in ages
        for axis in "xyz"[:dim]
    ]
    named = [Channel(c, static=True) if isinstance(c, str) else c for c in static]
    return (*positions, *named)


def reference_channels(dim: int, units: str = "") -> tuple[Channel, ...]:
    """Where a particle is while its body is at rest: constants that a state may hold."""
    return tuple(
        Channel(f"reference_{axis}", units, field="reference", component=axis, static=True) for axis in "xyz"[:dim]
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie in a state.

    Attributes:
        channels: of the state.
        dim: axes of space.
        window: positions it holds.
        type_at: channel of the particle type, None where there is none (all are of type 0 then).
        reference: channels of the position at rest, none where the state does not hold it.
        inputs: channels of the other constants.
    """

    channels: tuple[Channel, ...]
    dim: int
    window: int
    type_at: int | None
    reference: tuple[int, ...]
    inputs: tuple[int, ...]

    @classmethod
    def of(cls, channels: Sequence[ChannelLike]) -> Layout:
        """The layout that the channels of a state describe.

        Raises:
            ValueError: they are not those of ``particle_channels``.
        """
        parsed = parse_channels(channels)
        dim = sum(not channel.static for channel in parsed)
        positions = [channel for channel in parsed if channel.field == "position"]
        window = len(positions) // dim
        constants = parsed[window * dim :]
        expected = particle_channels(dim, max(window, 1), static=constants)
        if dim > 3 or window < 2 or [c.name for c in expected] != [c.name for c in parsed]:
            raise ValueError(
                "Expected the channels of at least two positions, oldest first, then constants, got "
                f"{[channel.name for channel in parsed]}. Take those of ParticleWindows, or particle_channels(dim, 6)."
            )
        numbers = range(window * dim, len(parsed))
        kinds = [k for k in numbers if parsed[k].name == PARTICLE_TYPE.name]
        reference = [k for k in numbers if parsed[k].field == "reference"]
        if reference and [parsed[k].name for k in reference] != [c.name for c in reference_channels(dim)]:
            raise ValueError(
                f"Expected {[c.name for c in reference_channels(dim)]}, the position at rest, or none of them, got "
                f"{[parsed[k].name for k in reference]}."
            )
        inputs = tuple(k for k in numbers if k not in (*kinds, *reference))
        return cls(parsed, dim, window, kinds[0] if kinds else None, tuple(reference), inputs)

    @property
    def moving(self) -> int:
        """Channels that hold positions."""
        return self.window * self.dim

    def pack(
        self,
        frames: Float[Tensor, "batch time node _"],
        static: Float[Tensor, "batch node _"] | None = None,
    ) -> Float[Tensor, "batch node channel"]:
        """The state after ``window`` frames, oldest first.

        Args:
            frames: positions; or positions and constants, as data sets give them, with ``static`` left out.
            static: the constants.

        Raises:
            ValueError: other numbers of frames or channels.
        """
        constants = len(self.channels) - self.moving
        if static is None and constants and frames.shape[-1] == self.dim + constants:
            frames, static = frames[..., : self.dim], frames[:, -1, :, self.dim :]
        if frames.shape[1] != self.window or frames.shape[-1] != self.dim:
            raise ValueError(
                f"Expected frames of shape (batch, {self.window}, node, {self.dim}), got {tuple(frames.shape)}. "
                f"Take frames[:, :{self.window}], and the constants as static=...."
            )
        found = 0 if static is None else static.shape[-1]
        if found != constants:
            names = [channel.name for channel in self.channels[self.moving :]]
            raise ValueError(f"Expected static of {constants} channels {names}, got {found}.")
        stacked = frames.transpose(1, 2).flatten(2)
        return stacked if static is None else torch.cat([stacked, static.to(stacked)], dim=-1)

    def newest(self, y: Float[Tensor, "*batch channel"]) -> Float[Tensor, "*batch dim"]:
        """The last positions, of a state or of ``Solution.ys``."""
        return y[..., self.moving - self.dim : self.moving]

    def check(self, y: Tensor, dt: Tensor) -> None:
        """Refuse what is not a state: ValueError."""
        if y.dim() != 3 or y.shape[2] != len(self.channels):
            raise ValueError(
                f"Expected a state of shape (batch, node, {len(self.channels)}), {self.window} positions and then "
                f"{[c.name for c in self.channels[self.moving :]]}, got {tuple(y.shape)}. Make it with pack(...)."
            )
        if dt.shape != y.shape[:1]:
            raise ValueError(f"Expected dt of shape ({len(y)},), one per sample, got {tuple(dt.shape)}.")


@dataclass(frozen=True, slots=True)
class Particles:
    """A state taken apart.

    Attributes:
        positions: oldest first; 0 where there is no particle.
        types: at least 0.
        real: where there is a particle.
        prescribed: which of them move as they are told.
        reference: where they are while their body is at rest, None where the state does not hold it.
        inputs: the other constants, in their own units.
    """

    positions: Float[Tensor, "batch window node dim"]
    types: Int[Tensor, "batch node"]
    real: Bool[Tensor, "batch node"]
    prescribed: Bool[Tensor, "batch node"]
    reference: Float[Tensor, "batch node dim"] | None
    inputs: Float[Tensor, "batch node input"]

    @property
    def newest(self) -> Float[Tensor, "batch node dim"]:
        """The last positions."""
        return self.positions[:, -1]

    @property
    def free(self) -> Bool[Tensor, "batch node"]:
        """The particles whose motion is predicted."""
        return self.real & ~self.prescribed


def read_particles(
    y: Float[Tensor, "batch node channel"], layout: Layout, *, types: int, prescribed: Sequence[int] = ()
) -> Particles:
    """Take a state apart.

    Args:
        y: the state.
        layout: where things lie in it.
        types: how many types there are.
        prescribed: those that move as they are told.

    Raises:
        ValueError: a position is NaN or infinite, or a type is not known.
    """
    batch, node, _ = y.shape
    if layout.type_at is None:
        kinds = torch.zeros(batch, node, dtype=torch.long, device=y.device)
    else:
        kinds = y[..., layout.type_at].round().long()
    real = kinds != PADDING
    positions = y[..., : layout.moving].reshape(batch, node, layout.window, layout.dim).transpose(1, 2)
    positions = torch.where(real[:, None, :, None], positions, torch.zeros_like(positions))
    reference, inputs = (_constants(y, numbers, real) for numbers in (layout.reference, layout.inputs))
    if not torch.compiler.is_compiling():
        _refuse_bad(positions, torch.cat([inputs, reference], dim=-1), kinds, types)
    told = torch.zeros_like(real)
    for kind in prescribed:
        told = told | (kinds == kind)
    return Particles(positions, kinds.clamp(min=0), real, told, reference if layout.reference else None, inputs)


def _constants(y: Tensor, numbers: Sequence[int], real: Tensor) -> Tensor:
    """Channels of a state, 0 where there is no particle."""
    chosen = torch.cat([y[..., k : k + 1] for k in numbers], dim=-1) if numbers else y[..., :0]
    return torch.where(real[..., None], chosen, torch.zeros_like(chosen))


def _refuse_bad(positions: Tensor, inputs: Tensor, kinds: Tensor, types: int) -> None:
    bad = ~positions.isfinite().all(dim=3).all(dim=1) | ~inputs.isfinite().all(dim=2)
    if bool(bad.any()):
        sample, node = (int(k) for k in bad.nonzero()[0])
        raise ValueError(
            f"Expected finite positions and constants, got {positions[sample, -1, node].tolist()} and "
            f"{inputs[sample, node].tolist()} for particle {node} of sample {sample}, one of {int(bad.sum())}. "
            "Check the data; in a rollout, train with noise or take fewer steps."
        )
    known = (kinds >= PADDING) & (kinds < types)
    if not bool(known.all()):
        raise ValueError(
            f"Expected particle types from {PADDING} (no particle) to {types - 1}, got {int(kinds[~known][0])}. "
            "Make the operator with more types=...."
        )
