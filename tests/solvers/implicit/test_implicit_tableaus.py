"""Order conditions and stability of the implicit methods' numbers."""

import pytest
import torch
from torch import Tensor

from sciml.solvers.implicit.collocation import Collocation
from sciml.solvers.implicit.rosenbrock import Rosenbrock
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableau import AdditiveTableau, ImplicitTableau
from sciml.solvers.implicit.tableaus.gauss import GAUSS4, GAUSS6
from sciml.solvers.implicit.tableaus.kencarp3 import KENCARP3
from sciml.solvers.implicit.tableaus.kencarp4 import KENCARP4
from sciml.solvers.implicit.tableaus.kencarp5 import KENCARP5
from sciml.solvers.implicit.tableaus.radau import RADAU_IIA3, RADAU_IIA5
from sciml.solvers.implicit.tableaus.rodas4 import RODAS4
from sciml.solvers.implicit.tableaus.rodas5p import RODAS5P
from sciml.solvers.implicit.tableaus.rosenbrock23 import ROSENBROCK23
from tests.problems import IMPLICIT

DIAGONAL = (*IMPLICIT, KENCARP3.implicit, KENCARP4.implicit, KENCARP5.implicit)


def name(tableau: ImplicitTableau) -> str:
    return tableau.name


def matrix(rows: tuple[tuple[float, ...], ...]) -> Tensor:
    size = len(rows)
    return torch.tensor([[*row, *[0.0] * (size - len(row))] for row in rows], dtype=torch.float64)


def trees(a: Tensor, order: int) -> list[tuple[int, Tensor, float]]:
    """Rooted trees up to an order (at most 5): the order, the elementary weights b is applied to, and the density."""
    one = torch.ones(len(a), dtype=torch.float64)
    c = a @ one
    ac, ac2, aac = a @ c, a @ c**2, a @ (a @ c)
    fifth = [(c**4, 5), (c**2 * ac, 10), (c * ac2, 15), (c * aac, 30), (ac**2, 20)]
    fifth += [(a @ c**3, 20), (a @ (c * ac), 40), (a @ ac2, 60), (a @ aac, 120)]
    by_order = {1: [(one, 1)], 2: [(c, 2)], 3: [(c**2, 3), (ac, 6)], 4: [(c**3, 4), (c * ac, 8), (ac2, 12), (aac, 24)]}
    by_order[5] = fifth
    return [(p, weight, 1 / density) for p in range(1, order + 1) for weight, density in by_order[p]]


@pytest.mark.parametrize("tableau", DIAGONAL, ids=name)
def test_the_order_conditions_hold(tableau: ImplicitTableau) -> None:
    a, b = matrix(tableau.a), torch.tensor(tableau.b, dtype=torch.float64)
    # The fractions of the seventh stage of KenCarp5, as published, are right to twelve digits.
    torch.testing.assert_close(a.sum(dim=1), torch.tensor(tableau.c, dtype=torch.float64), rtol=0, atol=3e-12)
    for _, weight, value in trees(a, tableau.order):
        assert float(b @ weight) == pytest.approx(value, abs=3e-12)
    if tableau.b_error:
        embedded = b - torch.tensor(tableau.b_error, dtype=torch.float64)
        for _, weight, value in trees(a, tableau.error_order - 1):
            assert float(embedded @ weight) == pytest.approx(value, abs=3e-12)


@pytest.mark.parametrize("tableau", [KENCARP3, KENCARP4, KENCARP5], ids=lambda tableau: tableau.implicit.name)
def test_the_explicit_part_meets_the_implicit_nodes_and_its_order(tableau: AdditiveTableau) -> None:
    a, b = matrix((*tableau.a,)), torch.tensor(tableau.implicit.b, dtype=torch.float64)
    torch.testing.assert_close(a.sum(dim=1), torch.tensor(tableau.implicit.c, dtype=torch.float64), rtol=0, atol=1e-13)
    for _, weight, value in trees(a, tableau.implicit.order):
        assert float(b @ weight) == pytest.approx(value, abs=3e-12)


@pytest.mark.parametrize("tableau", [t for t in DIAGONAL if t.interpolant], ids=name)
@pytest.mark.parametrize("theta", [0.2, 0.7, 1.0])
def test_the_dense_output_satisfies_the_order_conditions_everywhere(tableau: ImplicitTableau, theta: float) -> None:
    weights = [sum(c * theta ** (q + 1) for q, c in enumerate(row)) for row in tableau.interpolant]
    b = torch.tensor(weights, dtype=torch.float64)
    for order, weight, value in trees(matrix(tableau.a), tableau.dense_order):
        assert float(b @ weight) == pytest.approx(value * theta**order, abs=1e-11)


def amplification(method: str, z: Tensor) -> Tensor:
    """R(z): one step of dt = 1 of y' = z y from y = 1, for all z (batch,) at once."""
    t, y = torch.zeros(len(z), dtype=torch.float64), torch.ones(len(z), 1, dtype=torch.complex128)
    stepper = METHODS[method](lambda t, y: z[:, None] * y)
    return stepper(t, torch.ones_like(t), y).y[:, 0]


METHODS = {
    **{tableau.name: lambda field, tableau=tableau: ImplicitRungeKutta(field, tableau) for tableau in DIAGONAL},
    **{
        tableau.name: lambda field, tableau=tableau: Collocation(field, tableau)
        for tableau in (RADAU_IIA3, RADAU_IIA5, GAUSS4, GAUSS6)
    },
    **{
        tableau.name: lambda field, tableau=tableau: Rosenbrock(field, tableau)
        for tableau in (ROSENBROCK23, RODAS4, RODAS5P)
    },
}
NOT_DAMPING = {"ImplicitMidpoint": 1.0, "Trapezoid": 1.0, "Gauss4": 1.0, "Gauss6": 1.0}


@pytest.mark.parametrize("method", METHODS)
def test_no_mode_that_decays_ever_grows(method: str) -> None:
    """A-stability, along rays of the left half plane."""
    angles = torch.tensor([90.0, 100.0, 120.0, 150.0, 180.0], dtype=torch.float64).deg2rad()
    moduli = torch.tensor([0.1, 1.0, 10.0, 1e3], dtype=torch.float64)
    z = torch.polar(*torch.broadcast_tensors(moduli, angles[:, None])).flatten()
    assert bool((amplification(method, z).abs() <= 1 + 1e-9).all())


@pytest.mark.parametrize("method", METHODS)
def test_infinitely_stiff_modes_are_damped_as_the_method_promises(method: str) -> None:
    """L-stability: R vanishes at infinity; elsewhere it has its known limit."""
    growth = float(amplification(method, torch.tensor([-1e8 + 0j], dtype=torch.complex128)).abs())
    assert growth == pytest.approx(NOT_DAMPING.get(method, 0.0), abs=1e-5)
