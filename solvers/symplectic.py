"""Symplectic splitting schemes for separable systems, such as those of the Hamiltonian T(p, t) + V(q, t)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .state import State, broadcast, map_state, select
from .stepper import Step

Pair = tuple[State, State]
"""Positions q and momenta (or velocities) p."""


class SeparableField(nn.Module):
    """The vector field dq/dt = velocity(t, p), dp/dt = force(t, q) of states (q, p).

    It is called ``(t, (q, p)) -> (dq/dt, dp/dt)`` like any other; ``Symplectic`` evaluates its halves apart.

    Args:
        velocity: ``(t, p) -> dq/dt``, the derivative of the kinetic energy: p / mass.
        force: ``(t, q) -> dp/dt``, minus the derivative of the potential energy.
    """

    def __init__(self, velocity: Callable[..., State], force: Callable[..., State]) -> None:
        super().__init__()
        self.velocity, self.force = velocity, force

    def forward(self, t: Float[Tensor, " batch"], y: Pair, *args: Any) -> Pair:
        """Both derivatives; further arguments go to both halves."""
        return self.velocity(t, y[1], *args), self.force(t, y[0], *args)


@dataclass(frozen=True)
class Splitting:
    """A scheme of kicks (p moves, q rests) and drifts (q moves, p rests) in turn, a kick first.

    Attributes:
        name: as the field names it.
        order: order of the global error.
        kicks: shares of the step, their sum 1; one more than drifts if the scheme ends as it begins.
        drifts: likewise.
    """

    name: str
    order: int
    kicks: tuple[float, ...]
    drifts: tuple[float, ...]

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last kick's force is that of the next step's first."""
        return len(self.kicks) == len(self.drifts) + 1


def composed(name: str, order: int, lengths: tuple[float, ...]) -> Splitting:
    """Velocity Verlet steps of the given shares of a step one after the other, neighbouring kicks merged."""
    halves = (0.0, *lengths, 0.0)
    kicks = tuple((before + after) / 2 for before, after in pairwise(halves))
    return Splitting(name, order, kicks, lengths)


def _palindrome(outer_first: tuple[float, ...]) -> tuple[float, ...]:
    """Symmetric shares of sum 1, of which all but the middle one are given."""
    return (*outer_first, 1 - 2 * sum(outer_first), *reversed(outer_first))


SYMPLECTIC_EULER = Splitting("symplectic Euler", 1, (1.0,), (1.0,))
VELOCITY_VERLET = composed("velocity Verlet", 2, (1.0,))
# H. Yoshida, "Construction of higher order symplectic integrators", Phys. Lett. A 150 (1990): equation 2.11 and, of
# order six, solution A of table 1.
YOSHIDA4 = composed("Yoshida 4", 4, _palindrome((1 / (2 - 2 ** (1 / 3)),)))
YOSHIDA6 = composed("Yoshida 6", 6, _palindrome((0.784513610477560, 0.235573213359357, -1.17767998417887)))
# M. Suzuki, "Fractal decomposition of exponential operators", Phys. Lett. A 146 (1990), equation 15: five steps, all
# shorter than the whole; on a pendulum a tenth of Yoshida's error for as many forces.
SUZUKI4 = composed("Suzuki 4", 4, _palindrome((1 / (4 - 4 ** (1 / 3)),) * 2))
# S. Blanes, P. C. Moan, "Practical symplectic partitioned Runge-Kutta and Runge-Kutta-Nystrom methods", J. Comput.
# Appl. Math. 142 (2002), table 2, S6 of order four.
_BM_KICKS = (0.0792036964311957, 0.353172906049774, -0.0420650803577195)
_BM_DRIFTS = (0.209515106613362, -0.143851773179818)
BLANES_MOAN4 = Splitting(
    "Blanes-Moan 4",
    4,
    _palindrome(_BM_KICKS),
    (*_BM_DRIFTS, 0.5 - sum(_BM_DRIFTS), 0.5 - sum(_BM_DRIFTS), *reversed(_BM_DRIFTS)),
)


class Symplectic(nn.Module):
    """A stepper for states (q, p) from a separable vector field and a splitting.

    The map of a step is symplectic: phase space volume is kept and, at a fixed dt, the energy errs by a bounded amount
    over exponentially long times. For that, give it ``FixedStep``; its dense output repeats the step at the share of
    its length that is asked for, so that output times do not disturb the trajectory. There is no error estimate.
    Time-dependent halves keep the order: each has a clock of its own, which moves with the other half.

    Source: E. Hairer, C. Lubich, G. Wanner, "Geometric Numerical Integration", sections I.1.4, II.5 and VI.3.

    Args:
        vector_field: a ``SeparableField``, or any ``(t, (q, p)) -> (dq/dt, dp/dt)`` whose first half does not depend on
            q nor the second on p; of the latter both halves are computed where one is needed.
        splitting: such as ``VELOCITY_VERLET``.
    """

    def __init__(self, vector_field: Callable[[Tensor, Pair], Pair], splitting: Splitting) -> None:
        super().__init__()
        self.vector_field, self.splitting = vector_field, splitting
        self.order = self.dense_order = splitting.order

    def over(self, vector_field: Callable[[Tensor, Pair], Pair]) -> Symplectic:
        """The same scheme over another vector field."""
        return Symplectic(vector_field, self.splitting)

    def start(self, t: Float[Tensor, " batch"], y: Pair) -> State | None:
        """The force at the start, where a step's last one is the next step's first; else None.

        Raises:
            ValueError: the state is not a pair.
        """
        if not (isinstance(y, tuple | list) and len(y) == 2):
            raise ValueError(f"Expected a state (q, p), got {type(y).__name__}. Give y0=(positions, momenta).")
        return self._force(t, y[0], y[1]) if self.splitting.first_same_as_last else None

    def slope(self, t: Float[Tensor, " batch"], y: Pair, reuse: State | None = None) -> Pair:
        """The time derivatives at (t, y)."""
        return self.vector_field(t, y)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Pair, reuse: State | None = None
    ) -> Step:
        """One step. ``reuse`` is the force at (t, q). ``Step.evaluations`` counts forces."""
        (q, p), force = y, reuse
        kicked = drifted = 0.0
        for stage, kick in enumerate(self.splitting.kicks):
            if force is None or stage:
                force = self._force(t + drifted * dt, q, p)
            p = _moved(p, kick * dt, force)
            kicked += kick
            if stage < len(self.splitting.drifts):
                q = _moved(q, self.splitting.drifts[stage] * dt, self._velocity(t + kicked * dt, q, p))
                drifted += self.splitting.drifts[stage]
        return Step(
            y=(q, p),
            reuse=force if self.splitting.first_same_as_last else None,
            dense=_Repeated(self, t, dt, y, reuse),
            evaluations=len(self.splitting.kicks) - (reuse is not None),
        )

    def reverse(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Pair, reuse: State | None = None
    ) -> tuple[Pair, State | None]:
        """The state at t and the force there, from those at t + dt: kicks and drifts undone, up to rounding."""
        (q, p), force = y, reuse
        kicked = drifted = 1.0
        kicks, drifts = self.splitting.kicks, self.splitting.drifts
        for stage in reversed(range(len(kicks))):
            if stage < len(drifts):
                q = _moved(q, -drifts[stage] * dt, self._velocity(t + kicked * dt, q, p))
                drifted, force = drifted - drifts[stage], None
            force = self._force(t + drifted * dt, q, p) if force is None else force
            p = _moved(p, -kicks[stage] * dt, force)
            kicked -= kicks[stage]
        return (q, p), force if self.splitting.first_same_as_last else None

    def extra_repr(self) -> str:
        return self.splitting.name

    def _velocity(self, t: Tensor, q: State, p: State) -> State:
        if isinstance(self.vector_field, SeparableField):
            return self.vector_field.velocity(t, p)
        return self.vector_field(t, (q, p))[0]

    def _force(self, t: Tensor, q: State, p: State) -> State:
        if isinstance(self.vector_field, SeparableField):
            return self.vector_field.force(t, q)
        return self.vector_field(t, (q, p))[1]


class _Repeated:
    """Dense output: the step once more, at a share of its length; what that spends is counted here."""

    def __init__(self, scheme: Symplectic, t: Tensor, dt: Tensor, y: Pair, reuse: State | None) -> None:
        self.scheme, self.t, self.dt, self.y, self.reuse = scheme, t, dt, y, reuse
        self.evaluations = 0

    def __call__(self, theta: Tensor, rows: Tensor) -> State:
        turns = _occurrence(rows)
        found, places = [], []
        for turn in range(int(turns.max()) + 1 if len(turns) else 0):
            chosen = (turns == turn).nonzero().flatten()
            share = torch.ones_like(self.dt).index_put((rows[chosen],), theta[chosen].to(self.dt.dtype))
            step = self.scheme(self.t, share * self.dt, self.y, self.reuse)
            self.evaluations += int(step.evaluations)
            found.append(select(step.y, rows[chosen]))
            places.append(chosen)
        if not found:
            return select(self.y, rows)
        order = torch.cat(places).argsort()
        return map_state(lambda *parts: torch.cat(parts)[order], *found)


def _occurrence(rows: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    """How many times each entry has occurred before."""
    order = rows.argsort(stable=True)
    ordered = rows[order]
    first = torch.searchsorted(ordered, ordered)
    counted = torch.arange(len(rows), device=rows.device) - first
    return torch.empty_like(counted).index_put((order,), counted)


def _moved(y: State, length: Tensor, rate: State) -> State:
    """y + length * rate."""
    return map_state(lambda u, f: u + broadcast(length, u) * f, y, rate)
