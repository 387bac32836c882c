"""Jumps of the vector field and times to land on."""

import math

import pytest
import torch
from torch import Tensor

from sciml.solvers import TSIT5, FixedStep, PIDController, RungeKutta, Stops, solve

F64 = torch.float64
JUMP = 0.5


def switched(t: Tensor, y: Tensor) -> Tensor:
    """y' = 1 before the jump and -2 y after it."""
    return torch.where(t[:, None] < JUMP, torch.ones_like(y), -2 * y)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_no_stage_straddles_a_jump(dtype: torch.dtype) -> None:
    y0, ts = torch.ones(2, 1, dtype=dtype), torch.tensor([0.0, JUMP, 1.0], dtype=F64)
    exact = 1.5 * math.exp(-1)
    controller = PIDController(rtol=1e-6, atol=1e-6)
    plain = solve(RungeKutta(switched, TSIT5), y0, ts, controller)
    told = solve(RungeKutta(switched, TSIT5), y0, ts, controller, stops=Stops(jumps=torch.tensor([JUMP])))
    assert float((told.ys[:, -1] - exact).abs().max()) < 2e-6
    assert float((told.ys[:, 1] - 1.5).abs().max()) < 1e-6
    assert int(told.statistics.rejected.max()) <= 1  # the length that suited the old field may not suit the new one
    assert int(told.statistics.evaluations.max()) < 0.4 * int(plain.statistics.evaluations.max())


def test_jumps_and_directions_may_differ_between_samples() -> None:
    jump = torch.tensor([[0.3, 9.0], [0.7, 0.2]], dtype=F64)
    ts = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=F64)
    seen: list[Tensor] = []

    def field(t: Tensor, y: Tensor) -> Tensor:
        seen.append(t.clone())
        return torch.ones_like(y)

    solution = solve(
        RungeKutta(field, TSIT5), torch.zeros(2, 1, dtype=F64), ts, FixedStep(10.0), stops=Stops(jumps=jump), throw=True
    )
    torch.testing.assert_close(solution.ys[:, -1, 0], torch.tensor([1.0, -1.0], dtype=F64), rtol=1e-12, atol=0)
    assert solution.statistics.accepted.tolist() == [2, 3]
    first = torch.cat([t[:1] for t in seen if len(t) == 2])
    assert not bool((first == 0.3).any())


def test_steps_land_on_stops_and_reuse_goes_on() -> None:
    stops = Stops(steps=torch.tensor([0.25, 0.9, 5.0, -1.0], dtype=F64))
    y0, ts = torch.ones(1, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    solution = solve(RungeKutta(lambda t, y: -y, TSIT5), y0, ts, FixedStep(0.4), stops=stops, keep_steps=True)
    starts = solution.steps.t[0].tolist()
    assert starts == pytest.approx([0.0, 0.25, 0.65, 0.9])
    assert int(solution.statistics.evaluations) == 1 + 6 * 4


def test_a_jump_at_the_last_time_is_not_crossed() -> None:
    def field(t: Tensor, y: Tensor) -> Tensor:
        assert bool((t <= JUMP).all())
        return torch.ones_like(y)

    y0, ts = torch.zeros(1, 1, dtype=F64), torch.tensor([0.0, JUMP], dtype=F64)
    for stops in (Stops(jumps=ts[1:]), Stops(steps=ts[1:])):
        assert float(solve(RungeKutta(field, TSIT5), y0, ts, FixedStep(0.2), stops=stops).ys[0, -1]) == pytest.approx(
            0.5
        )


def test_wrong_stops_are_named() -> None:
    y0, ts = torch.ones(2, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    for wrong in (torch.zeros(3, 1), torch.zeros(()), torch.tensor([math.nan])):
        with pytest.raises(ValueError, match="jumps"):
            solve(RungeKutta(switched, TSIT5), y0, ts, FixedStep(0.1), stops=Stops(jumps=wrong))
