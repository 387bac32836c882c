import pytest
import torch

from sciml.metrics import lagrangebench
from sciml.metrics.sinkhorn import SinkhornTolerance, sinkhorn_divergence

DT, SPACING = 0.1, 0.1
# The theorems hold for any regularisation; a large one converges in few iterations.
FAST = {"regularisation": 0.5, "tolerance": SinkhornTolerance(marginal=1e-9)}


@pytest.fixture(params=[0, 1, 2, 3], ids=["2d", "2d-strided", "3d", "3d-strided"])
def case(request, golden, arrays):
    row = golden["lagrangebench"][request.param]
    clouds = [arrays[f"lb_{row['case']}_{which}"][None] for which in ("pred", "true")]
    box = None if row["box"] is None else (row["box"],) * clouds[0].shape[-1]
    return clouds, row, box


def test_position_errors_equal_the_benchmarks_own_code(case):
    clouds, row, box = case
    assert lagrangebench.mse(*clouds, box=box)[0].tolist() == pytest.approx(row["mse_per_step"], rel=1e-5)
    assert lagrangebench.mse_n(*clouds, 5, box=box).item() == pytest.approx(row["mse5_mean"], rel=1e-5)
    assert lagrangebench.mae(*clouds, box=box).mean().item() == pytest.approx(row["mae_mean"], rel=1e-5)


def test_kinetic_energy_equals_the_benchmarks_own_code(case):
    clouds, row, box = case
    options = {"dt": DT, "spacing": SPACING, "stride": row["stride"], "box": box}
    for cloud, name in zip(clouds, ("pred", "target")):
        energy = lagrangebench.kinetic_energy(cloud, **options)
        assert energy[0].tolist() == pytest.approx(row[f"e_kin_{name}"], rel=1e-4)
    error = lagrangebench.kinetic_energy_error(*clouds, **options)
    assert error.item() == pytest.approx(row["e_kin_mse"], rel=2e-4)


def test_sinkhorn_equals_the_benchmarks_own_code(case):
    clouds, row, box = case
    value = lagrangebench.sinkhorn(*clouds, stride=row["stride"], box=box)
    # The original stops at a marginal error of 1e-4 as well, by a count of its own, and sums in single precision.
    assert value[0].tolist() == pytest.approx(row["sinkhorn"], rel=1e-3)


@pytest.fixture
def clouds():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 6, 2, generator=generator, dtype=torch.float64).unbind(0)


@pytest.mark.parametrize("box", [None, torch.ones(2, dtype=torch.float64)], ids=["free", "periodic"])
def test_sinkhorn_is_a_divergence(clouds, box):
    x, y = clouds
    assert sinkhorn_divergence(x, y, box=box, **FAST).item() > 1e-3
    assert abs(sinkhorn_divergence(x, x[torch.randperm(6)], box=box, **FAST).item()) < 1e-8
    assert sinkhorn_divergence(y, x, box=box, **FAST).item() == pytest.approx(
        sinkhorn_divergence(x, y, box=box, **FAST).item(), abs=1e-8
    )


def test_sinkhorn_of_a_translated_cloud_is_the_squared_translation(clouds):
    # Debiasing takes the entropy out of a pure shift: exact for any regularisation that is shared by the three terms.
    x, _ = clouds
    shift = torch.tensor([0.1, -0.05], dtype=torch.float64)
    assert sinkhorn_divergence(x, x + shift, **FAST).item() == pytest.approx(0.0125, rel=1e-6)


def test_sinkhorn_gradient_is_that_of_the_converged_value(clouds):
    x, y = clouds

    def value(x):
        return sinkhorn_divergence(x, y, box=torch.ones(2, dtype=torch.float64), **FAST)

    assert torch.autograd.gradcheck(value, (x.clone().requires_grad_(),), eps=1e-5, atol=1e-6)


def test_crossing_the_periodic_boundary_is_no_error(clouds):
    x, y = (cloud[None, None] for cloud in clouds)
    torch.testing.assert_close(lagrangebench.mse(x + 1, y - 2, box=(1.0, 1.0)), lagrangebench.mse(x, y, box=(1.0, 1.0)))
    assert lagrangebench.mse(x + 0.9, x, box=(1.0, 1.0)).item() == pytest.approx(0.01)


def test_kinetic_energy_of_a_uniform_stream():
    positions = torch.arange(5.0)[None, :, None, None] * torch.tensor([0.3, 0.4]) + torch.rand(1, 1, 7, 2)
    energy = lagrangebench.kinetic_energy(positions % 1.0, dt=0.5, spacing=0.1, box=(1.0, 1.0))
    torch.testing.assert_close(energy, torch.full((1, 4), 7 * 0.01), rtol=1e-4, atol=0)


def test_batched_equals_one_by_one(arrays):
    clouds = [
        torch.stack([arrays[f"lb_2d_periodic_{which}"][start : start + 3] for start in (0, 4)])
        for which in ("pred", "true")
    ]
    alone = torch.cat([lagrangebench.sinkhorn(p[None], t[None], box=(1.0, 1.0)) for p, t in zip(*clouds)])
    assert torch.equal(lagrangebench.sinkhorn(*clouds, box=(1.0, 1.0)), alone)


def test_lost_particles_score_nan(clouds):
    x, y = (cloud[None, None] for cloud in clouds)
    assert lagrangebench.sinkhorn(x * torch.nan, y).isnan().all()
    assert lagrangebench.mse(x * torch.inf, y).isinf().all()


def test_short_rollouts_and_wrong_boxes_are_refused(clouds):
    x, y = (cloud[None, None] for cloud in clouds)
    with pytest.raises(ValueError, match="time >= steps = 20, got 1 steps"):
        lagrangebench.mse_n(x, y)
    with pytest.raises(ValueError, match="box of 2 positive periods"):
        lagrangebench.mse(x, y, box=(1.0, 1.0, 1.0))
