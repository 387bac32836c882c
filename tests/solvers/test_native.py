"""Small systems as one native function: the eager loop's steps, operator by operator and rule by rule."""

import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers.arguments import PerSample, bind
from sciml.solvers.compiled import native, solve_compiled
from sciml.solvers.compiled.native import build
from sciml.solvers.compiled.native import solve as native_solve
from sciml.solvers.controller import FixedStep
from sciml.solvers.implicit.rosenbrock import Rosenbrock
from sciml.solvers.implicit.tableaus.rodas4 import RODAS4
from sciml.solvers.pid import PIDController
from sciml.solvers.reversible import AsynchronousLeapfrog, Reversible, ReversibleHeun
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solution import Solution, Status
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling
from sciml.solvers.tableaus import BOSH3, EULER, HEUN, RK4, TSIT5, VERN7
from tests.problems import STEPPERS, Case

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
PID = PIDController(rtol=1e-5, atol=1e-7)
F64 = torch.float64


def pendulum(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], -torch.sin(y[:, 0]) * torch.cos(t)], dim=1)


def states(batch: int, width: int = 2, dtype: torch.dtype = F64) -> Tensor:
    return torch.randn(batch, width, dtype=F64, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each compiled solve, whether it ran natively; those that did not are not compiled another way."""
    found: list[bool] = []

    def watched(*args: object) -> object:
        found.append((ended := native.solve_native(*args)) is not None)
        if ended is None:
            raise NotImplementedError
        return ended

    monkeypatch.setattr("sciml.solvers.compiled.solve.solve_native", watched)
    return found


def same(compiled: Solution, eager: Solution, tolerance: float = 1e-11) -> None:
    for name in ("accepted", "rejected", "evaluations", "status"):
        assert torch.equal(getattr(compiled.statistics, name), getattr(eager.statistics, name)), name
    for found, expected in ((compiled.ys, eager.ys), (compiled.y_end, eager.y_end)):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    torch.testing.assert_close(compiled.t_end, eager.t_end, rtol=tolerance, atol=0)


@pytest.mark.parametrize(("tableau", "batch"), [(TSIT5, 1), (TSIT5, 3), (TSIT5, 19), (BOSH3, 9), (VERN7, 9)])
def test_outputs_within_steps_with_clocks_and_directions_per_sample(tableau: object, batch: int, ran: list) -> None:
    ends = torch.linspace(-3, 5.3, batch, dtype=F64) if batch > 1 else torch.tensor([5.0], dtype=F64)
    ts = torch.linspace(0, 1, 40, dtype=F64) * ends[:, None]
    stepper, y0 = RungeKutta(pendulum, tableau), states(batch)
    eager = solve(stepper, y0, ts, PID)
    compiled = solve(stepper, y0, ts, PID, compiled=True)
    assert ran == [True]
    assert torch.equal(compiled.statistics.accepted, eager.statistics.accepted)
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-10, atol=1e-10)
    if tableau is not VERN7:  # whose interpolant's own evaluations the eager loop counts as well
        same(compiled, eager, 1e-10)


def test_a_sample_takes_the_same_bits_in_every_batch(ran: list) -> None:
    stepper, y0, ts = RungeKutta(pendulum, TSIT5), states(11), torch.linspace(0, 4, 9, dtype=F64)
    together = solve(stepper, y0, ts, PID, compiled=True).ys
    for row in (0, 7, 10):
        assert torch.equal(solve(stepper, y0[row : row + 1], ts, PID, compiled=True).ys[0], together[row])


def test_threads_share_the_samples_out(ran: list) -> None:
    stepper, y0, ts = RungeKutta(pendulum, TSIT5), states(203), torch.linspace(0, 4, 9, dtype=F64)
    alone = solve(stepper, y0, ts, PID, compiled=True)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        shared = solve(stepper, y0, ts, PID, compiled=True)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(shared.ys, alone.ys) and torch.equal(shared.t_end, alone.t_end)
    parts = native_solve._parts(203, 3)
    assert [begin for begin, _ in parts[1:]] == [end for _, end in parts[:-1]] and len(parts) > 3
    assert parts[0][0] == 0 and parts[-1][1] == 203 and all(begin % 8 == 0 for begin, _ in parts)


def test_steps_that_land_on_outputs_and_structured_states(ran: list) -> None:
    def field(t: Tensor, y: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"x": y["v"], "v": -y["x"] * (1 + t[:, None])}

    y0 = {"x": states(9, 3), "v": states(9, 3) + 1}
    ts = torch.linspace(1, 0, 4, dtype=F64)
    stepper = RungeKutta(field, RK4)
    eager, compiled = (solve(stepper, y0, ts, FixedStep(0.15), compiled=flag) for flag in (False, True))
    assert ran == [True]
    assert torch.equal(compiled.statistics.accepted, eager.statistics.accepted)
    for name in y0:
        torch.testing.assert_close(compiled.ys[name], eager.ys[name], rtol=1e-11, atol=1e-11)


def test_single_precision_states_on_a_double_clock_and_the_other_way_round(ran: list) -> None:
    for state, clock in ((torch.float32, F64), (F64, torch.float32), (torch.float32, torch.float32)):
        y0, ts = states(9, dtype=state), torch.linspace(0, 2, 5, dtype=clock)
        stepper, loose = RungeKutta(pendulum, BOSH3), PIDController(rtol=1e-3, atol=1e-4)
        eager, compiled = (solve(stepper, y0, ts, loose, compiled=flag) for flag in (False, True))
        assert compiled.ys.dtype == state and compiled.t_end.dtype == clock
        torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-4, atol=1e-4)
    assert ran == [True] * 3


def test_a_stiff_problem_by_a_rosenbrock_method(ran: list) -> None:
    def robertson(t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y.unbind(1)
        slow, back, fast = 0.04 * a, 1e4 * b * c, 3e7 * b * b
        return torch.stack([back - slow, slow - back - fast, fast], dim=1)

    y0 = torch.tensor([[1.0, 0.0, 0.0]], dtype=F64) * torch.linspace(0.5, 1.5, 9, dtype=F64)[:, None]
    stepper, ts = Rosenbrock(robertson, RODAS4), torch.tensor([0.0, 1.0, 1e4], dtype=F64)
    runs = [solve(stepper, y0, ts, PIDController(1e-5, 1e-9), compiled=flag) for flag in (False, True)]
    assert ran == [True] and int(runs[0].statistics.accepted.max()) < 200
    same(runs[1], runs[0], 1e-8)


def test_failures_have_the_eager_statuses(ran: list) -> None:
    def blows_up(t: Tensor, y: Tensor) -> Tensor:  # y = 1 / (1 - t) for y0 = 1
        return y * y

    y0 = torch.tensor([[1.0], [0.1], [torch.nan]], dtype=F64)
    ts = torch.tensor([0.0, 0.5, 2.0], dtype=F64)
    stepper, loose = RungeKutta(blows_up, HEUN), PIDController(rtol=1e-2, atol=1e-3)
    runs = [solve(stepper, y0, ts, loose, throw=False, compiled=flag) for flag in (False, True)]
    assert runs[1].statistics.status.tolist() == [Status.STEP_UNDERFLOW, Status.SUCCESS, Status.STEP_UNDERFLOW]
    torch.testing.assert_close(runs[1].ys, runs[0].ys, equal_nan=True)
    short = [solve(stepper, y0, ts, loose, throw=False, max_steps=3, compiled=flag) for flag in (False, True)]
    same(short[1], short[0])
    assert ran == [True, True]


def test_arguments_parameters_and_closures_are_read_anew_in_every_call(ran: list) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2)).double().requires_grad_(False)
    scale = torch.tensor([0.7, 1.3], dtype=F64)

    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, t: Tensor, y: Tensor, shift: Tensor, power: float) -> Tensor:
            return self.net(y) * scale + shift * torch.cos(t)[:, None] ** power

    stepper, ts = RungeKutta(Field(), TSIT5), torch.linspace(0, 3, 12, dtype=F64)
    for change in (1.0, 0.5):
        net[0].weight.mul_(change)
        scale = scale * change  # another tensor in the same closure
        bound = bind(stepper, (PerSample(states(10) * change), 2.0), 10)
        same(solve_compiled(bound, states(10), ts, PID), solve(bound, states(10), ts, PID), 1e-10)
    assert ran == [True, True]


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: getattr(torch, name) for name in ("sin", "cos", "tanh", "sigmoid", "exp", "neg", "abs", "sign")},
    **{
        name: getattr(torch, name) for name in ("floor", "ceil", "trunc", "round", "erf", "atan", "sinh", "cosh", "tan")
    },
    "log": lambda y: torch.log(y.abs() + 0.1) + torch.log1p(y.square()) + torch.log2(y.abs() + 1),
    "roots": lambda y: y.abs().sqrt() + (y.abs() + 1).rsqrt() + (y.square() + 1).reciprocal(),
    "powers": lambda y: y**2 + y**3 + (y.abs() + 0.1) ** 1.7 + 1.3**y + (y.abs() + 1) ** y + (y + 9) ** -1,
    "clamps": lambda y: y.clamp(-0.5, 0.5) + y.clamp_min(0.1) + y.clamp_max(0.2) + torch.relu(y) + y.clamp(min=-y),
    "extremes": lambda y: torch.maximum(y, y.flip(1)) + torch.minimum(y, -y) + torch.fmod(y, 0.3) + y.atan2(y + 3),
    "masks": lambda y: torch.where((y > 0) & ~(y >= 0.5) | (y == -1), y, -y) + (y < 0).to(y) * 2 + (y <= 0) * (y != 1),
    "whole": lambda y: (3 * y).to(torch.int64).to(y) + torch.arange(3) * y,
    "sums": lambda y: 0 * y + y.sum(1, True) + y.mean(1, True) + y.prod(1)[:, None] + y.norm(dim=1)[:, None],
    "ends": lambda y: 0 * y + y.amax(1, True) - y.amin(1, True) + y.abs().sum(1, True) + y.norm(1, 1, True),
    "logic": lambda y: torch.where((y > 2).any(1, keepdim=True) | (y > -9).all(1)[:, None], y, 0 * y),
    "parts": lambda y: torch.cat([y[:, 1:], y[:, :1]], 1) + y[:, [2, 0, 1]] + torch.stack(y.unbind(1)[::-1], 1),
    "shapes": lambda y: y[:, None].expand(-1, 2, -1).permute(0, 2, 1).reshape(-1, 3, 2).sum(2) + y.split([1, 2], 1)[0],
    "products": lambda y: y @ MATRIX + torch.addmm(MATRIX[0], y, MATRIX.T) + torch.einsum("bi,bi->b", y, y)[:, None],
    "blends": lambda y: torch.addcmul(y, y, y + 1, value=0.3) + torch.lerp(y, -y, 0.25) + torch.add(y, y, alpha=-2),
    "nets": lambda y: nn.functional.softplus(y) + nn.functional.silu(y) + nn.functional.gelu(y) + nn.functional.elu(y),
    "soft": lambda y: torch.softmax(y, 1) + nn.functional.layer_norm(y, (3,)) + nn.functional.leaky_relu(y, 0.1),
}
MATRIX = torch.tensor([[0.1, 0.2, -0.3], [0.0, 0.5, 0.4], [0.7, -0.2, 0.1]], dtype=F64)


def test_every_operator_computes_what_torch_does(ran: list) -> None:
    values = torch.linspace(-2.3, 2.3, 27, dtype=F64).reshape(9, 3)
    ts = torch.tensor([0.0, 1.0], dtype=F64)
    for group in range(0, len(FUNCTIONS), 12):  # a native state is small
        names = list(FUNCTIONS)[group : group + 12]

        def part(t: Tensor, y: dict[str, Tensor], names: list[str] = names) -> dict[str, Tensor]:
            return {name: FUNCTIONS[name](y[name]) for name in names}

        y0 = dict.fromkeys(names, values)
        stepper = RungeKutta(part, EULER)
        eager, compiled = (solve(stepper, y0, ts, FixedStep(1.0), compiled=flag) for flag in (False, True))
        for name in names:
            torch.testing.assert_close(
                compiled.ys[name], eager.ys[name], rtol=1e-13, atol=1e-13, msg=lambda m, n=name: f"{n}: {m}"
            )
    assert all(ran)


@pytest.mark.slow
@pytest.mark.parametrize("case", STEPPERS, ids=lambda case: case.name)
def test_every_stepper_takes_its_eager_steps_or_is_left(case: Case, ran: list) -> None:
    stepper, ts = case.build(pendulum), torch.linspace(0, 1, 5, dtype=F64)
    if isinstance(stepper, StepDoubling):
        pytest.skip("the type checks that these tests put into it do not compile")
    eager = solve(stepper, states(9), ts, FixedStep(0.1))
    native = isinstance(stepper, (RungeKutta, AsynchronousLeapfrog, Reversible, ReversibleHeun, Rosenbrock))
    if not native:
        with pytest.raises((NotImplementedError, ValueError)):
            solve(stepper, states(9), ts, FixedStep(0.1), compiled=True)
    else:
        compiled = solve(stepper, states(9), ts, FixedStep(0.1), compiled=True)
        torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-12, atol=1e-12)
    assert ran == [native]


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "samples that depend on each other": lambda y: y - y.mean(0),
    "operators without a translation": lambda y: torch.special.bessel_j0(y),
    "large matrix products": lambda y: (y @ torch.ones(2, 600, dtype=F64) @ torch.ones(600, 2, dtype=F64)) * 1e-3,
    "indices that are computed": lambda y: y.gather(1, (y > 0).to(torch.int64)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_native_is_left_to_the_other_compiler(name: str, ran: list) -> None:
    stepper = RungeKutta(lambda t, y: REFUSED[name](y), HEUN)
    with pytest.raises(NotImplementedError):
        solve(stepper, states(5), torch.tensor([0.0, 1.0], dtype=F64), PID, compiled=True)
    assert ran == [False]


def test_a_field_that_holds_a_row_for_every_sample_is_left_too_and_not_tried_again(ran: list) -> None:
    rates = torch.rand(5, 1, dtype=F64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return -rates * y

    for _ in range(2):
        with pytest.raises(NotImplementedError):
            solve(RungeKutta(field, HEUN), states(5), torch.tensor([0.0, 1.0], dtype=F64), PID, compiled=True)
    assert ran == [False, False] and field in native_solve._untraceable


def test_large_states_and_machines_without_a_compiler_are_left_too(ran: list, monkeypatch: pytest.MonkeyPatch) -> None:
    ts = torch.tensor([0.0, 1.0], dtype=F64)
    with pytest.raises(NotImplementedError):
        solve(RungeKutta(lambda t, y: -y, HEUN), states(2, native_solve._LARGEST + 1), ts, PID, compiled=True)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(NotImplementedError):
        solve(RungeKutta(lambda t, y: -1.2345 * y, HEUN), states(2), ts, PID, compiled=True)
    assert ran == [False, False]
