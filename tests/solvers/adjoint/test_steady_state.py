"""States at rest against closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers import TSIT5, PIDController, RungeKutta, Step
from sciml.solvers.adjoint.steady_state import NotAtRest, steady_state
from sciml.solvers.arguments import PerSample
from sciml.solvers.implicit.jacobian import Dense
from sciml.solvers.implicit.krylov import GMRES
from tests.solvers.adjoint.cases import leaf

CONTROLLER = PIDController(1e-4, 1e-5)


def linear(t: Tensor, y: Tensor, matrix: Tensor, source: Tensor) -> Tensor:
    return source - y @ matrix.T


@pytest.mark.parametrize("solver", [Dense(), GMRES()], ids=["dense", "gmres"])
def test_a_linear_system_rests_where_algebra_says(solver: Any) -> None:
    """y = A^-1 b, and so its gradients, with a right-hand side for each sample."""
    matrix = (torch.eye(3).double() + 0.3 * leaf(3, 3).detach()).requires_grad_()
    source = leaf(2, 3, seed=1)
    y0 = torch.zeros(2, 3, dtype=torch.float64)
    stepper = RungeKutta(linear, TSIT5)
    found = steady_state(stepper, y0, CONTROLLER, args=(matrix, PerSample(source)), linear=solver)
    expected = torch.linalg.solve(matrix, source.T).T
    assert bool(found.converged.all())
    torch.testing.assert_close(found.y, expected, rtol=1e-9, atol=1e-9)
    gradients = torch.autograd.grad(found.y.sin().sum(), (matrix, source))
    for one, other in zip(gradients, torch.autograd.grad(expected.sin().sum(), (matrix, source))):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_structures_and_complex_states_rest() -> None:
    """z = i / p and x = |z|^2, from anywhere."""
    p = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)

    def field(t: Tensor, y: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"z": 1j - p * y["z"], "x": y["z"].abs() ** 2 - y["x"]}

    y0 = {"z": torch.ones(2, 1, dtype=torch.complex128), "x": torch.zeros(2, 1, dtype=torch.float64)}
    found = steady_state(RungeKutta(field, TSIT5), y0, CONTROLLER)
    (gradient,) = torch.autograd.grad(found.y["x"].sum(), p)
    torch.testing.assert_close(found.y["x"], torch.full_like(found.y["x"], 1 / 1.7**2), rtol=1e-9, atol=0)
    torch.testing.assert_close(gradient, -4 / p.detach() ** 3, rtol=1e-8, atol=0)


def test_the_start_only_chooses_where_to_rest() -> None:
    """y' = y (c - y^2) rests at +-sqrt(c): each sample at the one of its side, with that one's gradient."""
    c = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[0.1], [-3.0]], dtype=torch.float64, requires_grad=True)
    found = steady_state(RungeKutta(lambda t, y: y * (c - y**2), TSIT5), y0, CONTROLLER)
    torch.testing.assert_close(found.y, torch.tensor([[1.0], [-1.0]]).double() * c.sqrt(), rtol=1e-10, atol=0)
    of_c, of_y0 = torch.autograd.grad(found.y[0, 0], (c, y0), allow_unused=True)
    torch.testing.assert_close(of_c, 0.5 / c.detach().sqrt(), rtol=1e-8, atol=0)
    assert of_y0 is None


def test_a_pendulum_never_rests() -> None:
    field = lambda t, y: torch.stack([y[:, 1], -y[:, 0].sin()], dim=1)  # noqa: E731
    with pytest.raises(NotAtRest, match="oscillates") as caught:
        steady_state(RungeKutta(field, TSIT5), torch.tensor([[3.0, 0.0]]).double(), CONTROLLER, horizon=2.0)
    assert not bool(caught.value.found.converged.any())


def test_a_stepper_without_a_field_is_refused() -> None:
    with pytest.raises(ValueError, match="no vector_field"):
        steady_state(lambda t, dt, y: Step(y), torch.zeros(1, 1), CONTROLLER)
