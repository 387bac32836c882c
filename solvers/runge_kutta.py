"""Explicit Runge-Kutta steps over a vector field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .constants import Constant
from .state import State, broadcast, leaves, map_state, real_dtype, rms_norm
from .stepper import Step
from .tableau import ButcherTableau, Row
from .weighted_sum import SumTable, Together, WeightedSum, in_place, is_small

VectorField = Callable[[Tensor, State], State]


class RungeKutta(nn.Module):
    """A stepper from a vector field and a Butcher tableau.

    Dense output is the tableau's interpolant; where that needs stages of its own, they are evaluated when it is first
    called, and ``Step.dense.evaluations`` counts them. The stiffness estimate is |f(x) - f(y)| / |x - y| for the states
    x and y of two stages, at the same time where the method has such (L. F. Shampine, "Stiffness and nonstiff
    differential equation solvers", ISNM 38 (1977); E. Hairer, G. Wanner, "Solving Ordinary Differential Equations II",
    section IV.2), in root mean square norms, and 0 where x = y.

    Args:
        vector_field: ``(t, y) -> dy/dt`` with t of shape (batch,), the result structured and shaped as y. It is taken
            in y's dtype. A module's parameters are the stepper's.
        tableau: the method, such as ``TSIT5``.
    """

    def __init__(self, vector_field: VectorField, tableau: ButcherTableau) -> None:
        super().__init__()
        self.vector_field = vector_field
        self.tableau = tableau
        self.order = tableau.order
        self.error_order = tableau.error_order
        self.dense_order = tableau.dense_order
        self.stability = tableau.stability
        self._plan = _Plan.of(tableau)

    def over(self, vector_field: VectorField) -> RungeKutta:
        """The same method over another vector field."""
        return RungeKutta(vector_field, self.tableau)

    def start(self, t: Float[Tensor, " batch"], y: State) -> State | None:
        """The slope at (t, y), where the method's last stage gives it to the next step; else None."""
        return self.slope(t, y) if self._plan.first_same_as_last else None

    def slope(self, t: Float[Tensor, " batch"], y: State, reuse: State | None = None) -> State:
        """The time derivative at (t, y).

        Raises:
            ValueError: the vector field returns another structure or shape than y.
        """
        return _matched(y, self.vector_field(t, y)) if reuse is None else reuse

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State, reuse: Any = None) -> Step:
        """One step. ``reuse`` is the slope at (t, y), where known.

        Raises:
            ValueError: the vector field returns another structure or shape than y.
        """
        plan = self._plan
        stages = _Stages(plan, self.vector_field, t, dt, y, self.slope(t, y, reuse))
        last = stages.evaluate(plan.stages, plan.table)
        end = last if plan.first_same_as_last else stages.advance(plan.end, len(plan.stages))
        error = stages.increment(plan.error, len(plan.stages) + 1) if plan.error else None
        stages.settle()
        return Step(
            y=stages.state(end),
            error=None if error is None else stages.state(error),
            reuse=stages.state([slopes[-1] for slopes in stages.slopes]) if plan.first_same_as_last else None,
            dense=stages if plan.used else None,
            evaluations=len(plan.stages) + (reuse is None),
            stiffness=partial(stages.stiffness, plan.pair) if plan.pair else None,
        )

    def join(self, steps: list[_Stages]) -> _Stages:
        """The dense output of several steps as that of one step: the rows of each after those of the one before."""
        return _Stages.joined(steps)

    def extra_repr(self) -> str:
        return self.tableau.name


def advance(y: State, dt: Tensor, weights: Row, slopes: list[State]) -> State:
    """y + dt * sum_i weights_i slopes_i."""
    row = WeightedSum.of(weights)
    return map_state(lambda u, *parts: row.advance(u, broadcast(dt, u), parts), y, *slopes)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two stages, and how far their states lie apart."""

    later: int
    earlier: int
    apart: WeightedSum

    @classmethod
    def of(cls, tableau: ButcherTableau) -> _Pair | None:
        if tableau.stiffness_stages is None:
            return None
        later, earlier = tableau.stiffness_stages
        filled = tableau.a[earlier] + (0.0,) * (later - earlier)
        return cls(later, earlier, WeightedSum.of(tuple(x - y for x, y in zip(tableau.a[later], filled))))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A tableau, prepared.

    Attributes:
        stages, extra: node and row of each stage after the first, and of those that only dense output needs.
        end, error: the weights of the solution and of its error estimate.
        table, extra_table: the rows of ``stages``, ``end`` and ``error`` in this order, and those of ``extra``.
        pair: the two stages that the stiffness estimate compares.
        used: the stages that the interpolant uses.
        powers: their coefficients of theta, theta^2, ..., each (used, 1).
    """

    stages: tuple[tuple[float, WeightedSum], ...]
    extra: tuple[tuple[float, WeightedSum], ...]
    end: WeightedSum
    error: WeightedSum | None
    table: SumTable
    extra_table: SumTable
    first_same_as_last: bool
    pair: _Pair | None
    used: tuple[int, ...]
    powers: Constant

    @classmethod
    def of(cls, tableau: ButcherTableau) -> _Plan:
        used = tuple(stage for stage, row in enumerate(tableau.interpolant) if any(row))
        by_power = zip(*(tableau.interpolant[stage] for stage in used))
        stages, extra = _rows(tableau.c[1:], tableau.a[1:]), _rows(tableau.extra_c, tableau.extra_a)
        end, error = WeightedSum.of(tableau.b), WeightedSum.of(tableau.b_error) if tableau.b_error else None
        return cls(
            stages=stages,
            extra=extra,
            end=end,
            error=error,
            table=SumTable.of((*(row for _, row in stages), end, *((error,) if error else ())), tableau.c[1:]),
            extra_table=SumTable.of(tuple(row for _, row in extra), tableau.extra_c),
            first_same_as_last=tableau.first_same_as_last,
            pair=_Pair.of(tableau),
            used=used,
            powers=Constant([[[coefficient] for coefficient in row] for row in by_power]),
        )


class _Stages:
    """The stages of one step: its dense output and its stiffness, computed when asked for.

    Attributes:
        slopes: for each tensor of the state, its slopes stage by stage.
        evaluations: evaluations of the vector field that dense output has spent.
    """

    __slots__ = ("_dt", "_field", "_h", "_parts", "_plan", "_small", "_sums", "_t", "_y", "evaluations", "slopes")

    def __init__(self, plan: _Plan, field: VectorField, t: Tensor, dt: Tensor, y: State, slope: State) -> None:
        self._plan, self._field, self._t, self._dt, self._y = plan, field, t, dt, y
        self._parts = leaves(y)
        self._small = is_small(y, dt, slope)
        self._h = [self._length(dt, part) for part in self._parts]
        self._sums: Together | None = None
        self.slopes = [[part] for part in leaves(slope)]
        self.evaluations = 0

    def __call__(self, theta: Float[Tensor, " rows"], rows: Tensor) -> State:
        """The states of samples ``rows`` at t + theta dt."""
        self.complete()
        weights = self._weights(theta) * (theta * self._dt.index_select(0, rows))
        return self.state([self._blend(*pair, weights, rows) for pair in zip(self._parts, self.slopes)])

    @classmethod
    def joined(cls, steps: list[_Stages]) -> _Stages:
        """These steps of the same samples side by side."""
        first = steps[0]
        if len(steps) == 1:
            return first
        t, dt = torch.cat([step._t for step in steps]), torch.cat([step._dt for step in steps])
        y = map_state(lambda *parts: torch.cat(parts), *(step._y for step in steps))
        slopes = [[torch.cat(stage) for stage in zip(*part)] for part in zip(*(step.slopes for step in steps))]
        field = _StepByStep([step._field for step in steps], len(first._t))
        one = cls(first._plan, field, t, dt, y, first.state([part[0] for part in slopes]))
        one.slopes = slopes
        return one

    def complete(self) -> None:
        """Evaluate the stages that only dense output needs, once."""
        if self._plan.extra and not self.evaluations:
            self.evaluate(self._plan.extra, self._plan.extra_table)
            self.settle()
            self.evaluations = len(self._plan.extra)

    def stiffness(self, pair: _Pair) -> Float[Tensor, " batch"]:
        """The modulus of the Jacobian's dominant eigenvalue, about."""
        apart = rms_norm(self.increment(pair.apart))
        change = rms_norm([slopes[pair.later] - slopes[pair.earlier] for slopes in self.slopes])
        differ = apart > 0
        return torch.where(differ, change / torch.where(differ, apart, 1.0), 0.0)

    def evaluate(self, rows: tuple[tuple[float, WeightedSum], ...], table: SumTable) -> list[Tensor]:
        """Append the slopes of these stages, whose rows are the first of the table; the state of the last."""
        if self._small and in_place():
            self._sums = Together(table, self.slopes[0])
            return self._evaluate_together(rows, self._sums)
        time, reached, stage = self._t, 0.0, self._parts
        for node, row in rows:
            if node != reached:
                time, reached = torch.add(self._t, self._dt, alpha=node), node
            stage = self.advance(row)
            slope = self._field(time, self.state(stage))
            for slopes, part in zip(self.slopes, _parts(self._y, slope)):
                slopes.append(part)
        return stage

    def _evaluate_together(self, rows: tuple[tuple[float, WeightedSum], ...], sums: Together) -> list[Tensor]:
        """The same for a small state of one tensor, whose operations cost what their number costs."""
        (y,), (h,), (slopes,) = self._parts, self._h, self.slopes
        stage = y
        for time, (_, row), total in zip(sums.times(self._t, self._dt), rows, sums.rows):
            stage = torch.addcmul(y, h, total, value=row.factor)
            slope = self._field(time, stage)
            if slope.__class__ is not Tensor or slope.dtype != y.dtype or slope.shape != y.shape:
                slope = _checked(y, slope)
            sums.add(slope)
            slopes.append(slope)
        return [stage]

    def settle(self) -> None:
        """Let go of the sums formed together: none of them is asked for any more."""
        self._sums = None

    def advance(self, row: WeightedSum, place: int | None = None) -> list[Tensor]:
        """y + dt * sum_i weight_i k_i, part by part; ``place`` is that of the row in the present table."""
        if self._sums is None or place is None:
            return [row.advance(*part) for part in zip(self._parts, self._h, self.slopes)]
        return [torch.addcmul(self._parts[0], self._h[0], self._sums.rows[place], value=row.factor)]

    def increment(self, row: WeightedSum, place: int | None = None) -> list[Tensor]:
        """dt * sum_i weight_i k_i, part by part; ``place`` as above."""
        if self._sums is None or place is None:
            return [row.increment(*part) for part in zip(self._h, self.slopes)]
        return [torch.mul(self._h[0] * self._sums.rows[place], row.factor)]

    def _length(self, dt: Tensor, part: Tensor) -> Tensor:
        """dt, shaped to multiply this tensor of the state; at its full size where that makes the products cheaper."""
        h = broadcast(dt, part)
        return h.expand_as(part).contiguous() if self._small and len(dt) > 1 else h

    def state(self, parts: list[Tensor]) -> State:
        """These tensors in y's structure."""
        if isinstance(self._y, Tensor):
            return parts[0]
        following = iter(parts)
        return map_state(lambda _: next(following), self._y)

    def _weights(self, theta: Tensor) -> Tensor:
        """sum_j coefficient_j theta^(j - 1), (used, rows); element by element, so that batching changes no bit."""
        *lower, total = self._plan.powers.like(theta).unbind(0)
        for coefficient in reversed(lower):
            total = torch.addcmul(coefficient, total, theta)
        return total

    def _blend(self, start: Tensor, slopes: list[Tensor], weights: Tensor, rows: Tensor) -> Tensor:
        """start + sum_i weights_i slopes_i at ``rows``."""
        shaped = weights.reshape(weights.shape + (1,) * (start.dim() - 1)).to(real_dtype(start)).unbind(0)
        at_rows = (slopes[stage].index_select(0, rows) for stage in self._plan.used)
        total = shaped[0] * next(at_rows)
        for weight, slope in zip(shaped[1:], at_rows):
            total = torch.addcmul(total, weight, slope)
        return start.index_select(0, rows) + total


class _StepByStep:
    """The vector field of several steps side by side, evaluated for each by itself: a field may count its samples."""

    def __init__(self, fields: list[VectorField], rows: int) -> None:
        self.fields, self.rows = fields, rows

    def __call__(self, t: Tensor, y: State) -> State:
        if isinstance(y, Tensor):
            states: Any = y.split(self.rows)
        else:
            starts = range(0, len(t), self.rows)
            states = [map_state(lambda leaf, at=start: leaf.narrow(0, at, self.rows), y) for start in starts]
        slopes = [field(*pair) for field, *pair in zip(self.fields, t.split(self.rows), states)]
        return map_state(lambda *parts: torch.cat(parts), *slopes)


def _rows(nodes: Row, rows: tuple[Row, ...]) -> tuple[tuple[float, WeightedSum], ...]:
    return tuple((node, WeightedSum.of(row)) for node, row in zip(nodes, rows, strict=True))


def _parts(y: State, slope: State) -> list[Tensor]:
    """The tensors of a slope, in the order and the dtypes of y's."""
    if isinstance(y, Tensor):
        return [slope if slope.dtype == y.dtype else _checked(y, slope)]
    return leaves(map_state(_checked, y, slope))


def _matched(y: State, slope: State) -> State:
    """The first slope of a step, its structure compared with y's."""
    if not isinstance(y, Tensor) and (type(slope) is not type(y) or len(slope) != len(y)):
        came = "one tensor" if isinstance(slope, Tensor) else f"a {type(slope).__name__}"
        raise ValueError(
            f"Expected vector_field(t, y) structured as y, a {type(y).__name__} of {len(y)} entries, got {came}."
        )
    return map_state(_checked, y, slope)


def _checked(u: Tensor, f: Any) -> Tensor:
    """A slope of u, its shape and kind compared with u's, in u's dtype: a float64 time may have promoted it."""
    if not isinstance(f, Tensor) or f.shape != u.shape:
        came = tuple(f.shape) if isinstance(f, Tensor) else type(f).__name__
        raise ValueError(f"Expected vector_field(t, y) of y's shape {tuple(u.shape)}, got {came}.")
    if f.is_complex() and not u.is_complex():
        raise ValueError(f"Expected vector_field(t, y) real for a real y, got {f.dtype}. Give a complex y0.")
    return f if f.dtype == u.dtype else f.to(u.dtype)
