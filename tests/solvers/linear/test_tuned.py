"""A bandit over solvers: it finds the cheapest, by context where that matters, and hides no failure."""

import pytest
import torch

from sciml.solvers.bandits import Binned, EpsilonGreedy, Thompson, TsallisINF
from sciml.solvers.linear import CG, SOR, SSORPCG, LinearSolveError, Stopping, Tuned, nodal_laplacian


def right(count, seed=0):
    return torch.randn(count, 10, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_it_ends_with_the_cheapest_by_weighted_iterations():
    matrix, b = nodal_laplacian((10, 10)), right(200)
    solvers, weights = [SOR(1.2), SOR(1.6), CG(), SSORPCG(1.5)], [1.0, 1.0, 1.5, 3.0]
    costs = [weight * solver(matrix, b).iterations.double().mean() for solver, weight in zip(solvers, weights)]
    tuned = Tuned(solvers, Thompson(range(4)), weights=weights)
    chosen = torch.cat([tuned(matrix, b[k : k + 1]).omega for k in range(200)])
    assert (chosen[100:] == torch.stack(costs).argmin()).double().mean() > 0.9


def test_the_best_solver_depends_on_the_context():
    """Far from singular a cheap iteration is best, near it a dear one that converges fast."""
    matrix, b = nodal_laplacian((10, 10)), right(600, seed=1)
    solvers, weights = [SOR(1.0), SSORPCG(1.5)], [1.0, 4.0]
    shifts = torch.tensor([0.0, 20.0], dtype=torch.float64).repeat(300)
    tuned = Tuned(solvers, Binned(lambda k: EpsilonGreedy(range(2), seed=k), -0.5, 20.5, bins=2), weights=weights)
    chosen = []
    for k, shift in enumerate(shifts):
        chosen.append(tuned(matrix.shifted(shift), b[k : k + 1], context=shift).omega)
    late = torch.cat(chosen)[300:]
    assert late[0::2].mean() > 0.9 and late[1::2].mean() < 0.1


def test_a_batch_is_divided_among_the_solvers_and_put_together_again():
    matrix = nodal_laplacian((10, 10)).shifted(torch.linspace(0, 1, 32, dtype=torch.float64))
    b = right(32).requires_grad_()
    exact = SSORPCG(1.5, tol=1e-12)(matrix, b)
    tuned = Tuned([SOR(1.7, tol=1e-12), CG(tol=1e-12), SSORPCG(1.5, tol=1e-12)], TsallisINF(range(3)))
    solution = tuned(matrix, b, torch.zeros_like(b))
    assert len(solution.omega.unique()) == 3
    torch.testing.assert_close(solution.x, exact.x, rtol=0, atol=1e-8)
    one, other = (torch.autograd.grad(x.square().sum(), b)[0] for x in (solution.x, exact.x))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-7)
    assert torch.equal(solution.iterations[solution.omega == 2], exact.iterations[solution.omega == 2])


def test_measured_time_is_learnt_from():
    matrix, b = nodal_laplacian((10, 10)), right(4)
    bandit = TsallisINF(range(2))
    tuned = Tuned([SOR(1.5), SSORPCG(1.5)], bandit)
    for _ in range(5):
        tuned(matrix, b)
    assert float(bandit.state_dict()["losses"].sum()) > 0


class Recording:
    """Pulls one arm and the other in turns, and keeps the costs."""

    def __init__(self):
        self.arms, self.costs = torch.arange(2.0), []

    def pull(self, context=None, *, count=None):
        return torch.full((count,), float(len(self.costs) % 2))

    def update(self, cost):
        self.costs.append(float(cost[0]))


def test_a_reading_out_of_line_counts_as_three_usual_ones(monkeypatch):
    """The clock stands but for what the readings are to be; the first solve of each solver is not read."""
    matrix, b, clock = nodal_laplacian((10, 10)), right(1), [0.0]
    bandit, calls = Recording(), []

    def solver(number):
        inner = SSORPCG(1.5)

        def solve(*arguments, **options):
            calls.append(number)
            late = {2: 500.0, 12: 40.0}.get(len(bandit.costs), 0.0) if calls.count(number) > 1 else 1000.0
            clock[0] += 1e-6 * (10.0 * (number + 1) + late)
            return inner(*arguments, **options)

        return solve

    monkeypatch.setattr("sciml.solvers.linear.tuned._now", lambda device: clock[0])
    tuned = Tuned([solver(0), solver(1)], bandit)
    for _ in range(20):
        tuned(matrix, b)
    assert calls.count(0) == calls.count(1) == 11
    expected = [30.0 if k in (2, 12) else 10.0 * (k % 2 + 1) for k in range(20)]
    assert bandit.costs == pytest.approx(expected)


def test_failures_are_told_and_learnt():
    matrix, b = nodal_laplacian((10, 10)), right(20)
    hopeless = SOR(1.0, tol=Stopping(tol=1e-12, max_iterations=2))
    tuned = Tuned([hopeless, SSORPCG(1.5)], Thompson(range(2)), weights=[1.0, 1.0])
    with pytest.raises(LinearSolveError, match=r"Tuned solved .* of 20 systems") as caught:
        tuned(matrix, b)
    solution = caught.value.solution
    assert bool(solution.converged[solution.omega == 1].all()) and not solution.converged[solution.omega == 0].any()
    assert tuned(matrix, b[:1]).omega == 1  # a failure counts as dear


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="arms 0 to 1"):
        Tuned([CG(), SOR(1.5)], Thompson([0.5, 1.0]))
    with pytest.raises(ValueError, match="2 weights > 0"):
        Tuned([CG(), SOR(1.5)], Thompson(range(2)), weights=[1.0])
