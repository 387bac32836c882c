"""Adams methods: their coefficients, order at any step lengths, and what they remember."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, PIDController, solve
from sciml.solvers.adams import Adams, weights_at
from tests.problems import MODULATED, ROTATION, Problem

ORDERS = [(order, corrections) for corrections in (0, 1, 2) for order in range(1 if corrections == 0 else 2, 13)]
every_order = pytest.mark.parametrize(("order", "corrections"), ORDERS)


def lagrange_integrals(nodes: list[Fraction]) -> list[Fraction]:
    """The integrals over [0, 1] of the Lagrange polynomials of the nodes, exactly."""
    integrals = []
    for j, own in enumerate(nodes):
        coefficients = [Fraction(1)]  # lowest first
        for node in nodes[:j] + nodes[j + 1 :]:
            shifted = [Fraction(0), *coefficients]
            coefficients = [
                (high - node * low) / (own - node) for high, low in zip(shifted, [*coefficients, Fraction(0)])
            ]
        integrals.append(sum(c / (power + 1) for power, c in enumerate(coefficients)))
    return integrals


def test_adams_bashforth_four_is_the_textbooks() -> None:
    assert lagrange_integrals([Fraction(-j) for j in range(4)]) == [Fraction(n, 24) for n in (55, -59, 37, -9)]


@pytest.mark.parametrize("order", range(1, 13))
def test_weights_are_the_integrals_of_lagrange_polynomials(order: int) -> None:
    """At equal lengths the classical rationals; at others those of the nodes; and the change without the oldest."""
    scheme = Adams(lambda t, y: y, order, corrections=0)
    even = [Fraction(-j) for j in range(order)]
    uneven = [Fraction(-j * (j + 7), 9) for j in range(order)]
    weights, changes = scheme.weights(torch.tensor([even, uneven], dtype=torch.float64).T)
    for sample, nodes in enumerate((even, uneven)):
        exact = lagrange_integrals(nodes)
        without = [*lagrange_integrals(nodes[:-1]), Fraction(0)]
        expected = torch.tensor([exact, [a - b for a, b in zip(exact, without)]], dtype=torch.float64)
        found = torch.stack([weights[:, sample], changes[:, sample]])
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=0)


@every_order
def test_polynomials_of_the_schemes_degree_are_integrated_exactly_over_steps_of_any_length(
    order: int, corrections: int
) -> None:
    scheme = Adams(lambda t, y: order * (t[:, None] / 2) ** (order - 1) / 2 + 0 * y, order, corrections=corrections)
    generator = torch.Generator().manual_seed(order)
    lengths = 0.05 + 0.05 * torch.rand(30, 2, dtype=torch.float64, generator=generator)
    t, y = torch.zeros(2, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    history = scheme.start(t, y)
    for dt in lengths:
        step = scheme(t, dt, y, history)
        t, y, history = t + dt, step.y, step.reuse
    torch.testing.assert_close(y[:, 0], (t / 2) ** order, rtol=1e-9, atol=1e-12)


def errors(problem: Problem, order: int, corrections: int, steps: int, outputs: int) -> float:
    ts = torch.linspace(0, problem.end, outputs, dtype=torch.float64)
    scheme = Adams(problem.field, order, corrections=corrections)
    ys = solve(scheme, problem.y0, ts, FixedStep(problem.end / steps)).ys
    exact = torch.stack([problem.exact(t.expand(len(problem.y0)), problem.y0) for t in ts], dim=1)
    return float((ys - exact).abs().max())


@pytest.mark.parametrize("problem", [ROTATION, MODULATED], ids=lambda problem: problem.name)
@pytest.mark.parametrize(("order", "corrections"), [(2, 0), (3, 0), (5, 0), (2, 1), (3, 1), (6, 1), (8, 1), (4, 3)])
def test_order_of_the_solution_and_of_its_dense_output(order: int, corrections: int, problem: Problem) -> None:
    """Outputs are many and lie inside the steps, the first ones included."""
    coarse, fine = (errors(problem, order, corrections, steps, 211) for steps in (50, 100))
    assert order - 0.35 < torch.log2(torch.tensor(coarse / fine)) < order + 1.6


def test_order_survives_alternating_lengths() -> None:
    """Steps of h and h/3 in turn: classical coefficients would be of order one."""

    def error(steps: int) -> float:
        scheme = Adams(ROTATION.field, 4)
        t, y = torch.zeros(3, dtype=torch.float64), ROTATION.y0
        history = scheme.start(t, y)
        for k in range(steps):
            dt = torch.full_like(t, 2 * ROTATION.end / steps * (0.75 if k % 2 else 0.25))
            step = scheme(t, dt, y, history)
            t, y, history = t + dt, step.y, step.reuse
        return float((y - ROTATION.exact(t, ROTATION.y0)).abs().max())

    assert 3.6 < torch.log2(torch.tensor(error(64) / error(128))) < 5.6


def walk(scheme: Adams, t: Tensor, y: Tensor, lengths: list[float]):  # type: ignore[no-untyped-def]
    history = scheme.start(t, y)
    for length in lengths:
        step = scheme(t, torch.full_like(t, length), y, history)
        t, y, history = t + length, step.y, step.reuse
    return t, y, history


@pytest.mark.parametrize("corrections", [0, 1])
def test_samples_of_different_age_do_not_meet(corrections: int) -> None:
    """One that starts, one that is under way, one that turns round: in one batch as alone, dense output included."""
    scheme = Adams(MODULATED.field, 4, corrections=corrections)
    t0 = torch.zeros(1, dtype=torch.float64)
    states = [
        walk(scheme, t0, MODULATED.y0[i : i + 1], lengths) for i, lengths in enumerate(([0.1], [0.1] * 6, [0.1] * 7))
    ]
    dts = torch.tensor([0.1, 0.07, -0.1], dtype=torch.float64)
    t, y = (torch.cat([state[i] for state in states]) for i in (0, 1))
    history = torch.utils._pytree.tree_map(lambda *leaves: torch.cat(leaves), *(state[2] for state in states))
    together = scheme(t, dts, y, history)
    theta = torch.tensor([0.3, 0.3, 0.3], dtype=torch.float64)
    inside = together.dense(theta, torch.arange(3))
    for i, (ti, yi, hi) in enumerate(states):
        alone = scheme(ti, dts[i : i + 1], yi, hi)
        assert torch.equal(together.y[i : i + 1], alone.y)
        assert torch.equal(together.error[i : i + 1], alone.error)
        assert torch.equal(inside[i : i + 1], alone.dense(theta[:1], torch.arange(1)))
        assert int(together.evaluations[i]) == int(torch.as_tensor(alone.evaluations).reshape(-1)[0])
        torch.testing.assert_close(alone.y, MODULATED.exact(ti + dts[i], MODULATED.y0[i : i + 1]), rtol=0, atol=1e-4)
    assert together.reuse.known.tolist() == [3, 4, 2] if corrections == 0 else [3, 3, 2]


def test_weights_in_python_are_those_in_tensors() -> None:
    nodes = [0.0, -0.7, -2.0, -3.1, -3.9]
    scheme = Adams(lambda t, y: y, 5, corrections=0)
    found = torch.tensor(weights_at(nodes), dtype=torch.float64)
    expected = torch.stack(scheme.weights(torch.tensor(nodes, dtype=torch.float64)[:, None]))[..., 0]
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize(("order", "corrections"), [(4, 0), (5, 1), (12, 1)])
def test_equal_steps_take_the_classical_weights(order: int, corrections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a batch of equal steps none are computed; beside other steps no bit of a sample changes."""
    scheme = Adams(MODULATED.field, order, corrections=corrections)
    t0 = torch.zeros(3, dtype=torch.float64)
    t, y, history = walk(scheme, t0, MODULATED.y0, [0.01] * (order + 1))
    variable = scheme.weights
    monkeypatch.setattr(scheme, "weights", None)
    together = scheme(t, torch.full_like(t, 0.01), y, history)
    monkeypatch.setattr(scheme, "weights", variable)
    beside = scheme(t, torch.tensor([0.01, 0.02, 0.01], dtype=torch.float64), y, history)
    assert torch.equal(together.y[::2], beside.y[::2])
    assert torch.equal(together.error[::2], beside.error[::2])
    times = history.times.clone().requires_grad_()  # a derivative of the weights is asked for
    computed = scheme(t, torch.full_like(t, 0.01), y, history._replace(times=times))
    assert computed.y.requires_grad
    torch.testing.assert_close(computed.y, together.y, rtol=1e-12, atol=0)
    torch.testing.assert_close(computed.error, together.error, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
def test_explicit_stability_interval_is_two_over_the_sum_of_the_weights_moduli(order: int) -> None:
    """On the negative real axis a root leaves the unit disc through -1, and the weights alternate in sign."""
    total = sum(abs(weight) for weight in lagrange_integrals([Fraction(-j) for j in range(order)]))
    assert abs(Adams(lambda t, y: y, order, corrections=0).stability - float(2 / total)) < 1e-6


@pytest.mark.parametrize(("order", "corrections"), [(3, 0), (2, 1), (4, 1), (6, 1), (4, 2)])
def test_steps_decay_within_the_declared_stability_and_grow_beyond(order: int, corrections: int) -> None:
    scheme = Adams(lambda t, y: -y, order, corrections=corrections)

    def after(dt: float) -> float:
        t, y = torch.zeros(1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        return float(walk(scheme, t, y, [dt] * 400)[1].abs().max())

    assert after(0.97 * scheme.stability) < 1e-3
    assert after(1.03 * scheme.stability) > 1


def test_stiffness_estimate_is_the_modulus_of_the_eigenvalue() -> None:
    scheme = Adams(lambda t, y: -7 * y, 4)
    t, y, history = walk(scheme, torch.zeros(1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64), [0.05] * 5)
    estimate = scheme(t, torch.full_like(t, 0.05), y, history).stiffness()
    torch.testing.assert_close(estimate, torch.tensor([7.0], dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("corrections", "per_step"), [(0, 1), (1, 2), (3, 4)])
def test_evaluations_are_counted(corrections: int, per_step: int) -> None:
    calls = [0]

    def field(t: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        return -y

    solution = solve(
        Adams(field, 4, corrections=corrections),
        torch.ones(1, 1, dtype=torch.float64),
        torch.tensor([0.0, 8.0], dtype=torch.float64),
        FixedStep(0.1),
    )
    assert int(solution.statistics.evaluations[0]) == calls[0]
    started = (3 if corrections == 0 else 2) * 10  # nine further stages and the slope at the end
    assert calls[0] == 1 + started + (80 - started // 10) * per_step


def test_a_corrector_iterated_to_the_end_is_the_implicit_scheme() -> None:
    """Order two: y1 = y0 + dt/2 (f0 + f1), the trapezoidal rule."""
    scheme = Adams(lambda t, y: -y, 2, corrections=40)
    t = torch.zeros(1, dtype=torch.float64)
    y = scheme(t, t + 0.5, torch.ones(1, 1, dtype=torch.float64)).y
    torch.testing.assert_close(y, torch.full_like(y, 0.75 / 1.25), rtol=1e-12, atol=0)


def test_steps_work_under_vmap() -> None:
    scheme = Adams(MODULATED.field, 3)
    t, dt = torch.zeros(2, dtype=torch.float64), torch.full((2,), 0.1, dtype=torch.float64)

    def end(y: Tensor) -> Tensor:
        first = scheme(t, dt, y, scheme.start(t, y))
        second = scheme(t + dt, dt, first.y, first.reuse)
        return scheme(t + 2 * dt, dt, second.y, second.reuse).y

    ys = torch.randn(4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.func.vmap(end)(ys), torch.stack([end(y) for y in ys]))


def test_adaptive_steps_need_fewer_evaluations_at_high_order() -> None:
    ts = torch.tensor([0.0, 6.0], dtype=torch.float64)
    spent = []
    for order in (4, 8):
        solution = solve(Adams(ROTATION.field, order), ROTATION.y0, ts, PIDController(rtol=1e-8, atol=1e-8))
        exact = ROTATION.exact(ts[1:].expand(3), ROTATION.y0)
        torch.testing.assert_close(solution.ys[:, -1], exact, rtol=0, atol=1e-6)
        spent.append(int(solution.statistics.evaluations.max()))
    assert spent[1] < 0.5 * spent[0]


@pytest.mark.parametrize(("order", "corrections"), [(0, 0), (13, 1), (1, 1), (4, -1)])
def test_orders_out_of_range_are_refused(order: int, corrections: int) -> None:
    with pytest.raises(ValueError, match="Expected"):
        Adams(lambda t, y: y, order, corrections=corrections)
