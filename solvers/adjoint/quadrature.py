"""Gradients with respect to parameters, summed over the steps of the backward pass."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..state import State, broadcast, leaves, map_state, where
from .gradient_stepper import VectorField
from .protocol import TakenStep
from .vjp import plus, vjp


class Quadrature:
    """The integral of a^T df/dp over time, which is dL/dp, by the Gauss-Legendre rule over each accepted step.

    The rule is as exact in order as the steps, and takes one product with all samples at once for each of its nodes.

    The integral is not a part of the integrated state: that would hold one copy of all parameters a sample, and let
    them lengthen and shorten steps on which they have no influence (P. Kidger, R. Chen, T. Lyons, "Hey, that's not an
    ODE: faster ODE adjoints via seminorms", ICML 2021).

    Args:
        wanted: the parameters.
        order: of the steps, None where it is not known.
        scale: what the gradient of each sample has been divided by, (batch,).

    Attributes:
        total: the integral so far, None for parameters that the field does not depend on.
    """

    def __init__(self, wanted: tuple[Tensor, ...], order: int | None, scale: Tensor) -> None:
        self._scale = scale
        count = 2 if order is None else (order + 1) // 2
        nodes, weights = np.polynomial.legendre.leggauss(count)
        self._nodes = [(float(0.5 + 0.5 * node), float(0.5 * weight)) for node, weight in zip(nodes, weights)]
        self._wanted = wanted
        self.total: list[Tensor | None] = [None] * len(wanted)

    def observe(self, taken: TakenStep) -> None:
        """Add an accepted step of a ``GradientStepper``."""
        equations, dense = taken.stepper.equations, taken.step.dense  # type: ignore[attr-defined]
        accepted = taken.accept.nonzero().flatten()
        scale = self._scale[taken.members]
        every = torch.arange(len(taken.t), device=taken.t.device)
        for node, weight in self._nodes:
            t = taken.t + node * taken.dt
            state = dense(torch.full_like(t, node), every)  # type: ignore[misc]
            if len(accepted) < len(t):  # a rejected step may hold anything
                state = where(taken.accept, state, taken.y)
            y, a = equations.split(t, state)
            measure = torch.where(taken.accept, -weight * scale * taken.dt, torch.zeros_like(t))
            self._add(equations.field, t, y, _times(measure, a))

    def _add(self, field: VectorField, t: Tensor, y: State, cotangent: State) -> None:
        with torch.enable_grad():
            slope = field(t, map_state(torch.detach, y))
        found = vjp(leaves(slope), leaves(cotangent), self._wanted)
        self.total = [plus(total, term) for total, term in zip(self.total, found)]


def _times(value: Tensor, state: State) -> State:
    return map_state(lambda leaf: broadcast(value, leaf) * leaf, state)
