"""Gradients reach whatever a vector field depends on, declared or not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers import TSIT5, FixedStep, PIDController, RungeKutta, StepDoubling, solve
from sciml.solvers.adjoint.backsolve import Backsolve
from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.interpolated import Interpolated
from sciml.solvers.adjoint.parameters import parameters_of
from tests.solvers.adjoint.cases import leaf

Y, T = torch.ones(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)


def found(field: Any, wrap: Any = lambda stepper: stepper) -> list[int]:
    return [id(tensor) for tensor in parameters_of(wrap(RungeKutta(field, TSIT5)), T, Y)]


def test_closures_over_leaves_are_found() -> None:
    rate, shift, unused = leaf(3), leaf(3), leaf(3)
    assert unused.requires_grad
    field = lambda t, y: rate * y + shift  # noqa: E731
    assert set(found(field)) == {id(rate), id(shift)}
    assert set(found(field, StepDoubling)) == {id(rate), id(shift)}


def test_intermediate_results_are_found_themselves() -> None:
    source = leaf(3)
    code, other = source.exp(), source.sin()
    assert set(found(lambda t, y: code * y + other)) == {id(code), id(other)}
    assert found(lambda t, y: code[:2].sum() * y) == [id(code)]


def test_a_field_that_returns_a_parameter_as_it_is() -> None:
    slope = leaf(2, 3)
    assert found(lambda t, y: slope) == [id(slope)]


def test_modules_give_their_parameters_also_those_not_used_at_first() -> None:
    class Switching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.early, self.late = (nn.Linear(3, 3, dtype=torch.float64) for _ in range(2))
            self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
            self.code = leaf(3)

        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return (self.early if float(t[0]) < 0.5 else self.late)(y) * self.code

    field = Switching()
    expected = {id(p) for p in (*field.early.parameters(), *field.late.parameters(), field.code)}
    assert set(found(field)) == expected


def test_nothing_is_found_without_gradients() -> None:
    rate = leaf(3)
    assert found(lambda t, y: y * rate.detach()) == []
    with torch.no_grad():
        assert found(lambda t, y: y * rate) == []


class _Doubled(torch.autograd.Function):
    """A function that torch's modes do not see inside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient


def test_gradients_pass_custom_functions_and_encoders_used_elsewhere() -> None:
    """The loss uses the code once more beside the solve: its graph is walked by both, in one backward pass."""
    weight, y0 = leaf(3, 3), leaf(2, 3, seed=1)

    def gradient(adjoint: Any) -> Tensor:
        code = torch.tanh(weight @ weight)[0]
        stepper = RungeKutta(lambda t, y: _Doubled.apply(code) * y.sin(), TSIT5)
        ys = solve(stepper, y0 * code, torch.linspace(0, 1, 3), FixedStep(0.25), adjoint=adjoint).ys
        (result,) = torch.autograd.grad(ys.square().sum() + code.sum(), weight)
        return result

    torch.testing.assert_close(gradient(RecursiveCheckpoint()), gradient(Direct()), rtol=1e-12, atol=1e-14)


class Conditioned(nn.Module):
    """A field whose code was made by an encoder that is its own: the encoder's parameters are declared too."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.shift = nn.Linear(3, 3, dtype=torch.float64), nn.Parameter(leaf(3).detach())
        self.code = torch.tanh(self.encoder(Y[0]))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.code * y.sin() + self.shift


@pytest.mark.parametrize(
    "adjoint", [RecursiveCheckpoint(), Backsolve(), Interpolated()], ids=lambda a: type(a).__name__
)
@pytest.mark.parametrize("case", ["declared", "used directly too", "a chain of codes"])
def test_nothing_counts_twice_that_is_used_directly_and_through_a_result(adjoint: Any, case: str) -> None:
    torch.manual_seed(0)
    weight, module = leaf(3), Conditioned()

    def field() -> tuple[Any, list[Tensor]]:
        code = weight.sin()
        if case == "declared":
            return module, list(module.parameters())
        if case == "used directly too":
            return lambda t, y: code * y.sin() + weight, [weight]
        further = code.exp()
        return lambda t, y: further * y.sin() + code, [weight]

    def gradient(adjoint: Any) -> tuple[Tensor, ...]:
        built, wanted = field()
        ts = torch.linspace(0, 1, 3, dtype=torch.float64)
        ys = solve(RungeKutta(built, TSIT5), Y, ts, PIDController(1e-9, 1e-9), adjoint=adjoint).ys
        return torch.autograd.grad(ys.square().sum(), wanted, retain_graph=True)

    for found, expected in zip(gradient(adjoint), gradient(Direct())):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_a_result_is_replaced_by_leaves_only_where_it_must_be() -> None:
    weight, source = leaf(3), leaf(3)
    code, own = weight.sin(), source.exp()
    assert set(found(lambda t, y: code * y + own + weight)) == {id(weight), id(own)}
