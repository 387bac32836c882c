"""What the adjoints share that integrate the equations of the gradient backwards in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..controller import StepSizeController
from ..solution import Solution, Status
from ..state import State, broadcast, leaves, map_state, max_norm
from ..stepper import Stepper
from .function import Gradients, Rule, attach
from .gradient_stepper import Equations, GradientStepper, Outputs, VectorField
from .parameters import parameters_of
from .protocol import Run
from .quadrature import Quadrature


@dataclass(frozen=True)
class Problem:
    """A solve whose gradient is integrated backwards.

    Attributes:
        name: of the adjoint, for messages.
        field, y0, ts: the initial value problem.
        wanted: the parameters of the field.
    """

    name: str
    field: VectorField
    y0: State
    ts: Tensor
    wanted: tuple[Tensor, ...]

    @classmethod
    def of(cls, stepper: Stepper, y0: State, ts: Tensor, name: str) -> Problem:
        """Collect what gradients are needed for.

        Raises:
            ValueError: the stepper integrates no vector field, or one of more than a slope (an SDE).
        """
        if not (hasattr(stepper, "vector_field") and hasattr(stepper, "over")):
            raise ValueError(
                f"{name} integrates the equations of the gradient over the stepper's vector field, and "
                f"{type(stepper).__name__} has none (vector_field, over). Use adjoint=RecursiveCheckpoint()."
            )
        wanted = parameters_of(stepper, ts[:, 0], y0)
        with torch.no_grad():
            _check_slope(stepper.vector_field(ts[:, 0], y0), y0, name)
        return cls(name, stepper.vector_field, y0, ts, wanted)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What gradients are computed for."""
        return (*leaves(self.y0), self.ts, *self.wanted)

    @property
    def needs_gradients(self) -> bool:
        any_required = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in self.inputs)
        return any_required and self.ts.shape[1] > 1

    def attach(self, solution: Solution, backward: Backward) -> Solution:
        """The solution with the gradient of ``ys`` and ``y_end`` that ``backward`` gives.

        Raises:
            ValueError: the solve watches for events.
        """
        if solution.events is not None:
            raise ValueError(
                f"{self.name} does not differentiate through events. Solve with adjoint=RecursiveCheckpoint() where "
                "all are terminal, else with adjoint=Direct()."
            )
        values, tree = pytree.tree_flatten((solution.ys, solution.y_end))
        ys = solution.ys

        def pullback(gradients: tuple[Tensor, ...]) -> Gradients:
            self._check_finished(solution)
            of_ys, of_end = pytree.tree_unflatten(list(gradients), tree)
            of_ys = map_state(_plus_last, of_ys, of_end)
            start, parameters = backward(ys, of_ys)
            of_y0 = map_state(lambda a, g: a + g[:, 0], start, of_ys)
            of_ts = self._of_times(ys, of_ys, start) if self.ts.requires_grad else None
            return (*leaves(of_y0), of_ts, *parameters)

        attached = attach(Rule(tuple(values), pullback, self.name), self.inputs)
        ys_attached, y_end = pytree.tree_unflatten(list(attached), tree)
        return replace(solution, ts=self.ts, ys=ys_attached, t_end=self.ts[:, -1], y_end=y_end)

    def _check_finished(self, solution: Solution) -> None:
        status = solution.statistics.status
        if bool((status != Status.SUCCESS).any()):
            raise RuntimeError(
                f"{self.name} goes back from the last output time, which samples "
                f"{status.nonzero().flatten().tolist()} did not reach. Use adjoint=RecursiveCheckpoint() or Direct()."
            )

    def _of_times(self, ys: State, gradients: State, start: State) -> Tensor:
        """dL/dt: a later output time moves its output on by f dt, a later start moves back all that flows from it."""
        columns = []
        for k in range(self.ts.shape[1]):
            weight = map_state(torch.neg, start) if k == 0 else column(gradients, k)
            columns.append(_inner(weight, self.field(self.ts[:, k], column(ys, k))).to(self.ts.dtype))
        return torch.stack(columns, dim=1)


Backward = Callable[[State, State], tuple[State, list[Tensor | None]]]
"""From outputs and the gradients with respect to them to the gradients of the initial state, its own output apart, and
of the parameters."""


@dataclass(frozen=True)
class Integrator:
    """How the equations of the gradient are integrated.

    Attributes:
        run: the time loop.
        scheme: a stepper with ``over``.
        controller: of its steps.
    """

    run: Run
    scheme: Stepper
    controller: StepSizeController

    def __call__(
        self, problem: Problem, equations: Equations, ys: State, gradients: State
    ) -> tuple[State, list[Tensor | None]]:
        """The gradients with respect to the initial state and the parameters.

        The equations are linear in the gradient. It is integrated in units in which its largest entry is that of the
        solution, so that rtol and atol ask of it what they ask of the solution, whatever factor the loss has.
        """
        scale = _ratio(max_norm(gradients), max_norm(ys))
        gradients = map_state(lambda leaf: leaf / broadcast(scale, leaf), gradients)
        inner = Outputs(problem.ts[:, 1:-1].detach(), _inside(ys), _inside(gradients))
        stepper = GradientStepper(self.scheme, equations, inner)
        quadrature = Quadrature(problem.wanted, stepper.order, scale)
        solution = self.run(
            stepper,
            equations.joined(column(ys, -1), column(gradients, -1)),
            problem.ts.detach().flip(1),
            self.controller,
            observe=quadrature.observe if problem.wanted else None,
            backward=True,
        )
        _, a = equations.split(problem.ts[:, 0].detach(), solution.y_end)
        return map_state(lambda leaf: leaf * broadcast(scale, leaf), a), quadrature.total


def column(tree: State, k: int) -> State:
    """The entries at one output time."""
    return map_state(lambda leaf: leaf[:, k], tree)


def _inside(tree: State) -> State:
    return map_state(lambda leaf: leaf[:, 1:-1], tree)


def _ratio(size: Tensor, unit: Tensor) -> Tensor:
    """size / unit, 1 where either vanishes."""
    usable = (size > 0) & (unit > 0) & torch.isfinite(size)
    return torch.where(usable, size / unit, torch.ones_like(size))


def _check_slope(slope: State, y: State, name: str) -> None:
    """Raise unless the field gives a slope."""
    if pytree.tree_structure(slope) != pytree.tree_structure(y):
        raise ValueError(
            f"{name} integrates the equations of the gradient of an ODE, and this vector field gives no slope of y's "
            "structure (an SDE's gives drift and diffusion). Use adjoint=RecursiveCheckpoint()."
        )


def _plus_last(outputs: Tensor, end: Tensor) -> Tensor:
    """The end state is the last output."""
    return torch.cat([outputs[:, :-1], outputs[:, -1:] + end[:, None]], dim=1)


def _inner(a: State, b: State) -> Tensor:
    """Real part of the inner product of each sample, (batch,)."""
    terms = [(x.conj() * y).real.reshape(len(x), -1).sum(dim=1) for x, y in zip(leaves(a), leaves(b))]
    return torch.stack(terms).sum(dim=0)
