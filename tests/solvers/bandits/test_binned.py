"""Binned learners: which bin a context belongs to, and that bins do not know of each other."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.solvers.bandits import Binned, TsallisINF
from tests.solvers.bandits.learners import ARMS, place, plain


class Recorder:
    """A learner that counts what it was asked for."""

    def __init__(self, asked: list[int], number: int) -> None:
        self.arms, self.asked, self.number, self.told = ARMS, asked, number, 0.0

    def pull(self, context: Any = None, *, count: int | None = None) -> float | Tensor:
        self.asked.append(self.number)
        return torch.full((count or 1,), ARMS[0], dtype=torch.float64)

    def update(self, cost: Any) -> None:
        self.told += float(np.sum(cost))

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        return None


@pytest.mark.parametrize(
    ("context", "number"),
    [
        (0.0, 0),
        (np.nextafter(2.0, 0), 0),
        (2.0, 1),
        (3.0, 1),
        (np.nextafter(6.0, 0), 2),
        (6.0, 3),
        (8.0, 3),
        (-1e300, 0),
        (1e300, 3),
    ],
)
def test_a_context_belongs_to_the_bin_that_starts_there(context: float, number: int) -> None:
    asked: list[int] = []
    recorders = [Recorder(asked, k) for k in range(4)]
    learner = Binned(recorders.__getitem__, 0, 8, bins=4)
    learner.pull(context)
    learner.update(5.0)
    assert asked == [number]
    assert [recorder.told for recorder in recorders] == [5.0 * (k == number) for k in range(4)]


def test_bins_have_equal_lengths() -> None:
    asked: list[int] = []
    learner = Binned(lambda k: Recorder(asked, k), -0.15, 0.65)
    contexts = np.linspace(-0.15, 0.65, 4001)[:-1] + 1e-6
    for context in contexts:
        learner.pull(float(context))
    nearest = np.abs(contexts[:, None] - (-0.15 + 0.8 * (np.arange(5) + 0.5) / 5)).argmin(axis=1)
    assert np.array_equal(asked, nearest)


@pytest.mark.parametrize("size", [1, 5])
def test_a_bin_learns_as_if_it_were_alone(size: int) -> None:
    rng = np.random.default_rng(0)
    learner = Binned(lambda k: TsallisINF(ARMS, seed=k), 0, 1, bins=3)
    alone = [TsallisINF(ARMS, seed=k) for k in range(3)]
    for _ in range(60):
        contexts = rng.random(size)
        costs = 10 * rng.random(size) + 1
        pulled = np.asarray(learner.pull(contexts))
        bins = np.floor(3 * contexts)
        for k in range(3):
            own = bins == k
            if own.any():
                assert np.array_equal(alone[k].pull(count=int(own.sum())), pulled[own])
                alone[k].update(costs[own])
        learner.update(costs)
    for one, other in zip(learner.learners, alone, strict=True):
        assert plain(one.state_dict()) == plain(other.state_dict())


def test_each_bin_finds_an_arm_of_its_own() -> None:
    learner, rng = Binned(lambda k: TsallisINF(ARMS, seed=k), 0, 1, bins=2), np.random.default_rng(0)
    late: dict[bool, list[int]] = {False: [], True: []}
    for t in range(2000):
        context = float(rng.random())
        arm = place(learner, learner.pull(context))
        learner.update(2.0 + 10 * abs(arm - (6 if context >= 0.5 else 1)))
        late[context >= 0.5] += [arm] * (t >= 1000)
    assert np.median(late[False]) == 1 and np.median(late[True]) == 6
