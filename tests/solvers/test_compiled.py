"""A compiled solve takes the eager loop's steps, and has its gradients.

Most of these run the same program without the code generator (``backend="eager"``): what it computes is the subject,
and compiling takes longer than all of the sums.
"""

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers.arguments import PerSample, bind
from sciml.solvers.compiled import solve_compiled
from sciml.solvers.controller import FixedStep
from sciml.solvers.event import Event
from sciml.solvers.pid import PIDController
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solution import Solution, SolveError, Status
from sciml.solvers.solve import solve
from sciml.solvers.tableaus import BOSH3, EULER, HEUN, RK4, TSIT5
from tests.releases import needs_loops

PID = PIDController(rtol=1e-5, atol=1e-7)


def pendulum(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], -torch.sin(y[:, 0]) * torch.cos(t)], dim=1)


def states(batch: int, width: int = 2) -> Tensor:
    return torch.randn(batch, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def same(compiled: Solution, eager: Solution) -> None:
    """The same steps, statuses and, up to rounding, states."""
    for name in ("accepted", "rejected", "evaluations", "status"):
        assert torch.equal(getattr(compiled.statistics, name), getattr(eager.statistics, name)), name
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-12, atol=1e-12, equal_nan=True)
    torch.testing.assert_close(compiled.t_end, eager.t_end, rtol=0, atol=0)
    torch.testing.assert_close(compiled.y_end, eager.y_end, rtol=1e-12, atol=1e-12, equal_nan=True)


@needs_loops
def test_the_steps_and_outputs_are_the_eager_ones_with_clocks_and_directions_per_sample() -> None:
    y0 = states(3)
    ends = torch.tensor([5.0, -3.0, 0.2], dtype=torch.float64)
    ts = torch.linspace(0, 1, 40, dtype=torch.float64) * ends[:, None]  # more outputs in a step than one pass serves
    stepper = RungeKutta(pendulum, BOSH3)
    eager = solve(stepper, y0, ts, PID)
    assert int(eager.statistics.rejected.sum()) > 0
    same(solve_compiled(stepper, y0, ts, PID, backend="eager"), eager)


@needs_loops
def test_steps_land_on_outputs_where_there_is_no_interpolant_and_states_may_be_structures() -> None:
    def field(t: Tensor, y: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"x": y["v"], "v": -y["x"]}

    y0 = {"x": states(2, 3), "v": states(2, 3) + 1}
    ts = torch.linspace(1, 0, 4, dtype=torch.float64)
    stepper = RungeKutta(field, RK4)
    eager, compiled = (run(stepper, y0, ts, FixedStep(0.15)) for run in (solve, _without_code))
    assert torch.equal(compiled.statistics.accepted, eager.statistics.accepted)
    for name in y0:
        torch.testing.assert_close(compiled.ys[name], eager.ys[name], rtol=1e-12, atol=1e-12)


@needs_loops
def test_failures_have_the_eager_statuses() -> None:
    def blows_up(t: Tensor, y: Tensor) -> Tensor:  # y = 1 / (1 - t) for y0 = 1
        return y * y

    y0 = torch.tensor([[1.0], [0.1], [torch.nan]], dtype=torch.float64)
    ts = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    stepper, loose = RungeKutta(blows_up, HEUN), PIDController(rtol=1e-2, atol=1e-3)
    eager = solve(stepper, y0, ts, loose, throw=False)
    compiled = _without_code(stepper, y0, ts, loose, throw=False)
    assert torch.equal(compiled.statistics.status, eager.statistics.status)
    assert compiled.statistics.status.tolist() == [Status.STEP_UNDERFLOW, Status.SUCCESS, Status.STEP_UNDERFLOW]
    torch.testing.assert_close(compiled.ys, eager.ys, equal_nan=True)
    short = _without_code(stepper, y0, ts, loose, throw=False, max_steps=3)
    same(short, solve(stepper, y0, ts, loose, throw=False, max_steps=3))
    with pytest.raises(SolveError, match="max_steps"):
        _without_code(stepper, y0, ts, loose, max_steps=3)


@needs_loops
def test_gradients_of_the_state_parameters_arguments_and_closures_are_the_eager_ones() -> None:
    torch.manual_seed(0)
    net = nn.Linear(2, 2, dtype=torch.float64)
    scale = torch.tensor([0.7, 1.3], dtype=torch.float64, requires_grad=True)
    stretch = scale.exp()  # an intermediate result that the field closes over
    shift = states(3).requires_grad_()

    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, t: Tensor, y: Tensor, shift: Tensor) -> Tensor:
            return torch.tanh(self.net(y)) * stretch + shift * torch.cos(t)[:, None]

    args = (PerSample(shift),)
    y0 = states(3).requires_grad_()
    ts = torch.linspace(0, 3, 12, dtype=torch.float64)
    wrt = [y0, scale, shift, *net.parameters()]
    weights = torch.randn(3, 12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def gradients(solution: Solution) -> tuple[Tensor, ...]:
        loss = (solution.ys * weights).sum() + solution.y_end.square().sum()
        return torch.autograd.grad(loss, wrt, retain_graph=True)

    stepper = RungeKutta(Field(), BOSH3)
    eager = solve(stepper, y0, ts, PID, args=args)
    bound = bind(stepper, args, 3)
    compiled = solve_compiled(bound, y0, ts, PID, backend="eager")
    same(compiled, eager)
    torch.testing.assert_close(gradients(compiled), gradients(eager), rtol=1e-10, atol=1e-10)

    # New values of the parameters need no new program.
    programs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    with torch.no_grad():
        net.weight.mul_(0.5)
    stretch = scale.exp()
    eager = solve(stepper, y0, ts, PID, args=args)
    compiled = solve_compiled(bound, y0, ts, PID, backend="eager")
    same(compiled, eager)
    torch.testing.assert_close(gradients(compiled), gradients(eager), rtol=1e-10, atol=1e-10)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == programs


@needs_loops
def test_a_field_that_branches_on_values_is_refused_with_the_way_out() -> None:
    def branches(t: Tensor, y: Tensor) -> Tensor:
        return -y if bool((y > 0).all()) else y

    with pytest.raises(ValueError, match="compiled=False"):
        _without_code(RungeKutta(branches, EULER), states(2), torch.tensor([0.0, 1.0]), FixedStep(0.5))


def test_gradients_that_are_not_computed_are_refused() -> None:
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match="compiled=False"):
        _without_code(RungeKutta(pendulum, EULER), states(2), ts, FixedStep(0.5))


def test_compiled_code_takes_the_eager_steps() -> None:
    stepper, y0, ts = RungeKutta(pendulum, HEUN), states(3), torch.linspace(0, 1, 2, dtype=torch.float64)
    same(solve(stepper, y0, ts, PID, compiled=True), solve(stepper, y0, ts, PID))


def test_what_a_compiled_solve_does_not_do_is_named() -> None:
    stepper, y0, ts = RungeKutta(pendulum, HEUN), states(3), torch.linspace(0, 1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"no event, keep_dense.*compiled=False"):
        solve(stepper, y0, ts, PID, compiled=True, event=Event(lambda t, y: y[:, 0]), keep_dense=True)


@needs_loops
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_code_has_the_eager_gradients(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = nn.Linear(2, 2).to(dtype)
    stepper = RungeKutta(_Autonomous(net), TSIT5)
    y0, ts = states(4).to(dtype).requires_grad_(), torch.linspace(0, 2, 9, dtype=dtype)
    controller, tolerance = PIDController(rtol=1e-4, atol=1e-5), 1e-4 if dtype == torch.float32 else 1e-11
    results = []
    for run in (solve_compiled, solve):
        solution = run(stepper, y0, ts, controller)
        results.append((solution.ys, *torch.autograd.grad(solution.ys.square().sum(), [y0, *net.parameters()])))
    torch.testing.assert_close(*results, rtol=tolerance, atol=tolerance)


class _Autonomous(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.net(y))


def _without_code(*arguments, **options) -> Solution:
    return solve_compiled(*arguments, backend="eager", **options)
