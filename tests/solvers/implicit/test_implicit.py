"""Newton, GMRES and the gradients of implicit steps; what the sweep of all steppers does not see."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, PIDController, solve
from sciml.solvers.implicit.imex import IMEX
from sciml.solvers.implicit.jacobian import Dense, jacobian
from sciml.solvers.implicit.krylov import GMRES, difference_quotient, gmres
from sciml.solvers.implicit.newton import Newton
from sciml.solvers.implicit.rosenbrock import Rosenbrock
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableaus.implicit_euler import IMPLICIT_EULER
from sciml.solvers.implicit.tableaus.kencarp3 import KENCARP3
from sciml.solvers.implicit.tableaus.kencarp4 import KENCARP4
from sciml.solvers.implicit.tableaus.kvaerno3 import KVAERNO3
from sciml.solvers.implicit.tableaus.rodas4 import RODAS4
from sciml.solvers.implicit.tableaus.rodas5p import RODAS5P
from sciml.solvers.implicit.tableaus.trbdf2 import TRBDF2

Y0 = torch.tensor([[1.0, 1.4], [-0.5, 1.0], [0.1, 0.0]], dtype=torch.float64)
T = torch.zeros(3, dtype=torch.float64)
DT = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)


def coupled(t: Tensor, y: Tensor, rate: float | Tensor = 0.7) -> Tensor:
    return rate * torch.sin(y * y.flip(1)) * torch.cos(t)[:, None] - y**3


def coupled_jacobian(t: Tensor, y: Tensor) -> Tensor:
    swing = 0.7 * torch.cos(y * y.flip(1)) * torch.cos(t)[:, None]
    across = torch.stack([swing[:, 0] * y[:, 0], swing[:, 1] * y[:, 1]], dim=1)
    return torch.diag_embed(swing * y.flip(1) - 3 * y**2) + torch.diag_embed(across).flip(2)


@pytest.mark.parametrize("width", [2, 20])
def test_the_jacobian_is_that_of_autograd_in_a_loop_and_vectorised(width: int) -> None:
    y = torch.randn(3, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([torch.func.jacrev(lambda row: coupled(T[:1], row[None])[0])(row) for row in y])
    torch.testing.assert_close(jacobian(coupled, T, y), expected)


def test_a_given_jacobian_replaces_the_differentiated_one() -> None:
    own = ImplicitRungeKutta(coupled, KVAERNO3, solver=Newton(Dense(coupled_jacobian)))
    torch.testing.assert_close(own(T, DT, Y0).y, ImplicitRungeKutta(coupled, KVAERNO3)(T, DT, Y0).y)


def test_a_complex_jacobian_acts_like_the_real_one() -> None:
    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([1j * y[:, 1], (2 - 1j) * y[:, 0] * y[:, 0]], dim=1)

    def holomorphic(t: Tensor, y: Tensor) -> Tensor:
        zero = torch.zeros_like(y[:, 0])
        return torch.stack([torch.stack([zero, zero + 1j], 1), torch.stack([(4 - 2j) * y[:, 0], zero], 1)], 1)

    y = torch.complex(Y0, Y0.flip(0))
    own = Rosenbrock(field, RODAS4, linear=Dense(holomorphic))
    torch.testing.assert_close(own(T, DT, y).y, Rosenbrock(field, RODAS4)(T, DT, y).y)


def test_a_jacobian_of_another_shape_is_named() -> None:
    wrong = ImplicitRungeKutta(coupled, TRBDF2, solver=Newton(Dense(lambda t, y: torch.eye(2))))
    with pytest.raises(ValueError, match=r"jacobian\(t, y\) of shape \(3, 2, 2\).*got \(2, 2\)"):
        wrong(T, DT, Y0)


def test_a_field_of_another_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"y's shape \(3, 2\), got \(3, 1\)"):
        ImplicitRungeKutta(lambda t, y: y[:, :1], TRBDF2)(T, DT, Y0)


def test_gmres_solves_and_leaves_each_row_to_itself() -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.eye(12, dtype=torch.float64) + 0.15 * torch.randn(
        4, 12, 12, dtype=torch.float64, generator=generator
    )
    b = torch.randn(4, 12, dtype=torch.float64, generator=generator)
    b[2] = 0

    def product(rows: slice) -> Callable[[Tensor], Tensor]:
        return lambda v: (matrix[rows] * v[:, None]).sum(dim=-1)

    together = gmres(product(slice(None)), b, rtol=1e-12, restart=8, restarts=60)
    torch.testing.assert_close(product(slice(None))(together.x), b, rtol=1e-10, atol=1e-10)
    assert int(together.iterations[2]) == 0
    for i in range(4):
        alone = gmres(product(slice(i, i + 1)), b[i : i + 1], rtol=1e-12, restart=8, restarts=60)
        assert torch.equal(alone.x[0], together.x[i])


@pytest.mark.parametrize("linear", [GMRES(), GMRES(directional=difference_quotient)], ids=["forward", "difference"])
def test_newton_krylov_agrees_with_dense_newton(linear: GMRES) -> None:
    krylov = ImplicitRungeKutta(coupled, KVAERNO3, solver=Newton(linear))(T, DT, Y0)
    torch.testing.assert_close(krylov.y, ImplicitRungeKutta(coupled, KVAERNO3)(T, DT, Y0).y, rtol=1e-10, atol=1e-10)


def test_a_preconditioner_saves_iterations_and_changes_no_result() -> None:
    size = 64
    rates = torch.logspace(0, 5, size, dtype=torch.float64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return -rates * y + torch.sin(y.roll(1, dims=1))

    def diagonal(t: Tensor, y: Tensor, shift: Tensor, v: Tensor) -> Tensor:
        return v / (1 + shift[:, None] * rates)

    y = torch.ones(3, size, dtype=torch.float64)
    plain = ImplicitRungeKutta(field, TRBDF2, solver=Newton(GMRES(restart=70)))(T, DT, y)
    helped = ImplicitRungeKutta(field, TRBDF2, solver=Newton(GMRES(preconditioner=diagonal)))(T, DT, y)
    torch.testing.assert_close(helped.y, plain.y, rtol=1e-9, atol=1e-9)
    assert bool((2 * helped.evaluations < plain.evaluations).all())


def test_a_sample_without_convergence_is_rejected_and_spoils_no_gradient() -> None:
    def field(t: Tensor, y: Tensor) -> Tensor:
        return rate * torch.where(y > 5, y**4 * torch.sin(50 * y), -y)

    rate = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.0], [9.0]], dtype=torch.float64)
    step = ImplicitRungeKutta(field, IMPLICIT_EULER)(T[:2], torch.ones(2, dtype=torch.float64), y)
    assert torch.isinf(step.error[1]) and torch.isnan(step.y[1])
    torch.testing.assert_close(step.y[0], torch.tensor([0.5], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(step.y[0].sum(), rate)
    torch.testing.assert_close(gradient, torch.tensor(-0.25, dtype=torch.float64))


BUILDS = {
    "ESDIRK": lambda rate, order: ImplicitRungeKutta(
        lambda t, y: coupled(t, y, rate), KVAERNO3, solver=Newton(derivatives=order)
    ),
    "filtered, GMRES": lambda rate, order: ImplicitRungeKutta(
        lambda t, y: coupled(t, y, rate), TRBDF2, solver=Newton(GMRES(), derivatives=order)
    ),
    "Rosenbrock": lambda rate, order: Rosenbrock(lambda t, y: coupled(t, y, rate), RODAS4, derivatives=order),
    "IMEX": lambda rate, order: IMEX(
        lambda t, y: coupled(t, y, rate), lambda t, y: -rate * y**3, KENCARP3, solver=Newton(derivatives=order)
    ),
}


@pytest.mark.parametrize("build", BUILDS)
def test_gradients_of_state_and_error_are_exact(build: str) -> None:
    def outcome(y: Tensor, rate: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        step = BUILDS[build](rate, 1)(T, dt, y)
        return step.y, step.error

    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(outcome, (Y0.clone().requires_grad_(), rate, DT.clone().requires_grad_()))


@pytest.mark.parametrize("build", ["ESDIRK", "Rosenbrock"])
def test_second_derivatives_are_exact_where_asked_for(build: str) -> None:
    def outcome(y: Tensor, rate: Tensor) -> Tensor:
        return BUILDS[build](rate, 2)(T[:1], DT[:1], y).y

    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(outcome, (Y0[:1].clone().requires_grad_(), rate))


@pytest.mark.parametrize("build", ["ESDIRK", "Rosenbrock"])
def test_functional_transforms_agree_with_autograd(build: str) -> None:
    def total(y: Tensor) -> Tensor:
        return BUILDS[build](torch.tensor(0.7, dtype=torch.float64), 1)(T, DT, y).y.sum()

    leaf, direction = Y0.clone().requires_grad_(), Y0.flip(0)
    (expected,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(Y0), expected)
    tangent = torch.func.jvp(total, (Y0,), (direction,))[1]
    torch.testing.assert_close(tangent, (expected * direction).sum())


def test_no_step_is_a_step_of_length_zero() -> None:
    for stepper in (ImplicitRungeKutta(coupled, KVAERNO3), Rosenbrock(coupled, RODAS5P)):
        y = Y0.clone().requires_grad_()
        step = stepper(T, torch.zeros_like(DT), y)
        torch.testing.assert_close(step.y, Y0)
        (gradient,) = torch.autograd.grad(step.y.sum(), y)
        torch.testing.assert_close(gradient, torch.ones_like(Y0))


def test_arguments_reach_both_fields_of_an_imex_stepper() -> None:
    stepper = IMEX(lambda t, y, rate: torch.cos(t)[:, None] * rate + y, lambda t, y, rate: -rate * y, KENCARP4)
    bound = IMEX(lambda t, y: torch.cos(t)[:, None] * 30 + y, lambda t, y: -30 * y, KENCARP4)
    ts = torch.linspace(0, 0.5, 3, dtype=torch.float64)
    ys = solve(stepper, Y0, ts, FixedStep(0.1), args=(30.0,)).ys
    torch.testing.assert_close(ys, solve(bound, Y0, ts, FixedStep(0.1)).ys, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["Kvaerno3", "TRBDF2", "Rodas5P"])
def test_prothero_and_robinson_is_followed_at_any_stiffness(name: str) -> None:
    """y' = -1e6 (y - cos t) - sin t from off its slow solution: few steps, where an explicit scheme takes a million."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        return -1e6 * (y - torch.cos(t)[:, None]) - torch.sin(t)[:, None]

    build = {
        "Kvaerno3": ImplicitRungeKutta(field, KVAERNO3).within(1e-5, 1e-7),
        "TRBDF2": ImplicitRungeKutta(field, TRBDF2).within(1e-5, 1e-7),
        "Rodas5P": Rosenbrock(field, RODAS5P),
    }
    y0 = torch.tensor([[1.0], [1.5]], dtype=torch.float64)
    ts = torch.tensor([0.0, 2.0], dtype=torch.float64)
    solution = solve(build[name], y0, ts, PIDController(rtol=1e-5, atol=1e-7), max_steps=500)
    torch.testing.assert_close(solution.ys[:, -1, 0], torch.cos(ts[1]).expand(2), rtol=1e-4, atol=0)
    assert int(solution.statistics.accepted.max()) < 200
