"""Every tableau against the algebra that its declared orders and stability stand for."""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import pytest

from sciml.solvers import tableaus
from sciml.solvers.tableau import ButcherTableau

METHODS = tuple(getattr(tableaus, name) for name in tableaus.__all__)
PAIRS = tuple(tableau for tableau in METHODS if tableau.b_error)
sweep = pytest.mark.parametrize("tableau", METHODS, ids=lambda tableau: tableau.name)
pair_sweep = pytest.mark.parametrize("tableau", PAIRS, ids=lambda tableau: tableau.name)

ROUNDING = 2e-13
INTERPOLANT_ROUNDING = 2e-11  # its coefficients are in the thousands
# Verner publishes one coefficient of the stages for Vern7's interpolant with nine digits alone, and its conditions of
# order seven hold to 3e-7. Those of order eight fail by 4e-5, so that steps longer than 0.01 do not see it.
VERN7_INTERPOLANT = 5e-7

Tree: TypeAlias = tuple["Tree", ...]
"""A rooted tree, as the sorted subtrees at its root."""


@cache
def trees(nodes: int) -> tuple[Tree, ...]:
    """All rooted trees of so many nodes (J. C. Butcher, "Numerical Methods for Ordinary Differential Equations")."""
    if nodes == 1:
        return ((),)
    return tuple(sorted({grown for tree in trees(nodes - 1) for grown in with_a_leaf_more(tree)}))


def with_a_leaf_more(tree: Tree) -> list[Tree]:
    found = [tuple(sorted((*tree, ())))]
    for i, branch in enumerate(tree):
        found += [tuple(sorted((*tree[:i], grown, *tree[i + 1 :]))) for grown in with_a_leaf_more(branch)]
    return found


def size(tree: Tree) -> int:
    return 1 + sum(size(branch) for branch in tree)


def density(tree: Tree) -> int:
    return size(tree) * int(np.prod([density(branch) for branch in tree], dtype=object))


def matrix(tableau: ButcherTableau) -> np.ndarray:
    """All stages, those of the interpolant included."""
    rows = (*tableau.a, *tableau.extra_a)
    return np.array([row + (0.0,) * (len(rows) - len(row)) for row in rows])


def padded(tableau: ButcherTableau, weights: tuple[float, ...]) -> np.ndarray:
    return np.array(weights + (0.0,) * len(tableau.extra_c))


def elementary(tree: Tree, a: np.ndarray) -> np.ndarray:
    """The factor of each stage's weight in the order condition of this tree."""
    product = np.ones(len(a))
    for branch in tree:
        product = product * (a @ elementary(branch, a))
    return product


@cache
def conditions(tableau: ButcherTableau, order: int) -> tuple[np.ndarray, np.ndarray]:
    """The matrix and the right-hand side of the conditions of this one order."""
    a = matrix(tableau)
    rows = np.array([elementary(tree, a) for tree in trees(order)])
    return rows, np.array([1 / density(tree) for tree in trees(order)])


def defect(tableau: ButcherTableau, weights: np.ndarray, order: int, theta: float = 1.0) -> float:
    """By how much the conditions of this one order fail at t + theta dt."""
    rows, right = conditions(tableau, order)
    return float(np.abs(rows @ weights - theta**order * right).max())


def interpolated(tableau: ButcherTableau, theta: float) -> np.ndarray:
    coefficients = np.array(tableau.interpolant)
    return coefficients @ theta ** np.arange(1, coefficients.shape[1] + 1)


def test_rooted_trees_are_all_there() -> None:
    """Their numbers are known: A. Cayley, "On the analytical forms called trees" (1881); OEIS A000081."""
    assert [len(trees(nodes)) for nodes in range(1, 10)] == [1, 1, 2, 4, 9, 20, 48, 115, 286]


@sweep
def test_solution_meets_the_conditions_of_its_order_and_no_more(tableau: ButcherTableau) -> None:
    weights = padded(tableau, tableau.b)
    for order in range(1, tableau.order + 1):
        assert defect(tableau, weights, order) < ROUNDING
    assert defect(tableau, weights, tableau.order + 1) > 1e-6


@pair_sweep
def test_embedded_solution_is_one_order_below_its_error_estimate(tableau: ButcherTableau) -> None:
    weights = padded(tableau, tableau.b) - padded(tableau, tableau.b_error)
    for order in range(1, tableau.error_order):
        assert defect(tableau, weights, order) < ROUNDING
    assert defect(tableau, weights, tableau.error_order) > 1e-6


@sweep
def test_interpolant_meets_the_conditions_of_its_order_and_no_more(tableau: ButcherTableau) -> None:
    inside = (0.05, 0.3, 0.5, 0.77, 0.95)
    for order in range(1, tableau.dense_order + 1):
        allowed = VERN7_INTERPOLANT if (tableau.name, order) == ("Vern7", 7) else INTERPOLANT_ROUNDING
        assert max(defect(tableau, interpolated(tableau, theta), order, theta) for theta in inside) < allowed
    worst = max(defect(tableau, interpolated(tableau, theta), tableau.dense_order + 1, theta) for theta in inside)
    assert worst > 2e-6


@sweep
def test_interpolant_meets_both_ends(tableau: ButcherTableau) -> None:
    np.testing.assert_allclose(interpolated(tableau, 1.0), padded(tableau, tableau.b), rtol=0, atol=3e-12)
    assert not interpolated(tableau, 0.0).any()


@sweep
def test_nodes_are_row_sums_inside_the_step(tableau: ButcherTableau) -> None:
    nodes = np.array(tableau.c + tableau.extra_c)
    np.testing.assert_allclose(matrix(tableau).sum(axis=1), nodes, rtol=0, atol=ROUNDING)
    assert nodes.min() == 0 and nodes.max() <= 1


@sweep
def test_stability_interval(tableau: ButcherTableau) -> None:
    """|R(z)| <= 1 on [-stability, 0] and more just beyond, with R(z) = 1 + z b (1 - z A)^-1 1."""
    stages = len(tableau.c)
    a, power, coefficients = matrix(tableau)[:stages, :stages], np.ones(stages), [1.0]
    for _ in range(stages):
        coefficients.append(float(np.array(tableau.b) @ power))
        power = a @ power

    def growth(z: np.ndarray) -> np.ndarray:
        return np.abs(np.polynomial.polynomial.polyval(z, coefficients))

    assert growth(-np.linspace(0, tableau.stability - 1e-3, 10_000)).max() <= 1 + 1e-9
    assert growth(-np.array([tableau.stability + 1e-3]))[0] > 1


def test_explicit_methods_known_by_their_stability() -> None:
    """The values that J. R. Dormand, P. J. Prince and C. Tsitouras, and stiffness detection, are quoted with."""
    known = {"Tsit5": 3.5068, "Dopri5": 3.3066, "Vern7": 4.64, "Vern9": 4.4762, "RK4": 2.785}
    for tableau in METHODS:
        if tableau.name in known:
            assert tableau.stability == pytest.approx(known[tableau.name], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": ((),)}, "rows of a"),
        ({"a": ((), (1.0, 0.0))}, "zeros up to the diagonal"),
        ({"b": (1.0,)}, "b of length 2"),
        ({"b_error": (1.0,), "error_order": 2}, "b_error of length 0 or 2"),
        ({"b_error": (-0.5, 0.5)}, "b_error and error_order together"),
        ({"error_order": 2}, "b_error and error_order together"),
        ({"interpolant": ((1.0,), (0.0,))}, "interpolant and dense_order together"),
        ({"interpolant": ((1.0,),), "dense_order": 1}, "interpolant of length 0 or 2"),
        ({"extra_c": (1.0,)}, "extra_c"),
    ],
)
def test_a_tableau_that_does_not_fit_is_refused(arguments: dict[str, object], message: str) -> None:
    sound: dict[str, object] = {"c": (0.0, 1.0), "a": ((), (1.0,)), "b": (0.5, 0.5)}
    with pytest.raises(ValueError, match=message):
        ButcherTableau(name="mine", order=2, **(sound | arguments))  # type: ignore[arg-type]
