"""Omega as a number, one for each sample, or what a bandit learns from the iterations."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers.bandits import UCB, Bandit, Binned, ChebCB, EpsilonGreedy, Thompson, TsallisINF
from sciml.solvers.linear import SOR, SSORPCG, Jacobi, Matrix, SSORPreconditioner, nodal_laplacian
from tests.solvers.linear.cases import F64, normal, quiet

ARMS = torch.linspace(1.0, 1.9, 10, dtype=F64)
SHAPE = (6, 6)


class Scripted:
    """A bandit that does as it is told, and writes down what it hears."""

    def __init__(self, *plays: float) -> None:
        self.arms = torch.tensor(plays, dtype=F64).numpy()
        self.contexts: list[Any] = []
        self.counts: list[int | None] = []
        self.costs: list[list[float]] = []

    def pull(self, context: Any = None, *, count: int | None = None) -> float | Tensor:
        self.contexts.append(context)
        self.counts.append(count)
        number = len(context) if context is not None else count
        return torch.from_numpy(self.arms).repeat(9)[:number]

    def update(self, cost: Any) -> None:
        self.costs.append(torch.as_tensor(cost).tolist())

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def best_of(shifts: Tensor) -> Tensor:
    """Young's omega of the five-point matrix of SHAPE plus shifts."""
    beta = 4 * math.cos(math.pi / (SHAPE[0] + 1)) / (4 + shifts)
    return 2 / (1 + (1 - beta**2).sqrt())


@pytest.mark.parametrize("solver", [SOR, SSORPCG, Jacobi])
def test_one_for_each_sample_is_as_alone(solver: type[SOR | SSORPCG | Jacobi]) -> None:
    matrix, b = nodal_laplacian(SHAPE).shifted(3.0), normal(3, *SHAPE)
    each = torch.tensor([0.7, 0.8, 0.95])
    together = solver(each)(matrix, b)
    assert together.omega is not None and torch.equal(together.omega, each.double())
    for k, omega in enumerate(each.tolist()):
        alone = solver(omega)(matrix, b[k : k + 1])
        assert int(alone.iterations) == int(together.iterations[k])
        torch.testing.assert_close(alone.x[0], together.x[k], rtol=1e-13, atol=1e-13)
    for one in (0.9, torch.tensor(0.9), torch.tensor([0.9]), torch.tensor([0.9] * 3)):
        assert torch.equal(solver(one)(matrix, b).iterations, solver(0.9)(matrix, b).iterations)


def test_what_a_bandit_hears() -> None:
    """The iterations of each sample under what it played; the limit where there is no solution after fewer."""
    matrix, b = nodal_laplacian(SHAPE), normal(3, *SHAPE)
    bandit = Scripted(1.0, 1.4, 1.8)
    solution = SOR(bandit)(matrix, b)
    assert solution.omega is not None and solution.omega.tolist() == [1.0, 1.4, 1.8]
    assert bandit.contexts == [None] and bandit.counts == [3]
    fixed = SOR(torch.tensor([1.0, 1.4, 1.8], dtype=F64))(matrix, b)
    assert bandit.costs == [fixed.iterations.tolist()] and torch.equal(fixed.x, solution.x)
    limit = int(fixed.iterations.min()) + 1
    partly = SOR(bandit, tol=quiet(max_iterations=limit))(matrix, b)
    assert 0 < int(partly.converged.sum()) < 3
    assert bandit.costs[1] == [min(float(n), limit) for n in fixed.iterations]


@pytest.mark.parametrize("where", ["b", "x0", "matrix"])
def test_nothing_is_pulled_or_learnt_for_what_is_broken(where: str) -> None:
    shifts = torch.tensor([0.0, 0.2, 0.4], dtype=F64)
    b, x0 = normal(3, *SHAPE), torch.zeros(3, *SHAPE, dtype=F64)
    {"b": b[1], "x0": x0[1], "matrix": shifts[1:2]}[where].fill_(torch.nan)
    bandit = Scripted(1.2, 1.5)
    tell = torch.tensor([0.1, 0.2, 0.3], dtype=F64)
    solution = SSORPCG(bandit, tol=quiet())(nodal_laplacian(SHAPE).shifted(shifts), b, x0, context=tell)
    assert bandit.contexts[0].tolist() == [0.1, 0.3]  # and none for the second
    assert solution.converged.tolist() == [True, False, True]
    assert solution.omega is not None and solution.omega[[0, 2]].tolist() == [1.2, 1.5]
    assert bool(solution.omega[1].isnan())
    assert bandit.costs == [solution.iterations[[0, 2]].tolist()]
    if where == "b":
        SSORPCG(bandit, tol=quiet())(nodal_laplacian(SHAPE), b[1:2])
        assert len(bandit.contexts) == len(bandit.costs) == 1


def test_contexts_of_the_call_of_the_solver_or_none() -> None:
    matrix, b = nodal_laplacian(SHAPE), normal(3, *SHAPE)
    heard: list[tuple[Matrix, Tensor]] = []

    def size(matrix: Matrix, b: Tensor) -> Tensor:
        heard.append((matrix, b))
        return b.flatten(1).norm(dim=1)

    for solver in (SOR, SSORPCG):
        bandit = Scripted(1.1)
        own = solver(bandit, context=size)
        own(matrix, b)
        assert torch.equal(bandit.contexts[0], b.flatten(1).norm(dim=1))
        assert heard[-1][0] is matrix and heard[-1][1] is b
        own(matrix, b, context=torch.tensor([3.0, 4.0, 5.0]))
        own(matrix, b, context=7)
        assert [told.tolist() for told in bandit.contexts[1:]] == [[3.0, 4.0, 5.0], [7.0, 7.0, 7.0]]
        with pytest.raises(ValueError, match="one context, or one for each of 3 samples"):
            own(matrix, b, context=torch.ones(2))
    with pytest.raises(ValueError, match="Expected a context"):
        SOR(ChebCB(ARMS, 0.0, 1.0))(matrix, b)


BANDITS: dict[str, Callable[[], Bandit]] = {
    "TsallisINF": lambda: TsallisINF(ARMS),
    "ChebCB": lambda: ChebCB(ARMS, 0.0, 1.0),
    "Binned": lambda: Binned(lambda k: TsallisINF(ARMS, seed=k), 0.0, 1.0),
    "UCB": lambda: UCB(ARMS),
    "Thompson": lambda: Thompson(ARMS),
    "EpsilonGreedy": lambda: EpsilonGreedy(ARMS),
}


@pytest.mark.parametrize("name", BANDITS)
@pytest.mark.parametrize("batch", [1, 4])
def test_every_bandit_serves_a_batch(name: str, batch: int) -> None:
    own = SOR(BANDITS[name](), context=lambda matrix, b: b.flatten(1).mean(dim=1).clamp(0, 1))
    for seed in range(3):
        solution = own(nodal_laplacian(SHAPE), normal(batch, *SHAPE, seed=seed))
        assert solution.omega is not None and solution.omega.shape == (batch,) and solution.omega.dtype == F64
        assert bool((solution.omega[:, None] == ARMS).any(dim=1).all())


def test_tsallis_inf_ends_near_the_best_arm() -> None:
    """300 systems whose shifts are not told; later plays cost less than early ones, and little more than the best."""
    generator = torch.Generator().manual_seed(0)
    shifts = 0.1 * torch.rand(300, dtype=F64, generator=generator)
    b = normal(300, *SHAPE)
    each = torch.stack([SOR(w)(nodal_laplacian(SHAPE).shifted(shifts), b).iterations for w in ARMS.tolist()])
    means = each.double().mean(dim=1)
    best = float(ARMS[means.argmin()])
    assert abs(best - float(best_of(torch.tensor(0.05)))) <= 0.1
    solver = SOR(TsallisINF(ARMS))
    played, cost = [], []
    for k, shift in enumerate(shifts):
        solution = solver(nodal_laplacian(SHAPE).shifted(shift), b[k : k + 1])
        assert solution.omega is not None
        played.append(solution.omega[0])
        cost.append(solution.iterations)
    late = torch.stack(played[200:])
    assert float(((late - best).abs() < 0.25).double().mean()) > 0.6
    costs = torch.cat(cost).double()
    assert costs[200:].mean() < 0.8 * costs[:40].mean()
    assert costs[200:].mean() < 1.35 * means.min()


def test_cheb_cb_learns_the_omega_of_each_context() -> None:
    """Without a shift a large omega is best, with one of 4 some near 1."""
    generator, grid = torch.Generator().manual_seed(0), nodal_laplacian((14, 14))
    shifts = 4 * torch.rand(250, dtype=F64, generator=generator).round()
    b = normal(250, 14, 14)
    solver = SSORPCG(ChebCB(ARMS[::3], 0.0, 4.0), context=lambda matrix, b: float(matrix.diagonal.mean()) - 4)
    solutions = [solver(grid.shifted(shift), b[k : k + 1]) for k, shift in enumerate(shifts)]
    late = torch.cat([omega for s in solutions if (omega := s.omega) is not None])[150:]
    stiff, mild = late[shifts[150:] == 0], late[shifts[150:] == 4]
    assert float(stiff.mean()) > float(mild.mean()) + 0.15


def test_a_batch_teaches_one_learner_as_much_as_its_samples() -> None:
    bandit = TsallisINF(ARMS)
    solver = SOR(bandit)
    for seed in range(40):
        solution = solver(nodal_laplacian(SHAPE), normal(8, *SHAPE, seed=seed))
    assert bandit.state_dict()["time"] == 320
    best = float(best_of(torch.tensor(0.0)))
    assert float(ARMS[bandit.probabilities().argmax()]) == pytest.approx(best, abs=0.15)
    assert solution.omega is not None and solution.omega.shape == (8,)


def test_omegas_that_are_none_are_refused() -> None:
    for wrong in ("1.5", None, [1.0, 1.5], SOR):
        for solver in (SOR, SSORPCG, Jacobi):
            with pytest.raises(ValueError, match=r"a number, a tensor \(batch,\), or a bandit, got "):
                solver(wrong)  # type: ignore[arg-type]
    for arms in ([0.0, 1.0], [1.0, 2.0], [-0.5, 1.5]):
        with pytest.raises(ValueError, match="arms between 0 and 2"):
            SOR(TsallisINF(arms))
        with pytest.raises(ValueError, match="arms between 0 and 2"):
            SSORPCG(TsallisINF(arms))
    for shape in ((2,), (3, 1)):
        with pytest.raises(ValueError, match="one omega, or one for each of 3 samples"):
            SOR(torch.ones(shape))(nodal_laplacian(SHAPE), normal(3, *SHAPE))
    for omega in (0.0, 2.0, -1.0):
        with pytest.raises(ValueError, match="0 < omega < 2"):
            SSORPreconditioner(omega)
