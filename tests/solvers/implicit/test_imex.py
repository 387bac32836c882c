"""Additive methods: the conditions that couple their two parts, and the order that they have together."""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, solve
from sciml.solvers.implicit.imex import IMEX
from sciml.solvers.implicit.tableau import AdditiveTableau
from sciml.solvers.implicit.tableaus.kencarp3 import KENCARP3
from sciml.solvers.implicit.tableaus.kencarp4 import KENCARP4
from sciml.solvers.implicit.tableaus.kencarp5 import KENCARP5

sweep = pytest.mark.parametrize("tableau", [KENCARP3, KENCARP4, KENCARP5], ids=lambda tableau: tableau.implicit.name)

ColouredTree: TypeAlias = tuple[int, tuple["ColouredTree", ...]]
"""The colour of the root, 0 for the explicit part and 1 for the implicit one, and the sorted subtrees."""


@cache
def trees(nodes: int) -> tuple[ColouredTree, ...]:
    """All rooted trees of so many nodes in two colours, every node of either."""
    if nodes == 1:
        return ((0, ()), (1, ()))
    return tuple(sorted({grown for tree in trees(nodes - 1) for grown in with_a_leaf_more(tree)}))


def with_a_leaf_more(tree: ColouredTree) -> list[ColouredTree]:
    colour, branches = tree
    found: list[ColouredTree] = [(colour, tuple(sorted((*branches, (leaf, ()))))) for leaf in (0, 1)]
    for i, branch in enumerate(branches):
        rest = branches[:i] + branches[i + 1 :]
        found += [(colour, tuple(sorted((*rest, grown)))) for grown in with_a_leaf_more(branch)]
    return found


def size(tree: ColouredTree) -> int:
    return 1 + sum(map(size, tree[1]))


def density(tree: ColouredTree) -> int:
    return size(tree) * int(np.prod([density(branch) for branch in tree[1]], dtype=object))


def elementary(tree: ColouredTree, parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The factor of each stage's weight: a branch enters through the matrix of the part that its root belongs to."""
    factors = np.ones(len(parts[0]))
    for branch in tree[1]:
        factors = factors * (parts[branch[0]] @ elementary(branch, parts))
    return factors


def matrices(tableau: AdditiveTableau) -> tuple[np.ndarray, np.ndarray]:
    count = len(tableau.implicit.c)
    explicit, implicit = (
        np.array([row + (0.0,) * (count - len(row)) for row in a]) for a in (tableau.a, tableau.implicit.a)
    )
    return explicit, implicit


def defect(tableau: AdditiveTableau, weights: np.ndarray, order: int, theta: float = 1.0) -> float:
    """By how much the conditions of this one order fail at t + theta dt."""
    parts = matrices(tableau)
    return max(abs(float(weights @ elementary(tree, parts)) - theta**order / density(tree)) for tree in trees(order))


def interpolated(tableau: AdditiveTableau, theta: float) -> np.ndarray:
    return np.array([sum(c * theta ** (q + 1) for q, c in enumerate(row)) for row in tableau.implicit.interpolant])


def test_coloured_trees_are_all_there() -> None:
    """OEIS A000151."""
    assert [len(trees(nodes)) for nodes in range(1, 7)] == [2, 4, 14, 52, 214, 916]


# The published fractions of KenCarp5's seventh stage are right to twelve digits.
ROUNDING = 5e-12


@sweep
def test_all_coupled_order_conditions_hold_and_no_more(tableau: AdditiveTableau) -> None:
    weights = np.array(tableau.implicit.b)
    for order in range(1, tableau.implicit.order + 1):
        assert defect(tableau, weights, order) < ROUNDING
    assert defect(tableau, weights, tableau.implicit.order + 1) > 1e-4


@sweep
def test_the_embedded_solution_meets_those_below_its_estimate(tableau: AdditiveTableau) -> None:
    weights = np.array(tableau.implicit.b) - np.array(tableau.implicit.b_error)
    for order in range(1, tableau.implicit.error_order):
        assert defect(tableau, weights, order) < ROUNDING
    assert defect(tableau, weights, tableau.implicit.error_order) > 1e-4


@sweep
@pytest.mark.parametrize("theta", [0.2, 0.7, 1.0])
def test_the_dense_output_meets_those_of_its_order(tableau: AdditiveTableau, theta: float) -> None:
    weights = interpolated(tableau, theta)
    assert tableau.implicit.dense_order is not None
    for order in range(1, tableau.implicit.dense_order + 1):
        assert defect(tableau, weights, order, theta) < 1e-11


def test_between_its_steps_kencarp5_almost_has_fourth_order() -> None:
    """Its published dense output misses these conditions by 0.02, which shows over its long steps."""
    for theta in np.linspace(0.05, 0.95, 19):
        assert defect(KENCARP5, interpolated(KENCARP5, theta), 4, theta) < 8e-4


@sweep
@pytest.mark.parametrize("theta", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_no_mode_that_decays_is_larger_between_steps(tableau: AdditiveTableau, theta: float) -> None:
    """|1 + z b(theta) (1 - z A)^-1 1| <= 1 along the negative axis, up to infinite stiffness."""
    _, a = matrices(tableau)
    one, weights = np.ones(len(a)), interpolated(tableau, theta)
    growth = [1 + z * weights @ np.linalg.solve(np.eye(len(a)) - z * a, one) for z in -np.logspace(-2, 8, 100)]
    assert np.abs(growth).max() <= 1 + 1e-9


class Manufactured:
    """Two nonlinear, time-dependent parts that do not commute, and a solution known in closed form.

    y' = [y w cos(t) / 2 + s(t)] + [-(2 + sin t) y + y^2 / 2], with w the other component; s makes y_0 e^(+-rate t) the
    solution.
    """

    def __init__(self, rate: complex, dtype: torch.dtype) -> None:
        self.growth = torch.tensor([rate, -rate], dtype=dtype)
        self.start = torch.tensor([0.6, 0.9], dtype=dtype)

    def exact(self, t: Tensor) -> Tensor:
        return self.start * torch.exp(self.growth * t[:, None])

    def coupling(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.5 * y * y.flip(1) * torch.cos(t)[:, None]

    def implicit(self, t: Tensor, y: Tensor) -> Tensor:
        return -(2 + torch.sin(t))[:, None] * y + 0.5 * y**2

    def explicit(self, t: Tensor, y: Tensor) -> Tensor:
        on_it = self.exact(t)
        return self.coupling(t, y) - self.coupling(t, on_it) - self.implicit(t, on_it) + self.growth * on_it


REAL, COMPLEX = Manufactured(0.3, torch.float64), Manufactured(0.2 + 1j, torch.complex128)
problems = pytest.mark.parametrize("problem", [REAL, COMPLEX], ids=["real", "complex"])


def largest_error(tableau: AdditiveTableau, problem: Manufactured, steps: int) -> float:
    ts = torch.linspace(0, 2, 5, dtype=torch.float64)
    ys = solve(IMEX(problem.explicit, problem.implicit, tableau), problem.exact(ts[:1]), ts, FixedStep(2 / steps)).ys[0]
    return float((ys - problem.exact(ts)).abs().max())


@sweep
@problems
def test_measured_order_of_both_parts_together_is_the_declared_one(
    tableau: AdditiveTableau, problem: Manufactured
) -> None:
    coarse, fine = (largest_error(tableau, problem, steps) for steps in (32, 64))
    assert tableau.implicit.order - 0.3 < np.log2(coarse / fine) < tableau.implicit.order + 1


@sweep
@problems
def test_the_error_estimate_of_both_parts_shrinks_as_declared(tableau: AdditiveTableau, problem: Manufactured) -> None:
    stepper, t = IMEX(problem.explicit, problem.implicit, tableau), torch.tensor([0.3], dtype=torch.float64)
    sizes = [float(stepper(t, torch.full_like(t, dt), problem.exact(t)).error.abs().max()) for dt in (1 / 32, 1 / 64)]
    assert np.log2(sizes[0] / sizes[1]) > tableau.implicit.error_order - 0.3
