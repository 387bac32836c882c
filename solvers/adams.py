"""Adams methods: multistep schemes that integrate a polynomial through the slopes of the last steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial, reduce
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .constants import Constant
from .extrapolation import extrapolated_midpoint
from .host import plain
from .runge_kutta import RungeKutta
from .state import State, broadcast, map_state, rms_norm, where
from .stepper import Step

_HIGHEST_ORDER = 12


class History(NamedTuple):
    """The slopes that an Adams step looks back on, newest first.

    Attributes:
        slopes: time derivatives at ``times``; zeros where there is none yet.
        times: (batch, slope).
        known: how many of them there are, (batch,).
    """

    slopes: tuple[State, ...]
    times: Float[Tensor, "batch slope"]
    known: Int[Tensor, " batch"]

    def extended(self, t: Tensor, slope: State) -> History:
        """With the slope at a later time in front, the oldest dropped."""
        times = torch.cat([t[:, None], self.times[:, :-1]], dim=1)
        return History((slope, *self.slopes[:-1]), times, (self.known + 1).clamp(max=len(self.slopes)))

    def going(self, dt: Tensor) -> History:
        """For a step of ``dt``: only the newest slope is kept by the samples that turned round in time."""
        if len(self.slopes) == 1:
            return self
        turned = (self.times[:, 0] - self.times[:, 1]) * dt < 0
        return self._replace(known=torch.where(turned, torch.ones_like(self.known), self.known))


class Adams(nn.Module):
    """Adams-Bashforth and Adams-Bashforth-Moulton steps of any order up to 12, of variable length.

    The coefficients are those of the times at which the last slopes were taken, per sample: exact for steps of any
    lengths, the classical ones, known beforehand, where these are equal. With ``corrections=0`` the scheme is explicit
    (Bashforth): the polynomial through the last ``order`` slopes is integrated, at one evaluation a step. Otherwise
    that through one slope less predicts, and the polynomial that also takes in the slope there corrects (Moulton): with
    one correction this is the PECE mode, at two evaluations a step, and each further correction is one more fixed-point
    iteration towards the implicit scheme.

    The error estimate is the difference to the polynomial without its oldest slope, the stiffness estimate that of the
    slopes in the last correction over that of the states. The first steps of a sample, and
    those after it turned round in time, are extrapolated midpoint steps of an order that the declared one is kept.

    Source: E. Hairer, S. Norsett, G. Wanner, "Solving Ordinary Differential Equations I", sections III.1 (equations
    1.5, 1.9) and III.5 (variable steps). The integrals of the Lagrange polynomials are taken by Gauss's rule, which is
    exact for them.

    Args:
        vector_field: ``(t, y) -> dy/dt``.
        order: order of the global error, 1 to 12; at least 2 with corrections.
        corrections: evaluations of the corrector, 0 for the explicit scheme.

    Raises:
        ValueError: an order or a number of corrections out of range.
    """

    def __init__(self, vector_field: Callable[[Tensor, State], State], order: int = 4, *, corrections: int = 1) -> None:
        super().__init__()
        lowest = 1 if corrections == 0 else 2
        if not lowest <= order <= _HIGHEST_ORDER or corrections < 0:
            raise ValueError(
                f"Expected {lowest} <= order <= {_HIGHEST_ORDER} and corrections >= 0, got order={order}, "
                f"corrections={corrections}. Orders below 2 are explicit: corrections=0."
            )
        self.vector_field = vector_field
        self.order, self.corrections = order, corrections
        self.memory = order if corrections == 0 else order - 1
        self.error_order = order if order > 1 else None
        self.dense_order = order
        self.stability = _stability(self.memory, corrections)
        self.first = RungeKutta(vector_field, extrapolated_midpoint((order + 2) // 2))
        points, self.gauss = _gauss_rule((order + 1) // 2)
        self._points, self._classical = Constant(points), Constant(_classical(self.memory))

    def over(self, vector_field: Callable[[Tensor, State], State]) -> Adams:
        """The same method over another vector field."""
        return Adams(vector_field, self.order, corrections=self.corrections)

    def start(self, t: Float[Tensor, " batch"], y: State) -> History:
        """A history of the slope at (t, y) alone."""
        slope = self.first.slope(t, y)
        blank = map_state(torch.zeros_like, slope)
        slopes = (slope,) + (blank,) * (self.memory - 1)
        return History(slopes, t[:, None].expand(-1, self.memory), torch.ones_like(t, dtype=torch.int64))

    def slope(self, t: Float[Tensor, " batch"], y: State, reuse: History | None = None) -> State:
        """The time derivative at (t, y)."""
        return self.first.slope(t, y) if reuse is None else reuse.slopes[0]

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State, reuse: History | None = None
    ) -> Step:
        """One step. ``reuse`` is the history up to (t, y)."""
        history = (self.start(t, y) if reuse is None else reuse).going(dt)
        young = (history.known < self.memory) & (dt != 0)
        first = self._first_step(t, dt, y, history.slopes[0]) if _may_hold(young) else None
        if first is not None and not _may_hold(~young):
            step = first
        else:
            step = self._multistep(t, dt, y, history, young, first)
        slope = self.vector_field(t + dt, step.y)
        return replace(
            step,
            reuse=history.extended(t + dt, slope),
            evaluations=step.evaluations + 1 + (reuse is None),
            stiffness=None if step.reuse is None else partial(_quotient, step.y, slope, *step.reuse),
        )

    def _first_step(self, t: Tensor, dt: Tensor, y: State, slope: State) -> Step:
        step = self.first(t, dt, y, slope)
        return replace(step, dense=_Substeps(self, t, dt, y, slope))

    def _multistep(self, t: Tensor, dt: Tensor, y: State, history: History, young: Tensor, first: Step | None) -> Step:
        """A step of the scheme proper; ``first`` holds that of the young samples.

        ``Step.reuse`` holds where the last correction took its slope, and this slope.
        """

        def mixed(new: State, of_first: State) -> State:
            return new if first is None else where(young, of_first, new)

        first_y, first_error = (None, None) if first is None else (first.y, first.error)
        nodes = _relative(history.times, t, dt, young)
        slopes = history.slopes
        equal = _equal(nodes, history.times, t, dt)
        weights, error_weights = self._step_weights(nodes, equal, self._classical.like(nodes)[:, 1, 1:])
        end = mixed(_sum_onto(y, weights * dt, slopes), first_y)
        if self.corrections:
            nodes = torch.cat([torch.ones_like(nodes[:1]), nodes])
            weights, error_weights = self._step_weights(nodes, equal, self._classical.like(nodes)[:, 0])
            weights = weights * dt
            known = _sum_onto(y, weights[1:], slopes)
            for _ in range(self.corrections):
                before, slope = end, self.vector_field(t + dt, end)
                end = mixed(_sum_onto(known, weights, (slope,)), first_y)
            slopes = (slope, *slopes)
        dense = _Integral(self, nodes, dt, y, slopes)
        evaluations: int | Tensor = self.corrections
        if first is not None:
            evaluations = torch.where(young, first.evaluations, self.corrections)
        error = None if self.error_order is None else _weighted(error_weights * dt, slopes)
        return Step(
            y=end,
            error=None if error is None else mixed(error, first_error),
            reuse=(before, slope) if self.corrections else None,
            dense=dense if first is None else _Either(young, first.dense, dense),
            evaluations=evaluations,
        )

    def _step_weights(self, nodes: Tensor, equal: Tensor | None, classical: Tensor) -> tuple[Tensor, Tensor]:
        """``weights(nodes)``, but ``classical`` for the samples whose steps are equal; one column for all of them."""
        known = classical[..., None].unbind(0)
        if equal is None:
            return self.weights(nodes)
        if not _may_hold(~equal):
            return known[0], known[1]
        own = self.weights(nodes)
        return torch.where(equal, known[0], own[0]), torch.where(equal, known[1], own[1])

    def weights(
        self, nodes: Float[Tensor, "node batch"], end: Float[Tensor, " batch"] | None = None
    ) -> tuple[Float[Tensor, "node batch"], Float[Tensor, "node batch"]]:
        """Integrals over [0, end] of the Lagrange polynomials of ``nodes``, in units of the step; end = 1 by default.

        Returns:
            The weights of the slopes, and by how much they change if the last node is left out.
        """
        points = self._points.like(nodes)[:, None]
        same = torch.eye(len(nodes), dtype=torch.bool, device=nodes.device)[:, :, None]
        spread = _product((nodes - nodes[:, None]).masked_fill(same, 1))
        reach = (points if end is None else points * end) - nodes[:, None]
        if end is None:  # no Gauss point is a node, which are at 1 and up to 0
            others = _product(reach) / reach
        else:
            others = _product(reach[:, None].expand(-1, len(nodes), -1, -1).masked_fill(same[..., None], 1))
        integrals = reduce(torch.add, (weight * value for weight, value in zip(self.gauss, others.unbind(1))))
        integrals = integrals if end is None else integrals * end
        return integrals / spread, integrals[-1] / spread

    def extra_repr(self) -> str:
        return f"order={self.order}, corrections={self.corrections}"


@cache
def _classical(memory: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Weights of equal steps, and by how much they change without the oldest slope: with the slope at the end, then
    without it (and a zero in its place)."""
    back = [-float(k) for k in range(memory)]
    with_end, without = weights_at([1.0, *back]), weights_at(back)
    return tuple((tuple(corrector), (0.0, *predictor)) for corrector, predictor in zip(with_end, without))


def weights_at(nodes: Sequence[float]) -> tuple[list[float], list[float]]:
    """As ``Adams.weights`` over the whole step, in Python's numbers for times that are known to it."""
    near = np.asarray(nodes, dtype=np.float64)
    points, gauss = (np.array(row) for row in _gauss_rule((len(near) + 1) // 2))
    spread = (near - near[:, None] + np.eye(len(near))).prod(axis=0)
    reach = points[:, None] - near
    integrals = gauss @ (reach.prod(axis=1, keepdims=True) / reach)
    return (integrals / spread).tolist(), (integrals[-1] / spread).tolist()


@cache
def _gauss_rule(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes and weights on [0, 1], exact for polynomials of degree 2 count - 1."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return tuple((points + 1) / 2), tuple(weights / 2)


@cache
def _stability(memory: int, corrections: int) -> float:
    """The modulus of dt lambda up to which steps of equal length are stable on the negative real axis, by bisection.

    For y' = lambda y the step is y1 = sum_j row_j y_-j: Hairer, Wanner, "Solving Ordinary Differential Equations II",
    section V.1.
    """
    predictor = _at_equal_steps(np.arange(memory))
    corrector = _at_equal_steps(np.arange(-1, memory)) if corrections else np.zeros(memory + 1)
    newest = np.eye(memory)[0]

    def grows(z: float) -> bool:
        row = newest + z * predictor
        for _ in range(corrections):
            row = newest + z * (corrector[0] * row + corrector[1:])
        return bool(np.abs(np.roots([1.0, *-row])).max() > 1 + 1e-9)

    stable, unstable = 0.0, 4.0
    for _ in range(50):
        middle = (stable + unstable) / 2
        stable, unstable = (stable, middle) if grows(-middle) else (middle, unstable)
    return stable


def _at_equal_steps(back: np.ndarray) -> np.ndarray:
    """Weights of the slopes that many steps back, from the moments 1 / (m + 1) of the step."""
    moments = 1 / np.arange(1, len(back) + 1)
    return np.linalg.solve(np.vander(-back.astype(float), increasing=True).T, moments)


def _quotient(x: State, of_x: State, y: State, of_y: State) -> Tensor:
    """|f(x) - f(y)| / |x - y| of each sample, 0 where x = y."""
    apart, change = (rms_norm(map_state(torch.sub, a, b)) for a, b in ((x, y), (of_x, of_y)))
    return torch.where(apart > 0, change / torch.where(apart > 0, apart, torch.ones_like(apart)), 0.0)


def _may_hold(mask: Bool[Tensor, " batch"]) -> bool:
    """Whether the mask holds for a sample; yes where that cannot be asked, as under vmap or compilation."""
    if torch.compiler.is_compiling():
        return True
    try:
        return bool(mask.any())
    except RuntimeError:
        return True


def _product(factors: Tensor) -> Tensor:
    """Over the leading axis, in order: a reduction might change bits with the size of the batch."""
    return reduce(torch.mul, factors.unbind(0))


def _relative(times: Tensor, t: Tensor, dt: Tensor, young: Tensor) -> Tensor:
    """Past times (slope, batch) in units of the step, from t; equidistant where the step or the history is empty."""
    steps = torch.arange(times.shape[1], dtype=times.dtype, device=times.device)[:, None]
    blank = young | (dt == 0)
    nodes = (times.t() - t) / torch.where(blank, torch.ones_like(dt), dt)
    return torch.where(blank, -steps, nodes)


def _equal(nodes: Tensor, times: Tensor, t: Tensor, dt: Tensor) -> Tensor | None:
    """Which samples took steps of this one's length up to the rounding of t; None where that may not be asked.

    It may not where times carry derivatives, which the weights then have too.
    """
    if torch.compiler.is_compiling() or any(x.requires_grad or plain(x) is not x for x in (times, t, dt)):
        return None
    steps = torch.arange(len(nodes), dtype=nodes.dtype, device=nodes.device)[:, None]
    apart = (nodes + steps).abs().amax(dim=0) * dt.abs()
    return apart <= 4 * torch.finfo(t.dtype).eps * torch.maximum(times[:, -1].abs(), (t + dt).abs())


def _weighted(weights: Tensor, slopes: tuple[State, ...]) -> State:
    """sum_j weights_j slopes_j, with weights (slope, batch)."""
    rows = weights.unbind(0)

    def leaf(*parts: Tensor) -> Tensor:
        total = broadcast(rows[0], parts[0]) * parts[0]
        for row, part in zip(rows[1:], parts[1:]):
            total = total + broadcast(row, part) * part
        return total

    return map_state(leaf, *slopes)


def _sum_onto(y: State, weights: Tensor, slopes: tuple[State, ...]) -> State:
    """y + sum_j weights_j slopes_j."""
    return map_state(torch.add, y, _weighted(weights, slopes))


class _Integral:
    """Dense output: the integral of the polynomial through ``slopes`` at ``nodes`` (node, batch)."""

    def __init__(self, scheme: Adams, nodes: Tensor, dt: Tensor, y: State, slopes: tuple[State, ...]) -> None:
        self.scheme, self.nodes, self.dt, self.y, self.slopes = scheme, nodes, dt, y, slopes

    def __call__(self, theta: Tensor, rows: Tensor) -> State:
        weights, _ = self.scheme.weights(self.nodes[:, rows], theta)
        slopes = tuple(map_state(lambda leaf: leaf[rows], slope) for slope in self.slopes)
        return _sum_onto(map_state(lambda leaf: leaf[rows], self.y), weights * self.dt[rows], slopes)


class _Substeps:
    """Dense output of a first step: the slopes inside it are computed, and counted, when they are asked for."""

    def __init__(self, scheme: Adams, t: Tensor, dt: Tensor, y: State, slope: State) -> None:
        self.scheme, self.t, self.dt, self.y, self.slope = scheme, t, dt, y, slope
        self.inside: _Integral | None = None
        self.evaluations = 0

    def __call__(self, theta: Tensor, rows: Tensor) -> State:
        self.inside = self.inside or self._computed()
        return self.inside(theta, rows)

    def _computed(self) -> _Integral:
        count = self.scheme.order - 1
        t, y, slopes = self.t, self.y, [self.slope]
        for k in range(count):
            step = self.scheme.first(t, self.dt / count, y, slopes[-1])
            t, y = self.t + (k + 1) / count * self.dt, step.y
            slopes.append(self.scheme.vector_field(t, y))
            self.evaluations += int(step.evaluations) + 1
        nodes = torch.linspace(0, 1, count + 1, dtype=t.dtype, device=t.device)[:, None].expand(-1, len(t))
        return _Integral(self.scheme, nodes, self.dt, self.y, tuple(slopes))


class _Either:
    """Dense output of a batch of which some samples took a first step."""

    def __init__(self, mask: Tensor, first: Callable[..., State] | None, other: Callable[..., State]) -> None:
        self.mask, self.first, self.other = mask, first, other

    def __call__(self, theta: Tensor, rows: Tensor) -> State:
        other = self.other(theta, rows)
        return other if self.first is None else where(self.mask[rows], self.first(theta, rows), other)
