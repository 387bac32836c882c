"""The compressible Euler equations of an ideal gas, by finite volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..finite_volume import (
    MUSCL,
    AxisBoundary,
    PiecewiseConstant,
    Positive,
    Reconstruction,
    flux_divergence,
    minmod,
    periodic,
    van_leer,
)
from ..ideal_gas import is_physical, sound_speed, to_conserved, to_primitive
from ..riemann import NumericalFlux, hllc
from ..runge_kutta import advance
from ..stepper import Step
from ..tableaus.ssprk3 import SSPRK3
from .parameter import register

SECOND_ORDER = MUSCL(van_leer)
"""The reconstruction unless told otherwise."""

FALLBACKS: tuple[Reconstruction, ...] = (MUSCL(minmod), PiecewiseConstant())
"""What a substep is repeated with, in turn, for a sample in which it left a density or pressure not positive."""


class EulerEquations(nn.Module):
    """The vector field ``(t, u) -> du/dt`` of the conserved variables (density, momentum, total energy).

    For any time scheme of the library: ``RungeKutta(EulerEquations(spacing), SSPRK3)``. The caller keeps dt below
    ``cfl_dt``; ``Euler`` does so itself.

    Args:
        spacing: cell size, one for all axes or one for each.
        gamma: ratio of specific heats, a float or (batch,); an ``nn.Parameter`` is learned.
        boundary: ``periodic``, ``outflow``, ``wall`` or a pair (low, high) of them, for all axes; or a list, one entry
            per axis.
        reconstruction: of the primitive variables: ``MUSCL(limiter)``, ``WENO5()`` or ``PiecewiseConstant()``. Where it
            gives a density or pressure near or below zero, first order is used.
        flux: ``hllc`` or ``rusanov``.

    Raises:
        ValueError: spacing or gamma - 1 is not positive.
    """

    gamma: Tensor

    def __init__(
        self,
        spacing: float | Sequence[float],
        *,
        gamma: float | Float[Tensor, " batch"] = 1.4,
        boundary: AxisBoundary | list[AxisBoundary] = periodic,
        reconstruction: Reconstruction = SECOND_ORDER,
        flux: NumericalFlux = hllc,
    ) -> None:
        super().__init__()
        lengths = (spacing,) if isinstance(spacing, (int, float)) else tuple(spacing)
        if not all(length > 0 for length in lengths):
            raise ValueError(f"Expected spacing > 0, got {spacing}.")
        if not bool((torch.as_tensor(gamma) > 1).all()):
            raise ValueError(f"Expected gamma > 1, the ratio of specific heats, got {gamma}.")
        self.spacing, self.boundary, self.flux = lengths, boundary, flux
        self.reconstruction = Positive(reconstruction, channels=(0, -1))
        register(self, gamma=gamma)

    def forward(
        self, t: Float[Tensor, " batch"], u: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch channel *space"]:
        """du/dt of the conserved variables; t plays no part."""
        gamma = self.gamma_of(u)
        return self.rate(to_primitive(u, gamma), gamma)

    def rate(
        self,
        primitive: Float[Tensor, "batch channel *space"],
        gamma: Float[Tensor, " batch"],
        reconstruction: Reconstruction | None = None,
    ) -> Float[Tensor, "batch channel *space"]:
        """d(conserved)/dt of the samples given, from their primitive variables and their gamma."""
        axes = primitive.dim() - 2
        divergence = flux_divergence(
            primitive,
            lambda left, right, axis: self.flux(left, right, gamma, axis),
            spacing=self._per_axis(self.spacing, axes),
            boundaries=self.boundary if isinstance(self.boundary, list) else [self.boundary] * axes,
            reconstruction=self.reconstruction if reconstruction is None else reconstruction,
        )
        return -divergence

    def crossing_rate(
        self, primitive: Float[Tensor, "batch channel *space"], gamma: Float[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """The fastest wave's cells per time, max over the cells of sum_axes (|velocity| + sound speed) / spacing."""
        axes = primitive.dim() - 2
        sound = sound_speed(primitive, gamma)
        total = torch.zeros_like(sound)
        for axis, length in enumerate(self._per_axis(self.spacing, axes)):
            total = total + (primitive[:, 1 + axis, None].abs() + sound) * (1 / length)
        return total.flatten(1).amax(dim=1)

    def gamma_of(self, y: Float[Tensor, "batch channel *space"]) -> Float[Tensor, " batch"]:
        """gamma for each sample of y.

        Raises:
            ValueError: the channels of y do not match its space axes, or a per-axis setting or gamma its shape.
        """
        axes = y.dim() - 2
        if axes not in (1, 2, 3) or y.shape[1] != axes + 2:
            raise ValueError(
                "Expected y of shape (batch, 2 + axes, *space) with the channels density, one velocity per axis and "
                f"pressure, got {tuple(y.shape)}. Add the missing velocity channels, or the batch axis: y[None]."
            )
        self._per_axis(self.spacing, axes)
        if isinstance(self.boundary, list) and len(self.boundary) != axes:
            raise ValueError(f"Expected a boundary for each of {axes} axes, got {len(self.boundary)}.")
        gamma = torch.as_tensor(self.gamma, dtype=y.dtype, device=y.device)
        if gamma.dim() > 1 or (gamma.dim() == 1 and len(gamma) != len(y)):
            raise ValueError(f"Expected gamma a float or of shape ({len(y)},), got {tuple(gamma.shape)}.")
        return gamma.expand(len(y))

    @staticmethod
    def _per_axis(spacing: tuple[float, ...], axes: int) -> tuple[float, ...]:
        if len(spacing) not in (1, axes):
            raise ValueError(f"Expected one spacing, or one for each of {axes} axes, got {spacing}.")
        return spacing * axes if len(spacing) == 1 else spacing


class Euler(nn.Module):
    """A stepper of the compressible Euler equations that takes and returns (density, velocity, pressure).

    Inside, the conserved variables are advanced by SSPRK3 over as many substeps as the CFL limit asks, anew from the
    state of each substep and for each sample alone: dt may be a frame of a dataset, and batching changes no result.
    A substep that leaves a sample with a density or pressure that is not positive is repeated for it with the
    reconstructions of ``FALLBACKS``, the last of which keeps both positive.

    Args:
        spacing, gamma, boundary, reconstruction, flux: those of ``EulerEquations``.
        cfl: share of the time in which the fastest wave crosses a cell, at most about 0.5 for positivity.

    Raises:
        ValueError: spacing, gamma - 1 or cfl is not positive.
    """

    order = SSPRK3.order

    def __init__(
        self,
        spacing: float | Sequence[float],
        *,
        gamma: float | Float[Tensor, " batch"] = 1.4,
        boundary: AxisBoundary | list[AxisBoundary] = periodic,
        reconstruction: Reconstruction = SECOND_ORDER,
        flux: NumericalFlux = hllc,
        cfl: float = 0.4,
    ) -> None:
        super().__init__()
        if not 0 < cfl <= 1:
            raise ValueError(f"Expected 0 < cfl <= 1, got {cfl}.")
        self.equations = EulerEquations(
            spacing, gamma=gamma, boundary=boundary, reconstruction=reconstruction, flux=flux
        )
        self.cfl = cfl

    def cfl_dt(self, y: Float[Tensor, "batch channel *space"]) -> Float[Tensor, " batch"]:
        """The longest substep from the primitive state y."""
        return self.cfl / self.equations.crossing_rate(y, self.equations.gamma_of(y))

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"]
    ) -> Step:
        """The state at t + dt; t plays no part. A sample with dt = 0 is returned as it is, unchecked.

        Raises:
            ValueError: dt is negative or not finite; y has the wrong channels, or a density or pressure in it is not
                positive and finite.
        """
        gamma = self.equations.gamma_of(y)
        _check_input(dt, y)
        rows = dt.nonzero().flatten()
        part = _Part(rows, y[rows], gamma[rows], dt[rows].to(y.dtype))
        result, evaluations = y, torch.zeros_like(dt, dtype=torch.int64)
        while len(part.rows):
            rows = part.rows
            part, done, spent = self._substep(part)
            evaluations = evaluations.index_add(0, rows, spent)
            if bool(done.any()):
                result = result.index_put((part.rows[done],), part.primitive[done])
                part = part.select(~done)
        return Step(y=result, evaluations=evaluations)

    def _substep(self, part: _Part) -> tuple[_Part, Tensor, Tensor]:
        """Advance all samples at work by one substep each; also which are done, and the evaluations spent."""
        left = part.remaining.detach() * self.equations.crossing_rate(part.primitive.detach(), part.gamma) / self.cfl
        # Substeps a hundredth over the limit are allowed, so that rounding adds none.
        count = torch.ceil(left - 0.01).clamp(min=1)
        dt = part.remaining / count
        primitive, attempts = self._attempt(dt, part, (self.equations.reconstruction, *FALLBACKS))
        physical = is_physical(primitive.detach())
        # A sample that first order has not saved is handed back as it is: the caller sees it, the loop ends.
        done = (count <= 1) | ~physical
        remaining = part.remaining - dt
        return _Part(part.rows, primitive, part.gamma, remaining), done, attempts * len(SSPRK3.b)

    def _attempt(self, dt: Tensor, part: _Part, reconstructions: tuple[Reconstruction, ...]) -> tuple[Tensor, Tensor]:
        """The new state by the first reconstruction that leaves a sample physical, and the attempts each needed."""
        first, *others = reconstructions
        primitive = self._ssprk3(dt, part, first)
        good = is_physical(primitive.detach())
        once = torch.ones_like(part.rows)
        if not others or bool(good.all()):
            return primitive, once
        # With gradients, the good samples are stepped again alone: that of a discarded NaN would be NaN.
        kept = self._ssprk3(dt[good], part.select(good), first) if primitive.requires_grad else primitive[good]
        repaired, attempts = self._attempt(dt[~good], part.select(~good), tuple(others))
        primitive = torch.zeros_like(primitive).index_put((good,), kept).index_put((~good,), repaired)
        return primitive, once.index_put((~good,), 1 + attempts)

    def _ssprk3(self, dt: Tensor, part: _Part, reconstruction: Reconstruction) -> Tensor:
        start = to_conserved(part.primitive, part.gamma)
        slopes = [self.equations.rate(part.primitive, part.gamma, reconstruction)]
        primitive = part.primitive
        for row in (*SSPRK3.a[1:], SSPRK3.b):
            primitive = to_primitive(advance(start, dt, row, slopes), part.gamma)
            if len(slopes) < len(SSPRK3.b):
                slopes.append(self.equations.rate(primitive, part.gamma, reconstruction))
        return primitive


@dataclass(frozen=True, slots=True)
class _Part:
    """The samples of a batch that still have time to go."""

    rows: Tensor
    primitive: Tensor
    gamma: Tensor
    remaining: Tensor

    def select(self, which: Tensor) -> _Part:
        return _Part(self.rows[which], self.primitive[which], self.gamma[which], self.remaining[which])


def _check_input(dt: Tensor, y: Tensor) -> None:
    if not bool(((dt >= 0) & torch.isfinite(dt)).all()):
        raise ValueError(f"Expected dt >= 0 and finite, got {dt.tolist()}. Shocks cannot be stepped backwards in time.")
    density, pressure = y[:, 0].flatten(1), y[:, -1].flatten(1)
    physical = is_physical(y.detach()) | (dt == 0)
    if not bool(physical.all()):
        row = int((~physical).nonzero()[0])
        raise ValueError(
            f"Expected y finite with density and pressure > 0, got sample {row} with density >= "
            f"{float(density[row].min()):.3g} and pressure >= {float(pressure[row].min()):.3g}. If it was given as "
            "(density, momentum, energy), convert it: to_primitive(u, gamma). If a previous step produced it, lower cfl"
            " or use reconstruction=MUSCL(minmod) with flux=rusanov."
        )
