"""Second derivatives through an adjoint that has first ones only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...adjoint.parameters import parameters_of
from ...adjoint.protocol import Adjoint, Run
from ...controller import StepSizeController
from ...solution import Solution
from ...state import State
from ...stepper import Stepper


@dataclass(frozen=True)
class Twice:
    """An adjoint whose gradients are differentiable: where that is asked for (``create_graph=True``), the solve is
    carried out again with autograd recording every step, at the memory of all of them.

    Attributes:
        adjoint: for the first derivatives.
        params: get a gradient, of zero, also where the solution does not depend on them.
    """

    adjoint: Adjoint
    params: tuple[Tensor, ...] = ()

    def __call__(
        self, run: Run, stepper: Stepper, y0: State, ts: Float[Tensor, "batch time"], controller: StepSizeController
    ) -> Solution:
        used = parameters_of(stepper, ts[:, 0], y0)
        inputs = {id(tensor): tensor for tensor in (y0, *self.params, *used) if tensor.requires_grad}
        solution = self.adjoint(run, stepper, y0, ts, controller)
        if not (inputs and torch.is_grad_enabled()):
            return solution

        def again() -> Tensor:
            return run(stepper, y0, ts, controller).ys

        ys = _Again.apply(again, _Held(solution.ys), *inputs.values())
        return replace(solution, ys=ys)


@dataclass(frozen=True)
class _Held:
    """A tensor that autograd is not to see among a function's arguments."""

    ys: Tensor


class _Again(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, again: Callable[[], Tensor], once: _Held, *inputs: Tensor) -> Tensor:
        ctx.again, ctx.once, ctx.inputs = again, once, inputs
        return once.ys.detach().clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        twice = torch.is_grad_enabled()  # asked for with create_graph=True
        ys = ctx.again() if twice else ctx.once.ys
        if not ys.requires_grad:
            return (None, None, *(torch.zeros_like(tensor) for tensor in ctx.inputs))
        settings = {"create_graph": twice, "retain_graph": True, "allow_unused": True, "materialize_grads": True}
        return (None, None, *torch.autograd.grad(ys, ctx.inputs, gradient, **settings))
