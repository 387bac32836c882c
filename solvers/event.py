"""Events: where a condition of time and state changes sign, a sample stops or its state changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .arguments import plain_args, select_args
from .state import State, broadcast, leaves, map_state, where
from .stepper import Step, Stepper

_MOST_EVALUATIONS = 100  # of a condition while a root is bracketed; bisection alone needs 52 in double precision


@dataclass(frozen=True)
class Event:
    """What happens where ``condition`` passes through zero.

    Attributes:
        condition: ``(t, y, *args) -> (batch,)``, continuous along a solution.
        terminal: whether the sample ends there.
        direction: 1 for rising conditions only, -1 for falling ones, 0 for both.
        change: ``(t, y, *args) -> y``, the state that a sample goes on with (a bounce); needs ``terminal=False``.
        checks: points inside each step at which the condition is looked at, beside its end. Two sign changes within
            one step cancel and go unseen unless one of these lies between them.

    A condition that is zero at the start, or just after its own event, has to leave zero before it can return to it.
    Gradients of the event's time and state are those of the implicit function theorem, also with respect to
    parameters of the condition.

    Raises:
        ValueError: a terminal event with a change, or a direction other than -1, 0, 1.
    """

    condition: Callable[..., Tensor]
    terminal: bool = True
    direction: int = 0
    change: Callable[..., State] | None = None
    checks: int = 0

    def __post_init__(self) -> None:
        if self.terminal and self.change is not None:
            raise ValueError("Expected a change only of an event that goes on. Write Event(..., terminal=False).")
        if self.direction not in (-1, 0, 1) or self.checks < 0:
            raise ValueError(
                f"Expected direction -1, 0 or 1 and checks >= 0, got direction={self.direction}, checks={self.checks}."
            )


@dataclass(frozen=True)
class Hit:
    """Events inside the current step; every tensor is per sample.

    Attributes:
        mask: which samples met one.
        theta: where in the step, 1 for the others.
        which: index of the event, -1 for the others.
    """

    mask: Tensor
    theta: Tensor
    which: Tensor


@dataclass(frozen=True)
class Watch:
    """The events of a solve and what they were at the start of the current step.

    Attributes:
        events: in the order in which they are numbered.
        args: extra arguments of the conditions.
        values: each condition at the start of the step, (batch,).
        fresh: samples whose condition may be zero there: its sign is taken a little later.
    """

    events: tuple[Event, ...]
    args: tuple[Any, ...]
    values: tuple[Tensor, ...]
    fresh: Tensor

    @classmethod
    def begin(cls, events: Event | Sequence[Event], args: tuple[Any, ...], t: Tensor, y: State) -> Watch:
        listed = (events,) if isinstance(events, Event) else tuple(events)
        empty = cls(listed, args, (), torch.ones_like(t, dtype=torch.bool))
        return replace(empty, values=tuple(empty.condition(k, t, y).detach() for k in range(len(listed))))

    def condition(self, index: int, t: Tensor, y: State) -> Tensor:
        """A condition, checked.

        Raises:
            ValueError: it is not of shape (batch,).
        """
        value = self.events[index].condition(t, y, *plain_args(self.args))
        if not isinstance(value, Tensor) or value.shape != t.shape:
            came = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"Expected condition(t, y) of shape {tuple(t.shape)}, one value per sample, got {came}.")
        return value.to(t.dtype)

    def change(self, which: Tensor, t: Tensor, y: State) -> State:
        """The states after the events ``which`` (batch,), unchanged where that is -1."""
        for index, event in enumerate(self.events):
            if event.change is not None and bool((which == index).any()):
                y = where(which == index, event.change(t, y, *plain_args(self.args)), y)
        return y

    def terminal(self, which: Tensor) -> Tensor:
        """Which samples end at the events ``which`` (batch,)."""
        flags = torch.tensor([event.terminal for event in self.events], device=which.device)
        return (which >= 0) & flags[which.clamp(min=0)]

    def moved(self, t: Tensor, y: State, accept: Tensor, hit: Hit | None) -> Watch:
        """The watch at the start of the next step."""
        now = (self.condition(k, t, y).detach() for k in range(len(self.events)))
        values = tuple(torch.where(accept, new, old) for new, old in zip(now, self.values))
        fresh = self.fresh & ~accept
        return replace(self, values=values, fresh=fresh if hit is None else fresh | (hit.mask & accept))

    def restarted(self, mask: Tensor, t: Tensor, y: State) -> Watch:
        """The watch after states changed."""
        now = (self.condition(k, t, y).detach() for k in range(len(self.events)))
        return replace(self, values=tuple(torch.where(mask, new, old) for new, old in zip(now, self.values)))

    def select(self, rows: Tensor) -> Watch:
        """The watch of these samples alone."""
        values = tuple(value[rows] for value in self.values)
        return Watch(self.events, select_args(self.args, rows), values, self.fresh[rows])

    @torch.no_grad()
    def search(self, along: Callable[[Tensor], State], t: Tensor, dt: Tensor, accept: Tensor) -> Hit | None:
        """The first event of each sample inside a step.

        Args:
            along: the state at t + theta dt for theta (batch,).
            t, dt: start and length of the step.
            accept: samples whose step stands.
        """
        theta, which = torch.ones_like(t), torch.full_like(t, -1, dtype=torch.int64)
        for index, event in enumerate(self.events):
            bracket = self._bracket(index, event, along, t, dt, accept)
            if bracket is None:
                continue
            resolution = 4 * torch.finfo(t.dtype).eps * torch.maximum(t.abs(), dt.abs()) / dt.abs().clamp(min=1e-300)
            value = partial(self._along, index, along, t, dt)
            found = bracket.root(value, resolution)
            first = bracket.mask & ((which < 0) | (found < theta))
            theta, which = torch.where(first, found, theta), torch.where(first, index, which)
        mask = which >= 0
        return Hit(mask, theta, which) if bool(mask.any()) else None

    def _along(self, index: int, along: Callable[[Tensor], State], t: Tensor, dt: Tensor, theta: Tensor) -> Tensor:
        return self.condition(index, t + theta * dt, along(theta))

    def _bracket(
        self, index: int, event: Event, along: Callable[[Tensor], State], t: Tensor, dt: Tensor, accept: Tensor
    ) -> _Bracket | None:
        """The first of the sub-intervals of the step in which the condition changes sign."""
        left, value = torch.zeros_like(t), self.values[index]
        if bool(self.fresh.any()):
            early = torch.full_like(t, torch.finfo(t.dtype).eps ** (1 / 3))
            left = torch.where(self.fresh, early, left)
            value = torch.where(self.fresh, self._along(index, along, t, dt, left), value)
        found: _Bracket | None = None
        for k in range(event.checks + 1):
            right = torch.full_like(t, (k + 1) / (event.checks + 1))
            ahead = self._along(index, along, t, dt, right)
            turns = (torch.sign(ahead) - torch.sign(value)) * (1 if event.direction == 0 else event.direction)
            crosses = (value != 0) & ((value * ahead <= 0) if event.direction == 0 else (turns > 0)) & accept
            crosses &= torch.isfinite(ahead) & torch.isfinite(value)
            new = _Bracket(crosses, left, right, value, ahead)
            found = new if found is None else found.filled(new)
            left, value = right, ahead
        return found if found is not None and bool(found.mask.any()) else None


@dataclass(frozen=True)
class _Bracket:
    """Per sample an interval of theta at whose ends the condition has different signs, where ``mask`` holds."""

    mask: Tensor
    left: Tensor
    right: Tensor
    at_left: Tensor
    at_right: Tensor

    def filled(self, later: _Bracket) -> _Bracket:
        """This bracket, and the later one for the samples that have none."""
        take = later.mask & ~self.mask
        names = ("left", "right", "at_left", "at_right")
        ends = (torch.where(take, getattr(later, name), getattr(self, name)) for name in names)
        return _Bracket(self.mask | take, *ends)

    def root(self, function: Callable[[Tensor], Tensor], resolution: Tensor) -> Tensor:
        """Roots in the brackets, 1 where there is none: the Illinois rule, with a bisection every third time.

        Source: M. Dowell, P. Jarratt, "A modified regula falsi method for computing the root of an equation", BIT 11
        (1971).
        """
        left, right, at_left, at_right, flat = self._without_hidden_changes(function)
        for k in range(_MOST_EVALUATIONS):
            if not bool((self.mask & (right - left > resolution) & (at_right != 0)).any()):
                break
            slope = at_right - at_left
            steep = slope != 0
            secant = right - at_right * (right - left) / torch.where(steep, slope, torch.ones_like(slope))
            inside = (secant > left) & (secant < right) & steep & (k % 3 != 2)
            trial = torch.where(inside, secant, 0.5 * (left + right))
            value = _other_sign(flat, function(trial), at_left)
            same = torch.sign(value) == torch.sign(at_left)
            # The end that stays has its value halved, or the secant would creep.
            at_left, at_right = torch.where(same, value, 0.5 * at_left), torch.where(same, 0.5 * at_right, value)
            left, right = torch.where(same, trial, left), torch.where(same, right, trial)
        return torch.where(self.mask, right, torch.ones_like(right))

    def _without_hidden_changes(self, function: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """Both ends, the values there, and where zeros count as a change of sign.

        A condition that is zero at the right end may have changed its sign before, or have been zero for long: then it
        has another sign just before the end than at the left. Where that is so the bracket ends there instead.
        """
        left, right, at_left, at_right = self.left, self.right, self.at_left, self.at_right
        zero = self.mask & (at_right == 0)
        if not bool(zero.any()):
            return left, right, at_left, at_right, zero
        before = right - torch.finfo(right.dtype).eps ** 0.5 * (right - left)
        value = function(torch.where(zero, before, right))
        hidden = zero & torch.isfinite(value) & (torch.sign(value) != torch.sign(at_left))
        flat = hidden & (value == 0)
        at_right = torch.where(hidden, _other_sign(flat, value, at_left), at_right)
        return left, torch.where(hidden, before, right), at_left, at_right, flat


def _other_sign(mask: Tensor, value: Tensor, of: Tensor) -> Tensor:
    """``value``, but where ``mask`` holds a tiny number of the sign opposite to ``of`` in place of zero."""
    tiny = torch.finfo(value.dtype).tiny ** 0.5
    return torch.where(mask & (value == 0), -tiny * torch.sign(of), value)


def settle(watch: Watch, hit: Hit, stepper: Stepper, step: Step, t_end: Tensor, span: Tensor) -> tuple[Tensor, State]:
    """Times and states of the events, with gradients.

    ``step`` ends on the located roots at ``t_end``. One Newton step of the condition along the trajectory,
    dt = -g / (dg/dt + dg/dy f), removes what the dense output erred, and carries the gradient of the implicit function
    theorem: the derivative of g with respect to everything it depends on, over its slope along the trajectory.
    """
    f = _slope(stepper, t_end, step.y, span)
    value, rate = torch.zeros_like(t_end), torch.ones_like(t_end)
    for index in range(len(watch.events)):
        mine = hit.which == index
        if bool(mine.any()):
            value = torch.where(mine, watch.condition(index, t_end, step.y), value)
            rate = torch.where(mine, _rate(watch, index, t_end, step.y, f), rate)
    shift = torch.where(rate == 0, torch.zeros_like(rate), -value / torch.where(rate == 0, torch.ones_like(rate), rate))
    shift = torch.where(hit.mask, shift, torch.zeros_like(shift))
    return t_end + shift, map_state(lambda y, slope: y + broadcast(shift, y) * slope, step.y, f)


def _rate(watch: Watch, index: int, t: Tensor, y: State, f: State) -> Tensor:
    """The time derivative of a condition along the trajectory, (batch,), a constant."""
    with torch.enable_grad():
        t_leaf = t.detach().requires_grad_()
        y_leaf = map_state(lambda leaf: leaf.detach().requires_grad_(), y)
        value = watch.condition(index, t_leaf, y_leaf)
        inputs = [t_leaf, *leaves(y_leaf)]
        if not value.requires_grad:
            return torch.zeros_like(t)
        slopes = torch.autograd.grad(value.sum(), inputs, allow_unused=True)
    total = torch.zeros_like(t) if slopes[0] is None else slopes[0]
    for slope, velocity in zip(slopes[1:], leaves(f)):
        if slope is not None:
            product = (slope.conj() * velocity.detach()).real if slope.is_complex() else slope * velocity.detach()
            total = total + product.reshape(len(t), -1).sum(dim=1).to(t.dtype)
    return total.detach()


def _slope(stepper: Any, t: Tensor, y: State, span: Tensor) -> State:
    """The time derivative of the trajectory, by a short step where the stepper does not know it."""
    if hasattr(stepper, "slope"):
        return stepper.slope(t, y, None)
    short = span * torch.finfo(t.dtype).eps ** 0.5
    ahead = stepper(t, short, y, stepper.start(t, y)) if hasattr(stepper, "start") else stepper(t, short, y)
    return map_state(lambda new, old: (new - old) / broadcast(short, old), ahead.y, y)
