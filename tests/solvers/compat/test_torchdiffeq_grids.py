"""Explicit methods on prescribed steps, and events that stay zero, in the torchdiffeq face."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import torchdiffeq as peer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sciml.solvers import FixedStep, Stops, solve
from sciml.solvers.adams import Adams
from sciml.solvers.compat.torchdiffeq import odeint, odeint_adjoint, odeint_event

FLOAT = torch.float64
STAGES = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4}


class Recorded:
    """y' = -t y, and the times at which it is asked."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        assert t.shape == ()
        self.times.append(float(t))
        return -t * y


@pytest.mark.parametrize("method", STAGES)
@pytest.mark.parametrize("direction", [1, -1])
def test_steps_go_from_time_to_time_and_evaluate_nothing_else(method: str, direction: int) -> None:
    field, ts = Recorded(), direction * torch.tensor([0.0, 0.4, 1.0, 1.3], dtype=FLOAT)
    odeint(field, torch.ones(2, 3, dtype=FLOAT), ts, method=method)
    assert len(field.times) == 3 * STAGES[method]
    assert field.times[:: STAGES[method]] == ts[:-1].tolist()


@pytest.mark.parametrize("length", [0.3, 0.1, 0.25])
def test_the_last_step_is_shorter_and_never_a_sliver(length: float) -> None:
    field, ts = Recorded(), torch.tensor([0.0, 1.0], dtype=FLOAT)
    ys = odeint(field, torch.ones(2, dtype=FLOAT), ts, method="euler", options={"step_size": length})
    count = {0.3: 4, 0.1: 10, 0.25: 4}[length]
    assert len(field.times) == count
    expected, times = 1.0, [*field.times, 1.0]
    for t, t_next in pairwise(times):
        expected *= 1 - (t_next - t) * t
    torch.testing.assert_close(ys[-1], torch.full((2,), expected, dtype=FLOAT))


def test_a_single_step_may_be_longer_than_the_span() -> None:
    ys = odeint(Recorded(), torch.ones(2), torch.tensor([1.0, 1.5]), method="euler", options={"step_size": 2.0})
    torch.testing.assert_close(ys[-1], torch.full((2,), 0.5))


@pytest.mark.parametrize(("kind", "bound"), [("linear", 5e-3), ("cubic", 1e-5)])
def test_output_times_inside_a_step_are_interpolated(kind: str, bound: float) -> None:
    ts = torch.tensor([0.0, 0.13, 0.2, 0.57, 0.61, 1.0], dtype=FLOAT)
    options = {"step_size": 0.1, "interp": kind}
    ys = odeint(Recorded(), torch.ones((), dtype=FLOAT), ts, method="rk4", options=options)
    assert (ys - torch.exp(-(ts**2) / 2)).abs().max() < bound


def test_gradients_reach_times_and_states() -> None:
    def outputs(y0: Tensor, ts: Tensor, options: dict[str, Any]) -> Tensor:
        return odeint(lambda t, y: -t * y, y0, ts, method="heun3", options=options)

    y0 = torch.tensor([1.0, -2.0], dtype=FLOAT, requires_grad=True)
    ts = torch.tensor([0.0, 0.25, 0.7, 1.05], dtype=FLOAT, requires_grad=True)
    for options in ({}, {"step_size": 0.2}, {"step_size": 0.2, "interp": "cubic"}):
        assert torch.autograd.gradcheck(lambda y0, ts, kept=options: outputs(y0, ts, kept), (y0, ts))


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize(("method", "most", "scheme"), [("explicit_adams", 5, (4, 0)), ("implicit_adams", 8, (8, 2))])
def test_adams_steps_are_those_of_the_library(method: str, most: int, scheme: tuple[int, int], even: bool) -> None:
    y0, ts = torch.tensor([1.0, -2.0, 0.5], dtype=FLOAT), torch.linspace(0, 2, 41, dtype=FLOAT)
    ts = ts if even else ts + 0.2 * ts**2

    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(y) - t.reshape(-1, *[1] * (y.dim() - 1)) * y

    ours = odeint(field, y0, ts, method=method, options={"max_order": most})
    grid, order = Stops(steps=ts), Adams(field, scheme[0], corrections=scheme[1])
    theirs = solve(order, y0[None], ts, FixedStep(10.0), stops=grid).ys[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


class Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["explicit_adams", "implicit_adams"])
def test_adams_steps_take_no_more_operations_than_torchdiffeqs(method: str) -> None:
    matrix, y0, ts = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]]), torch.ones(16, 2), torch.linspace(0, 1, 101)
    counts = []
    for function in (odeint, peer.odeint):
        with Operations() as operations:
            function(lambda t, y: y @ matrix, y0, ts, method=method)
        counts.append(operations.count)
    assert counts[0] <= counts[1]


@pytest.mark.parametrize("method", ["explicit_adams", "implicit_adams"])
def test_gradients_of_adams_steps_reach_times_and_states(method: str) -> None:
    def outputs(y0: Tensor, ts: Tensor) -> Tensor:
        return odeint(lambda t, y: -t * y, y0, ts, method=method, options={"max_order": 3})

    y0 = torch.tensor([1.0, -2.0], dtype=FLOAT, requires_grad=True)
    ts = torch.linspace(0.0, 1.0, 6, dtype=FLOAT, requires_grad=True)
    assert torch.autograd.gradcheck(outputs, (y0, ts))
    assert torch.autograd.gradcheck(lambda y0: outputs(y0, ts.detach()), (y0,))


def test_complex_and_single_precision_states_keep_their_dtype() -> None:
    for dtype in (torch.complex64, torch.float32):
        ys = odeint(lambda t, y: -y, torch.ones(3, dtype=dtype), torch.linspace(0, 1, 21), method="rk4")
        assert ys.dtype == dtype
        torch.testing.assert_close(ys[-1].real, torch.full((3,), -1.0).exp(), rtol=1e-5, atol=1e-5)


def test_steps_are_announced_with_the_state_as_the_caller_gave_it() -> None:
    told: list[tuple[float, float]] = []

    class Announced(torch.nn.Module):
        def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return state[1].sum(), -state[1]

        def callback_step(self, t0: Tensor, y0: tuple[Tensor, Tensor], dt: Tensor) -> None:
            assert (y0[0].shape, y0[1].shape) == ((), (2,))
            told.append((float(t0), float(dt)))

    state = torch.zeros((), dtype=FLOAT), torch.ones(2, dtype=FLOAT)
    odeint(Announced(), state, torch.tensor([1.0, 0.0], dtype=FLOAT), method="midpoint", options={"step_size": 0.5})
    assert told == [(1.0, 0.5), (0.5, 0.5)]


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_an_event_is_found_although_its_function_is_zero_later(interface: Any) -> None:
    """The first change of sign counts, also where the step that holds it ends among those zeros."""
    height = torch.tensor([1.0], dtype=FLOAT, requires_grad=True)

    def fall(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return state[1], torch.full_like(state[1], -2.0)

    def ground(t: Tensor, state: tuple[Tensor, Tensor]) -> Tensor:
        return torch.zeros_like(state[0]) if t > 3.0 else state[0]

    options = {"adjoint_params": ()} if interface is odeint_adjoint else {}
    event_t, (position, _) = odeint_event(
        fall,
        (height, torch.zeros(1, dtype=FLOAT)),
        torch.tensor(0.0, dtype=FLOAT),
        event_fn=ground,
        odeint_interface=interface,
        rtol=1e-9,
        atol=1e-9,
        **options,
    )
    torch.testing.assert_close(event_t, torch.tensor(1.0, dtype=FLOAT))  # height = t^2
    assert position[-1].abs() < 1e-9
    event_t.backward()
    torch.testing.assert_close(height.grad, torch.tensor([0.5], dtype=FLOAT), rtol=1e-6, atol=1e-6)
