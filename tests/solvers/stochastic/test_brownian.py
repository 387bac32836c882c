"""The law of Brownian paths, and that they are functions."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from sciml.solvers.stochastic.brownian import BrownianIncrement, BrownianPath
from sciml.solvers.stochastic.splitmix import normal_pairs

FLOAT = torch.float64
SAMPLES = 4000
# Steps that are whole cells, inside one, over several, and neither; the cell is 0.1.
STEPS = [(0.0, 0.1), (0.2, 0.5), (0.0, 0.05), (0.013, 0.0341), (0.087, 0.233), (-0.17, 0.04), (0.3 + 1e-5, 0.3 + 3e-5)]
step_sweep = pytest.mark.parametrize(("start", "stop"), STEPS)


def paths(batch: int = SAMPLES, **options: object) -> BrownianPath:
    return BrownianPath(7, (batch, 2), 0.1, **{"dtype": FLOAT, **options})  # type: ignore[arg-type]


def query(path: BrownianPath, start: float, stop: float, area: bool = True) -> BrownianIncrement:
    t = torch.full(path.shape[:1], start, dtype=FLOAT)
    return path(t, torch.full_like(t, stop) - t, area=area)


def is_standard_normal(values: Tensor) -> bool:
    return stats.kstest(values.flatten().numpy(), "norm").pvalue > 1e-3


def correlation(x: Tensor, y: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1])


@step_sweep
def test_increment_and_area_are_independent_normals_of_the_right_variance(start: float, stop: float) -> None:
    step = query(paths(), start, stop)
    assert is_standard_normal(step.w / math.sqrt(stop - start))
    assert is_standard_normal(step.area / math.sqrt((stop - start) / 12))
    assert abs(correlation(step.w, step.area)) < 0.04
    assert abs(correlation(step.w[:, 0], step.w[:, 1])) < 0.06  # the channels are independent
    assert abs(correlation(step.w[1:], step.w[:-1])) < 0.04  # and so are the samples


@pytest.mark.parametrize("stops", [(0.0, 0.1, 0.3), (0.012, 0.034, 0.041), (0.05, 0.11, 0.26)])
def test_disjoint_increments_are_independent(stops: tuple[float, float, float]) -> None:
    path = paths()
    first, second = query(path, stops[0], stops[1]), query(path, stops[1], stops[2])
    for x in (first.w, first.area):
        for y in (second.w, second.area):
            assert abs(correlation(x, y)) < 0.04


@pytest.mark.parametrize("stops", [(0.0, 0.1, 0.2), (0.012, 0.034, 0.041), (0.05, 0.11, 0.46), (-0.21, -0.2, 0.3)])
def test_increments_and_areas_add_up(stops: tuple[float, float, float]) -> None:
    path = paths(50)
    whole, first, second = query(path, stops[0], stops[2]), query(path, *stops[:2]), query(path, *stops[1:])
    torch.testing.assert_close(whole.w, first.w + second.w, rtol=0, atol=1e-10)
    lengths = stops[1] - stops[0], stops[2] - stops[1]
    integral = lengths[0] * first.mean + lengths[1] * (first.w + second.mean)
    torch.testing.assert_close(whole.mean * sum(lengths), integral, rtol=0, atol=1e-11)


def test_bridge_has_its_conditional_law() -> None:
    """Given W over [s, u], W(t) - W(s) is normal of mean (t-s)/(u-s) W and variance (t-s)(u-t)/(u-s)."""
    s, t, u = 0.013, 0.057, 0.231
    path = paths()
    whole, part = query(path, s, u).w, query(path, s, t).w
    residual = part - (t - s) / (u - s) * whole
    assert is_standard_normal(residual / math.sqrt((t - s) * (u - t) / (u - s)))
    assert abs(correlation(residual, whole)) < 0.04


def test_midpoint_has_its_law_given_the_area() -> None:
    """W to the middle is W/2 + 3H/2 + a normal of variance (u-s)/16 (Foster, Lyons, Oberhauser 2020)."""
    s, u = 0.02, 0.34
    path = paths()
    whole, half = query(path, s, u), query(path, s, (s + u) / 2)
    residual = half.w - whole.w / 2 - 1.5 * whole.area
    assert is_standard_normal(residual / math.sqrt((u - s) / 16))
    assert abs(correlation(residual, whole.area)) < 0.04


def test_area_is_the_mean_distance_from_the_chord() -> None:
    path = paths(20)
    s, u = 0.013, 0.187
    step = query(path, s, u)
    nodes = torch.linspace(0, 1, 201, dtype=FLOAT)
    t = torch.full((20,), s, dtype=FLOAT)
    walk = torch.stack([path(t, node.expand(20) * (u - s)).w for node in nodes])
    distance = torch.trapezoid(walk - nodes[:, None, None] * step.w, dx=1 / 200, dim=0)
    torch.testing.assert_close(distance, step.area, rtol=0, atol=4e-3)  # six deviations of the trapezoidal rule


def test_any_order_and_any_history_give_the_same_path() -> None:
    forwards, backwards = paths(9), paths(9)
    answers = [query(forwards, *step) for step in STEPS]
    again = [query(backwards, *step) for step in reversed(STEPS)][::-1]
    for x, y in zip(answers, again, strict=True):
        assert torch.equal(x.w, y.w)
        assert torch.equal(x.area, y.area)
    for step, known in zip(STEPS, answers, strict=True):  # with the tables and the last answers at hand
        assert torch.equal(query(forwards, *step, area=False).w, known.w)


@step_sweep
def test_a_sample_does_not_depend_on_its_batch(start: float, stop: float) -> None:
    path = paths(6)
    together = query(path, start, stop)
    rows = torch.tensor([4, 1])
    for alone in (
        query(path.select(rows), start, stop),
        query(paths(2, samples=rows), start, stop),
        query(paths(11), start, stop),
    ):
        of = rows if len(alone.w) == 2 else slice(0, 6)
        assert torch.equal(alone.w if len(alone.w) == 2 else alone.w[:6], together.w[of])
        assert torch.equal(alone.area if len(alone.w) == 2 else alone.area[:6], together.area[of])


def test_a_selected_path_answers_from_its_own_rows() -> None:
    path = paths(5)
    known = [query(path, *step) for step in STEPS]  # fills tables and memory
    rows = torch.tensor([3, 0])
    for step, whole in zip(STEPS, known, strict=True):
        assert torch.equal(query(path.select(rows), *step).w, whole.w[rows])


def test_each_sample_has_its_own_clock() -> None:
    path = paths(4)
    t = torch.tensor([0.0, 0.1, 0.033, 0.25], dtype=FLOAT)
    dt = torch.tensor([0.1, 0.02, 0.3, 0.0], dtype=FLOAT)
    mixed = path(t, dt, area=True)
    for i in range(4):
        alone = query(paths(4), float(t[i]), float(t[i] + dt[i]))
        torch.testing.assert_close(mixed.w[i], alone.w[i], rtol=0, atol=1e-12)
        torch.testing.assert_close(mixed.area[i], alone.area[i], rtol=0, atol=1e-9)
    assert not mixed.w[3].any()


@step_sweep
def test_a_negative_step_retraces_the_path(start: float, stop: float) -> None:
    path = paths(5)
    there, back = query(path, start, stop), query(path, stop, start)
    torch.testing.assert_close(back.w, -there.w, rtol=0, atol=1e-12)
    torch.testing.assert_close(back.area, there.area, rtol=0, atol=1e-9)


def test_a_moved_path_is_the_same() -> None:
    path = paths(3)
    assert torch.equal(query(path.to("cpu"), 0.03, 0.2).w, query(path, 0.03, 0.2).w)
    assert path.to("cpu").device.type == "cpu"


def test_seeds_give_independent_paths() -> None:
    first, second = query(paths(), 0.0, 0.03), query(BrownianPath(8, (SAMPLES, 2), 0.1, dtype=FLOAT), 0.0, 0.03)
    assert abs(correlation(first.w, second.w)) < 0.04
    assert torch.equal(
        query(BrownianPath(-3, (2, 2), 0.1), 0.0, 0.1).w, query(BrownianPath(2**64 - 3, (2, 2), 0.1), 0.0, 0.1).w
    )


@step_sweep
def test_single_precision_is_the_same_path(start: float, stop: float) -> None:
    coarse, fine = query(paths(40, dtype=torch.float32), start, stop), query(paths(40), start, stop)
    assert coarse.w.dtype == coarse.area.dtype == torch.float32
    torch.testing.assert_close(coarse.w.double(), fine.w, rtol=0, atol=1e-6)


def test_a_clock_in_single_precision_stays_on_the_grid() -> None:
    """Two hundred steps accumulate rounding; the increments are still those of whole cells."""
    path = BrownianPath(1, (2, 1), 0.01, dtype=FLOAT)
    t, dt = torch.zeros(2), torch.full((2,), 0.01)
    for cell in range(200):
        exact = path(torch.full((2,), 0.01 * cell, dtype=FLOAT), torch.full((2,), 0.01, dtype=FLOAT)).w
        assert torch.equal(path(t, dt).w, exact)
        t = t + dt


@pytest.mark.parametrize("levels", [0, 1, 30])
def test_the_law_at_a_time_does_not_depend_on_the_levels(levels: int) -> None:
    path = paths(levels=levels)
    step, rest = query(path, 0.2, 0.2637), query(path, 0.2637, 0.3)
    assert is_standard_normal(step.w / math.sqrt(0.0637))
    assert is_standard_normal(step.area / math.sqrt(0.0637 / 12))
    assert is_standard_normal(rest.w / math.sqrt(0.0363))
    assert abs(correlation(step.w, rest.w)) < 0.04
    assert abs(correlation(step.area, rest.w)) < 0.04


def test_the_longest_path_adds_up_from_its_steps() -> None:
    path = BrownianPath(1, (3, 2), 0.01, dtype=FLOAT)
    t, dt = torch.zeros(3, dtype=FLOAT), torch.full((3,), 0.01, dtype=FLOAT)
    steps = torch.stack([path(t + 0.01 * cell, dt).w for cell in range(300)]).sum(dim=0)
    torch.testing.assert_close(query(path, 0.0, 3.0).w, steps, rtol=0, atol=1e-12)


def test_images_have_noise_of_their_shape() -> None:
    path = BrownianPath(0, (2, 3, 4, 5), 0.1)
    assert query(path, 0.01, 0.31).w.shape == (2, 3, 4, 5)
    assert query(path, 0.1, 0.2).area.shape == (2, 3, 4, 5)


def test_normals_are_normal_and_pairwise_independent() -> None:
    x, y = normal_pairs(torch.arange(3)[:, None], torch.arange(20000), FLOAT)
    for values in (x, y, (x + y) / math.sqrt(2), (x[:, 1:] - x[:, :-1]) / math.sqrt(2), (x[0] - x[1]) / math.sqrt(2)):
        assert is_standard_normal(values)


def test_increments_carry_no_gradient_and_survive_inference_mode() -> None:
    path = paths(3)
    t = torch.zeros(3, dtype=FLOAT, requires_grad=True)
    with torch.inference_mode():
        path(torch.zeros(3, dtype=FLOAT), torch.full((3,), 0.1, dtype=FLOAT))
    w = path(t, torch.full((3,), 0.1, dtype=FLOAT)).w
    assert not w.requires_grad
    factor = torch.ones(3, 2, dtype=FLOAT, requires_grad=True)
    (factor * w).sum().backward()
    assert torch.equal(factor.grad, w)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": ()}, "no batch|batch, \\*channels"),
        ({"cell": 0.0}, "cell > 0"),
        ({"cell": math.inf}, "cell > 0"),
        ({"levels": 31}, "levels from 0"),
        ({"samples": torch.zeros(2, dtype=torch.int64)}, "samples of shape"),
    ],
)
def test_what_makes_no_path_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BrownianPath(**{"seed": 0, "shape": (3, 2), "cell": 0.1, **options})  # type: ignore[arg-type]


def test_queries_of_another_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="t and dt of shape"):
        paths(3)(torch.zeros(2), torch.ones(2))


def test_an_increment_without_area_has_no_mean() -> None:
    with pytest.raises(ValueError, match="area=True"):
        _ = query(paths(2), 0.0, 0.1, area=False).mean
