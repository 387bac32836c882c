"""Poseidon as a stepper: lead times in physical units, channels of any order, grids of other sizes, rollouts."""

import pytest
import torch
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.operators.poseidon.operator import Poseidon
from sciml.operators.poseidon.spectral import resample
from sciml.solvers.controller import FixedStep
from sciml.solvers.pid import PIDController
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling

from .reference import redrawn, tiny

F64 = torch.float64


def model(channels: tuple = ("u", "v"), **options: object) -> Poseidon:
    architecture = options.pop("architecture", tiny())
    found = Poseidon(channels, architecture=architecture, **options)
    redrawn(found.network)
    return found.double().eval()


def waves(size: tuple[int, ...], count: int = 2) -> Tensor:
    """Band-limited periodic fields, (count, 2, *size): known between the points too."""
    axes = [torch.arange(n, dtype=F64) * (2 * torch.pi / n) for n in size]
    x = torch.meshgrid(*axes, indexing="ij")
    fields = [[torch.sin(x[0] + k) * torch.cos(2 * x[-1] - c) + 0.3 * c for c in range(2)] for k in range(count)]
    return torch.stack([torch.stack(sample) for sample in fields])


def test_lead_time_is_physical_time_over_its_scale() -> None:
    by_scale, by_data = model(time_scale=4.0), model()
    by_data.network.load_state_dict(by_scale.network.state_dict())
    by_data.normalization.set([0.0, 0.0], [1.0, 1.0], [1.0, 1.0], 0.2)  # 20 steps of 0.2
    u = torch.randn(2, 2, 16, 16, dtype=F64)
    t, dt = torch.zeros(2, dtype=F64), torch.tensor([0.4, 3.0], dtype=F64)
    torch.testing.assert_close(by_scale(t, dt, u).y, by_scale.network(u, dt / 4))
    torch.testing.assert_close(by_data(t, dt, u).y, by_scale(t, dt, u).y, rtol=1e-6, atol=1e-6)  # 0.2 is a float32


def test_channels_that_change_come_first_in_the_network_and_stay_in_place_outside() -> None:
    channels = (Channel("a", static=True), Channel("u"), Channel("b", static=True), Channel("v"))
    operator = model(channels, time_scale=1.0)
    operator.normalization.set([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [1.0] * 4, 1.0)
    assert operator.network.config.num_channels == 4 and operator.network.config.num_out_channels == 2
    u, ones = torch.randn(2, 4, 16, 16, dtype=F64), torch.ones(2, dtype=F64)
    y = operator(0 * ones, ones, u).y
    assert torch.equal(y[:, [0, 2]], u[:, [0, 2]])
    raw = operator.network(operator.normalization.encode(u)[:, [1, 3, 0, 2]], ones)
    torch.testing.assert_close(
        y[:, [1, 3]], raw * torch.tensor([2.0, 4.0])[:, None, None] + torch.tensor([2.0, 4.0])[:, None, None]
    )


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (24, 40), (17, 16), (15, 21)])
def test_fields_of_another_size_go_through_the_networks_own(size: tuple[int, ...]) -> None:
    operator, ones = model(time_scale=1.0), torch.ones(2, dtype=F64)
    u = waves(size)
    y = operator(0 * ones, ones, u).y
    assert y.shape == u.shape
    torch.testing.assert_close(y, resample(operator.network(waves((16, 16)), ones), size), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("size", "new"), [((8,), (13,)), ((9, 16), (16, 9)), ((6, 7, 8), (9, 7, 5)), ((32, 32), (16, 16))]
)
def test_resampling_is_exact_where_the_finer_grid_has_nothing_more(size: tuple[int, ...], new: tuple[int, ...]) -> None:
    torch.testing.assert_close(resample(waves(size), new), waves(new), rtol=1e-12, atol=1e-12)


def test_resampling_of_even_grids_is_that_of_the_reference() -> None:
    """Truncation to -S/2 ... S/2 - 1, or zeros around the shifted spectrum; the real part."""
    x = torch.randn(1, 1, 12, 12, dtype=F64)
    shifted = torch.fft.fftshift(torch.fft.fft2(x, norm="forward"), dim=(-2, -1))
    fine = torch.fft.ifft2(
        torch.fft.ifftshift(torch.nn.functional.pad(shifted, [2, 2, 2, 2]), dim=(-2, -1)), norm="forward"
    )
    torch.testing.assert_close(resample(x, (16, 16)), fine.real)
    coarse = torch.fft.ifft2(torch.fft.ifftshift(shifted[..., 2:10, 2:10], dim=(-2, -1)), norm="forward")
    torch.testing.assert_close(resample(x, (8, 8)), coarse.real)


def test_fields_that_are_not_periodic_are_not_resampled() -> None:
    ramp = torch.linspace(0, 1, 32, dtype=F64).expand(2, 2, 32, 32)
    ones = torch.ones(2, dtype=F64)
    for boundary, problem in (("open", "boundary='open'"), (None, "jumps across the ends of axis 3")):
        with pytest.raises(ValueError, match=f"Expected a periodic field to resample.*{problem}.*native=True"):
            model(boundary=boundary)(ones, ones, ramp)
    assert model(boundary="periodic")(ones, ones, ramp).y.shape == ramp.shape
    assert model(boundary="open", native=True)(ones, ones, ramp).y.shape == ramp.shape
    assert model(boundary="open")(ones, ones, ramp[..., :16, :16]).y.shape == (2, 2, 16, 16)


def test_a_jump_that_also_stands_inside_is_no_boundary() -> None:
    """Four quadrants of a periodic Riemann problem."""
    place = torch.arange(32) < 16
    u = torch.where(place[:, None] == place[None], 1.0, -1.0).double().expand(1, 2, 32, 32)
    one = torch.ones(1, dtype=F64)
    assert model()(one, one, u).y.shape == u.shape


def test_one_evaluation_a_step_directly_autoregressively_and_adaptively() -> None:
    operator = model(time_scale=1.0)
    u = 0.1 * torch.randn(2, 2, 16, 16, dtype=F64)
    ones, ts = torch.ones(2, dtype=F64), torch.tensor([0.0, 0.7], dtype=F64)
    direct = solve(operator, u, ts, FixedStep(0.7)).ys[:, -1]
    torch.testing.assert_close(direct, operator(0 * ones, 0.7 * ones, u).y)
    steps = u
    for _ in range(7):
        steps = operator(0 * ones, 0.1 * ones, steps).y
    torch.testing.assert_close(solve(operator, u, ts, FixedStep(0.1)).ys[:, -1], steps, rtol=1e-8, atol=1e-8)
    adaptive = solve(StepDoubling(operator), u, ts, PIDController(rtol=0.5, atol=5.0))
    assert bool((adaptive.statistics.status == 0).all()) and bool(torch.isfinite(adaptive.ys).all())


def test_prediction_leaves_its_input_alone() -> None:
    operator, u = model(), torch.randn(1, 2, 16, 16, dtype=F64)
    before, one = u.clone(), torch.ones(1, dtype=F64)
    operator(one, one, u)
    assert torch.equal(u, before)


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"time_scale": 0.0}, "time_scale > 0"), ({"boundary": "wall"}, "boundary"), ({"fill": [(7, 0.0)]}, "fill")],
)
def test_refuses_options_out_of_range(options: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Poseidon(["u"], architecture=tiny(), **options)


def test_refuses_a_field_of_other_channels() -> None:
    one = torch.ones(1, dtype=F64)
    with pytest.raises(ValueError, match=r"\(batch, 2, height, width\), got \(1, 3, 16, 16\)"):
        model()(one, one, torch.zeros(1, 3, 16, 16, dtype=F64))
