"""The caller's functions that are told of every step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from sciml.solvers.controller import Control, StepSizeController
from sciml.solvers.state import State
from sciml.solvers.stepper import Step, Stepper

from .declared import declare_like
from .packing import Packing

NAMES = ("callback_step", "callback_accept_step", "callback_reject_step")


class Announcer:
    """Tells the callbacks that a vector field carries as attributes, each called as ``(t0, y0, dt)`` with dt > 0.

    ``callback_step`` is called before every attempted step, ``callback_accept_step`` or ``callback_reject_step`` after
    the controller has judged it.

    Args:
        func: the caller's vector field.
        packing: of the state that the callbacks get.
        method, supported: name of the method and of the callbacks that it calls; a warning where there are others.
    """

    def __init__(self, func: Any, packing: Packing, method: str, supported: Iterable[str]) -> None:
        found = {name: getattr(func, name) for name in NAMES if getattr(func, name, None) is not None}
        ignored = sorted(set(found) - set(supported))
        if ignored:
            warnings.warn(f"Method {method!r} does not call {ignored}.", stacklevel=4)
        self.packing = packing
        self.callbacks: dict[str, Callable[..., Any]] = {k: v for k, v in found.items() if k not in ignored}
        self._t: Tensor | None = None

    def tell(self, name: str, y: Tensor, dt: Tensor, t: Tensor | None = None) -> None:
        """Call the callback of that name, if there is one, for the step from ``t``, or from where the last one was."""
        self._t = self._t if t is None else t.squeeze(0)
        if name in self.callbacks:
            self.callbacks[name](self._t, self.packing.unpack(y.squeeze(0)), dt.squeeze(0).abs())


class AnnouncedStepper:
    """A stepper whose steps are announced before they are taken."""

    def __init__(self, stepper: Stepper, announcer: Announcer) -> None:
        self.stepper, self.announcer = stepper, announcer
        declare_like(self, stepper)

    def __call__(self, t: Tensor, dt: Tensor, y: Tensor, *reuse: Any) -> Step:
        """One step of the stepper."""
        self.announcer.tell("callback_step", y, dt, t)
        return self.stepper(t, dt, y, *reuse)


class AnnouncedController:
    """A controller whose judgements are announced."""

    def __init__(self, controller: StepSizeController, announcer: Announcer) -> None:
        self.controller, self.announcer = controller, announcer
        self.adaptive = getattr(controller, "adaptive", False)

    def start(self, stepper: Stepper, t: Tensor, y: State, span: Tensor, reuse: Any) -> Control:
        """The controller's first proposal."""
        return self.controller.start(stepper, t, y, span, reuse)

    def __call__(self, step: Step, y: State, dt: Tensor, control: Control) -> Control:
        """The controller's judgement."""
        judged = self.controller(step, y, dt, control)
        accepted = bool(torch.all(judged.accept))
        self.announcer.tell("callback_accept_step" if accepted else "callback_reject_step", y, dt)
        return judged
