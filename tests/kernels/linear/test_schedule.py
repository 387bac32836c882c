"""What sweeps visit at once: anti-diagonals, red and black, and in general nothing that depends on each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sciml.kernels.linear.matrix import Pattern
from sciml.kernels.linear.rows import Rows
from sciml.kernels.linear.schedule import Schedule
from tests.kernels.linear.systems import dense, drawn, every_grid, poisson, scattered


def sets(schedule: Schedule) -> list[np.ndarray]:
    """The unknowns of each."""
    return np.split(schedule.order.numpy(), np.cumsum(schedule.sizes)[:-1])


def check(a: np.ndarray, pattern: Pattern) -> None:
    """That both schedules visit every unknown once, coupled ones not at once, and wavefronts in natural order."""
    coupled = (a != 0) | (a.T != 0)
    np.fill_diagonal(coupled, False)
    for schedule in (pattern.wavefronts, pattern.colours):
        np.testing.assert_array_equal(np.sort(schedule.order.numpy()), np.arange(len(a)))
        assert not any(coupled[np.ix_(own, own)].any() for own in sets(schedule))
    when = np.empty(len(a), dtype=int)
    when[pattern.wavefronts.order.numpy()] = np.repeat(
        np.arange(len(pattern.wavefronts.sizes)), pattern.wavefronts.sizes
    )
    for i, j in zip(*coupled.nonzero()):
        assert (when[i] < when[j]) == (i < j)
    # As early as can be: with what is before it in the set just before.
    for i in range(len(a)):
        before = when[:i][coupled[i, :i]]
        assert when[i] == (before.max() + 1 if len(before) else 0)


@every_grid
@pytest.mark.parametrize("full", [False, True])
def test_no_two_of_a_set_are_coupled(shape, periodic, full: bool) -> None:
    matrix = drawn(shape, periodic, full=full, samples=1)
    check(dense(matrix)[0], matrix.couplings().pattern)


@pytest.mark.parametrize("seed", range(4))
def test_nor_where_only_one_of_the_two_sees_the_other(seed: int) -> None:
    a = scattered(30, seed=seed, share=0.1)
    check(a, Rows.of(torch.from_numpy(a)).couplings().pattern)
    one_way = np.tril(a) if seed % 2 else np.triu(a)
    check(one_way, Rows.of(torch.from_numpy(one_way)).couplings().pattern)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 6), (4, 4), (5, 3), (3, 8)])
def test_wavefronts_of_nearest_neighbours_are_the_anti_diagonals(m: int, n: int) -> None:
    schedule = drawn((m, n), (False, False), samples=1).couplings().pattern.wavefronts
    assert len(schedule.sizes) == m + n - 1
    for k, unknowns in enumerate(sets(schedule)):
        i, j = np.unravel_index(unknowns, (m, n))
        assert set(zip(i, j)) == {(a, k - a) for a in range(m) if 0 <= k - a < n}


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_colours_of_nearest_neighbours_are_red_and_black(dim: int) -> None:
    red, black = sets(poisson(4, dim=dim).couplings().pattern.colours)
    points = np.array(list(itertools.product(range(4), repeat=dim)))
    assert set(points[red].sum(axis=1) % 2) == {0} and set(points[black].sum(axis=1) % 2) == {1}


@pytest.mark.parametrize(("n", "count"), [(6, 2), (7, 3)])
def test_around_an_odd_ring_there_is_a_third_colour(n: int, count: int) -> None:
    assert len(drawn((n,), (True,), samples=1).couplings().pattern.colours.sizes) == count


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_all_that_touch_need_two_colours_an_axis(dim: int) -> None:
    shape, open_ends = (4,) * dim, (False,) * dim
    assert len(drawn(shape, open_ends, full=True, samples=1).couplings().pattern.colours.sizes) == 2**dim


def test_without_couplings_all_go_at_once() -> None:
    pattern = Rows.of(torch.eye(5)).couplings().pattern
    assert pattern.wavefronts.sizes == pattern.colours.sizes == (5,)
