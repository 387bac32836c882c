"""Dynamic mode decomposition: the best linear map from one snapshot to the next, and its fractional powers.

Tu, Rowley, Luchtenburg, Brunton, Kutz, "On dynamic mode decomposition: theory and applications", 2014, in one pass over
the data as in Hemati, Williams, Rowley, "Dynamic mode decomposition for large and streaming datasets", 2014, its basis
grown as in Brand, "Incremental singular value decomposition of uncertain data with missing values", 2002.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.normalization import Normalization, PerChannel, shaped
from sciml.solvers.stepper import Step

from .physical import (
    ChannelLike,
    channel_dicts,
    check_field,
    dynamic_channels,
    parse_channels,
    replace_channels,
    take,
)

_CAPACITY = 256  # directions kept while the data streams by, where the rank is chosen by energy
_NOISE = 1e-12  # relative size below which a direction of the data is rounding


@dataclass(frozen=True, slots=True)
class LeastSquares:
    """How the map is fitted.

    Attributes:
        ridge: Tikhonov weight, as a fraction of the mean energy of a kept direction.
        total: also allow for noise in the earlier snapshots, which otherwise damps the eigenvalues (Hemati, Rowley,
            Deem, Cattafesta, "De-biasing the dynamic mode decomposition for applied Koopman spectral analysis", 2017).
    """

    ridge: float = 0.0
    total: bool = False


class LinearDMD(nn.Module):
    """A linear stepper: y(t + dt) = u + U (A^(dt / dt_fit) - I) U^T u, with A fitted on POD coefficients.

    U spans the leading directions of the snapshots (each channel divided by its std, the mean kept: a steady part is a
    mode of eigenvalue 1). What of u lies outside stays as it is, so that dt = 0 is the identity and steps compose.
    Powers of A are taken through its eigenvalues: any dt is honoured, exactly so for data of a linear flow sampled
    faster than twice per oscillation. An eigenvalue on the negative half-line has no real fractional power; the real
    part is returned. Nothing is trained: make it with ``LinearDMD.fit``. As constructed, or before its ``state_dict``
    is loaded, it is persistence.

    Args:
        channels: of the state, as ``Channel``, name or dict; static ones are inputs only.
        shape: points along each axis of the grid; the map belongs to it.
        rank: directions of U.
        stable: read eigenvalues of modulus above 1 as of modulus 1, so that no rollout grows without bound.
    """

    basis: Tensor
    growth: Tensor
    angle: Tensor
    modes: Tensor
    inverse: Tensor

    def __init__(
        self, channels: Sequence[ChannelLike], *, shape: Sequence[int], rank: int, stable: bool = True
    ) -> None:
        super().__init__()
        self.channels = parse_channels(channels)
        self.shape, self.rank, self.stable = tuple(shape), rank, stable
        self.config: dict[str, Any] = {
            "channels": channel_dicts(self.channels),
            "shape": list(self.shape),
            "rank": rank,
            "stable": stable,
        }
        self.normalization = Normalization(len(self.channels))
        # Eigenvectors can be far from orthogonal: they are kept in float64, and as real and imaginary parts.
        self.register_buffer("basis", torch.zeros(len(self.channels) * math.prod(self.shape), rank))
        self.register_buffer("growth", torch.zeros(rank, dtype=torch.float64))
        self.register_buffer("angle", torch.zeros(rank, dtype=torch.float64))
        self.register_buffer("modes", torch.zeros(rank, rank, 2, dtype=torch.float64))
        self.register_buffer("inverse", torch.zeros(rank, rank, 2, dtype=torch.float64))

    @classmethod
    def fit(
        cls,
        pairs: Iterable[tuple[Tensor, Tensor]],
        channels: Sequence[ChannelLike],
        *,
        dt: float,
        std: PerChannel | None = None,
        rank: int | float = 0.9999,
        regression: LeastSquares | None = None,
        stable: bool = True,
    ) -> LinearDMD:
        """The map fitted to pairs of snapshots, read once, in batches.

        Memory is that of the basis in float64, 8 bytes times the values of a state times twice the larger of 256 (or
        twice the rank, where it is given) and the length of a batch.

        Args:
            pairs: batches of states and of the states dt later, each (batch, channel, *space).
            channels: of the states.
            dt: time between the states of a pair.
            std: (channel,), what each channel is divided by before energies are compared; 1 by default.
            rank: directions kept, or, as a float below 1, the share of the snapshots' energy to keep.
            regression: how the map is fitted; plain least squares by default.
            stable: see the class.

        Raises:
            ValueError: there are no pairs, they disagree in shape, hold NaN, or an argument is out of its range.
        """
        if not (rank >= 1 if isinstance(rank, int) else 0 < rank < 1):
            raise ValueError(f"Expected rank as an int >= 1 or a share of the energy in (0, 1), got {rank!r}.")
        channels = parse_channels(channels)
        spread = torch.ones(len(channels)) if std is None else std
        scales = Normalization(len(channels)).double()
        scales.set(torch.zeros(len(channels)), spread, spread, dt)
        stream = _Stream(2 * rank if isinstance(rank, int) else _CAPACITY)
        like = None
        for u, y in pairs:
            like = _check_pair(u, y, like, len(channels))
            scales.to(u.device)
            stream.update(*(scales.encode(state.double()).flatten(1).T for state in (u, y)))
        if like is None:
            raise ValueError("Expected at least one batch of pairs, got none.")
        basis, step = stream.solve(rank, regression or LeastSquares())
        fitted = cls(channels, shape=like.shape[2:], rank=basis.shape[1], stable=stable).to(like.device)
        if like.dtype == torch.float64:
            fitted = fitted.double()
        fitted.normalization.load_state_dict(scales.state_dict())
        fitted._set(basis, step)
        return fitted

    @property
    def eigenvalues(self) -> Tensor:
        """The factors of the modes over the dt of the fit, (rank,) complex, before ``stable`` clips them."""
        return torch.polar(self.growth.exp(), self.angle)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], u: Float[Tensor, "batch channel *space"]
    ) -> Step:
        """The state after dt, in the units of ``u``.

        Raises:
            ValueError: u has other channels or another grid than the map was fitted on.
        """
        check_field(u, dt, self.channels, len(self.shape))
        if u.shape[2:] != self.shape:
            raise ValueError(f"Expected the grid {self.shape} that the map was fitted on, got {tuple(u.shape[2:])}.")
        scale = shaped(self.normalization.std, u)
        coefficients = (u / scale).flatten(1).to(self.basis.dtype) @ self.basis
        change = self._power_minus_one(self.normalization.lead(dt), coefficients).to(self.basis.dtype)
        increment = ((change @ self.basis.T).reshape(u.shape) * scale).to(u.dtype)
        dynamic = dynamic_channels(self.channels)
        return Step(y=replace_channels(u, take(u + increment, dynamic), dynamic))

    def _power_minus_one(self, lead: Tensor, coefficients: Tensor) -> Tensor:
        """(A^lead - I) applied to the POD coefficients (batch, rank)."""
        growth = self.growth.clamp(max=0.0) if self.stable else self.growth
        factors = torch.polar((lead[:, None] * growth).exp().double(), (lead[:, None] * self.angle).double()) - 1
        modes, inverse = (torch.view_as_complex(pair.double()) for pair in (self.modes, self.inverse))
        return (coefficients.to(modes.dtype) @ inverse.T * factors @ modes.T).real

    def _set(self, basis: Tensor, step: Tensor) -> None:
        """Take the map ``step`` (rank, rank) on the coefficients of ``basis`` (n, rank)."""
        eigenvalues, modes = torch.linalg.eig(step)
        self.basis.copy_(basis)
        self.growth.copy_(eigenvalues.abs().clamp(min=1e-300).log())  # a mode that vanishes in one step
        self.angle.copy_(eigenvalues.angle())
        self.modes.copy_(torch.view_as_real(modes))
        self.inverse.copy_(torch.view_as_real(torch.linalg.pinv(modes)))


class _Stream:
    """An orthonormal basis of the snapshots seen, and the second moments of the pairs in it."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.basis = torch.zeros(0, 0)  # (n, m)
        self.moments = torch.zeros(2, 0, 2, 0)  # [earlier or later, m, earlier or later, m]

    def update(self, before: Float[Tensor, "n pairs"], after: Float[Tensor, "n pairs"]) -> None:
        """Add pairs of snapshots, the columns of two float64 matrices."""
        if not len(self.basis):
            self.basis = before.new_zeros(len(before), 0)
            self.moments = self.moments.to(before)
        self._grow(torch.cat([before, after], dim=1))
        pairs = torch.stack([self.basis.T @ before, self.basis.T @ after])
        self.moments = self.moments + torch.einsum("imp,jnp->imjn", pairs, pairs)
        if self.basis.shape[1] > self.capacity:
            self._rotate(self._directions()[1][:, : self.capacity])

    def solve(self, rank: int | float, regression: LeastSquares) -> tuple[Tensor, Tensor]:
        """The basis cut to its leading directions, and the least-squares map between coefficients in it."""
        energies, directions = self._directions()
        present = int((energies > 0.01 * _NOISE * energies[:1]).sum())
        if present == 0:
            raise ValueError("Expected snapshots that are not all zero.")
        if isinstance(rank, float):
            share = energies.cumsum(0) / energies.sum()
            rank = int((share < rank).sum()) + 1
        self._rotate(directions[:, : min(rank, present)])
        return self.basis, _regress(self.moments, regression)

    def _directions(self) -> tuple[Tensor, Tensor]:
        """Energies of the snapshots' principal directions, falling, and the directions in the basis, as columns."""
        energies, directions = torch.linalg.eigh(self.moments[0, :, 0] + self.moments[1, :, 1])
        return energies.flip(0), directions.flip(1)

    def _grow(self, snapshots: Tensor) -> None:
        """Add to the basis the directions in which the snapshots leave it."""
        size = torch.linalg.matrix_norm(snapshots)
        for _ in range(2):  # once leaves rounding of the size of the snapshots
            snapshots = snapshots - self.basis @ (self.basis.T @ snapshots)
        directions, lengths, _ = torch.linalg.svd(snapshots, full_matrices=False)
        new = directions[:, lengths > _NOISE * size]
        grown = self.moments.new_zeros(2, self.basis.shape[1] + new.shape[1], 2, self.basis.shape[1] + new.shape[1])
        grown[:, : self.basis.shape[1], :, : self.basis.shape[1]] = self.moments
        self.basis, self.moments = torch.cat([self.basis, new], dim=1), grown

    def _rotate(self, directions: Tensor) -> None:
        self.basis = self.basis @ directions
        self.moments = torch.einsum("imjn,mk,nl->ikjl", self.moments, directions, directions)


def _regress(moments: Tensor, regression: LeastSquares) -> Tensor:
    """The map (rank, rank) from the coefficients of earlier snapshots to those of later ones."""
    rank = moments.shape[1]
    if regression.total:
        _, directions = torch.linalg.eigh(moments.reshape(2 * rank, 2 * rank))
        return directions[rank:, rank:] @ torch.linalg.pinv(directions[:rank, rank:])
    gram = moments[0, :, 0]
    ridge = regression.ridge * gram.trace() / rank
    gram = gram + ridge * torch.eye(rank, dtype=gram.dtype, device=gram.device)
    return moments[1, :, 0] @ torch.linalg.pinv(gram, hermitian=True, rtol=_NOISE)


def _check_pair(u: Tensor, y: Tensor, like: Tensor | None, channels: int) -> Tensor:
    """``u``, if it and ``y`` can be taken together with the pairs before."""
    if u.shape != y.shape or u.dim() < 2 or u.shape[1] != channels or not len(u):
        raise ValueError(
            f"Expected pairs of states, both of shape (batch, {channels}, *space), got {tuple(u.shape)} "
            f"and {tuple(y.shape)}."
        )
    if like is not None and u.shape[2:] != like.shape[2:]:
        raise ValueError(f"Expected every pair on the grid {tuple(like.shape[2:])}, got {tuple(u.shape[2:])}.")
    if not bool(torch.isfinite(u).all() and torch.isfinite(y).all()):
        raise ValueError("Expected finite pairs, got NaN or infinity. Fill masked points or leave those pairs out.")
    return u
