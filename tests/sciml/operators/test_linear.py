"""Dynamic mode decomposition is exact on linear flows, and does what it says elsewhere."""

import pytest
import torch
from torch import Tensor

from sciml.operators.linear import LeastSquares, LinearDMD
from sciml.solvers.controller import FixedStep
from sciml.solvers.pid import PIDController
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling

N, DT = 48, 0.3
WAVENUMBERS = torch.arange(N // 2 + 1, dtype=torch.float64)
SYMBOL = -0.05 * WAVENUMBERS**2 - 1.3j * WAVENUMBERS  # u_t + 1.3 u_x = 0.05 u_xx on a circle of length 2 pi


def flow(u: Tensor, dt: Tensor | float) -> Tensor:
    factor = torch.exp(SYMBOL * torch.as_tensor(dt, dtype=torch.float64).reshape(-1, 1, 1))
    return torch.fft.irfft(torch.fft.rfft(u) * factor, n=N)


def waves(count: int, seed: int = 0, top: int = 4) -> Tensor:
    """Random states (count, 1, N) of wavenumbers 0 to ``top``."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.randn(count, 1, N // 2 + 1, dtype=torch.complex128, generator=generator)
    spectrum[..., 0].imag = 0
    return torch.fft.irfft(spectrum * (top >= WAVENUMBERS), n=N)


def batches(u: Tensor, y: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    return list(zip(u.split(size), y.split(size)))


def fitted(u: Tensor | None = None, **options: object) -> LinearDMD:
    u = waves(40) if u is None else u
    return LinearDMD.fit(batches(u, flow(u, DT), 7), ["u"], dt=DT, **{"rank": 9, **options})


def exact_eigenvalues(top: int = 4) -> Tensor:
    half = torch.exp(SYMBOL[: top + 1] * DT)
    return torch.cat([half, half[1:].conj()])


def gap(found: Tensor, expected: Tensor) -> float:
    """Largest distance from an expected eigenvalue to the nearest found one."""
    return float((expected[:, None] - found[None, :]).abs().amin(dim=1).max())


@pytest.mark.parametrize("options", [{}, {"rank": 1 - 1e-12}, {"rank": 30}, {"regression": LeastSquares(total=True)}])
def test_eigenvalues_of_advection_diffusion(options: dict) -> None:
    model = fitted(**options)
    assert model.rank == 9  # one mean, four waves of two phases
    assert gap(model.eigenvalues, exact_eigenvalues()) < 1e-10


def test_any_dt_is_exact_on_states_never_seen() -> None:
    model, u = fitted(), waves(20, seed=1)
    dt = torch.linspace(-0.2, 2.0, 20, dtype=torch.float64)
    torch.testing.assert_close(model(0 * dt, dt, u).y, flow(u, dt), rtol=0, atol=1e-10)


def test_rollout_matches_the_flow() -> None:
    model, u = fitted(), waves(3, seed=2)
    ts = torch.tensor([0.0, 0.11, 0.3, 1.7], dtype=torch.float64)
    ys = solve(model, u, ts, FixedStep(0.3)).ys
    for k, t in enumerate(ts):
        torch.testing.assert_close(ys[:, k], flow(u, float(t)), rtol=0, atol=1e-10)


def test_step_doubling_finds_no_error() -> None:
    """Powers of one matrix are a semigroup, whatever the data."""
    model, u = fitted(waves(40, top=10), rank=6), waves(3, seed=2, top=10)
    t, dt = torch.zeros(3, dtype=torch.float64), torch.full((3,), 0.4, dtype=torch.float64)
    assert StepDoubling(model)(t, dt, u).error.abs().max() < 1e-12
    adaptive = solve(StepDoubling(model), u, torch.tensor([0.0, 3.0], dtype=torch.float64), PIDController(1e-8, 1e-8))
    assert int(adaptive.statistics.rejected.sum()) == 0


def test_what_lies_outside_the_basis_stays() -> None:
    model = fitted()
    outside = torch.cos(9 * torch.arange(N, dtype=torch.float64) * 2 * torch.pi / N).reshape(1, 1, N)
    zero = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(model(zero, zero + 0.7, outside).y, outside)


def test_batches_do_not_matter() -> None:
    u = waves(40, top=20)
    y = flow(u, DT) + 0.01 * waves(40, seed=5, top=20)
    one, many = (LinearDMD.fit(batches(u, y, size), ["u"], dt=DT, rank=0.95) for size in (40, 3))
    t = torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(one(t, t + DT, u[:4]).y, many(t, t + DT, u[:4]).y, rtol=0, atol=1e-10)


def test_truncated_stream_keeps_the_leading_directions() -> None:
    """Capacity is twice the rank: 80 noisy directions pass through 18, and the nine of the signal survive."""
    u = waves(80)
    noise = 1e-5 * torch.randn(u.shape, dtype=u.dtype, generator=torch.Generator().manual_seed(6))
    assert gap(fitted(u + noise).eigenvalues, exact_eigenvalues()) < 1e-3


def test_one_step_is_the_least_squares_map() -> None:
    """On a basis of everything, no linear map does better on the data: the residual is orthogonal to the inputs."""
    generator = torch.Generator().manual_seed(7)
    u, y = (torch.randn(60, 2, 3, 2, dtype=torch.float64, generator=generator) for _ in range(2))
    model = LinearDMD.fit([(u, y)], ["a", "b"], dt=1.0, rank=12, stable=False)
    t = torch.zeros(60, dtype=torch.float64)
    residual = (y - model(t, t + 1, u).y).flatten(1)
    assert (residual.T @ u.flatten(1)).abs().max() < 1e-9


def test_total_least_squares_is_less_biased_by_noise() -> None:
    u = waves(4000, top=2)
    generator = torch.Generator().manual_seed(8)
    noisy = [s + 0.3 * torch.randn(s.shape, dtype=s.dtype, generator=generator) for s in (u, flow(u, DT))]
    plain, total = (
        LinearDMD.fit([(noisy[0], noisy[1])], ["u"], dt=DT, rank=5, regression=LeastSquares(total=flag))
        for flag in (False, True)
    )
    assert gap(total.eigenvalues, exact_eigenvalues(2)) < 0.5 * gap(plain.eigenvalues, exact_eigenvalues(2))


def test_ridge_shrinks_the_map() -> None:
    norms = [
        float(fitted(regression=LeastSquares(ridge=ridge)).eigenvalues.abs().max()) for ridge in (0.0, 0.1, 1.0, 10.0)
    ]
    assert norms == sorted(norms, reverse=True) and norms[-1] < 0.5 * norms[0]


def test_growth_is_clipped_when_asked() -> None:
    u = waves(20)
    growing = [(u, 1.5 * u)]
    t = torch.zeros(20, dtype=torch.float64)
    for stable, factor in ((False, 1.5**3), (True, 1.0)):
        model = LinearDMD.fit(growing, ["u"], dt=0.1, rank=9, stable=stable)
        torch.testing.assert_close(model(t, t + 0.3, u).y, factor * u)


def test_vanishing_and_alternating_modes_stay_finite() -> None:
    u = torch.randn(30, 1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    factors = torch.tensor([0.0, -0.5, 0.5], dtype=torch.float64)
    model = LinearDMD.fit([(u, factors * u)], ["u"], dt=1.0, rank=3)
    t = torch.zeros(30, dtype=torch.float64)
    torch.testing.assert_close(model(t, t + 1, u).y, factors * u, rtol=0, atol=1e-12)
    torch.testing.assert_close(model(t, t + 2, u).y, factors**2 * u, rtol=0, atol=1e-12)
    assert bool(torch.isfinite(model(t, t + 0.37, u).y).all())


def test_channels_of_other_units_weigh_alike() -> None:
    """Pressure in pascals would drown velocity; divided by their std, both keep their mode."""
    u = waves(40, top=1)
    state = torch.cat([1e6 * u, flow(u.roll(5, 0), 0.1)], dim=1)
    later = flow(state, DT)
    t = torch.zeros(40, dtype=torch.float64)
    scaled = LinearDMD.fit([(state, later)], ["p", "v"], dt=DT, std=[1e6, 1.0], rank=1 - 1e-6)
    raw = LinearDMD.fit([(state, later)], ["p", "v"], dt=DT, rank=1 - 1e-6)
    error = [float((m(t, t + DT, state).y - later)[:, 1].abs().max()) for m in (scaled, raw)]
    assert error[0] < 1e-8 < 1e-2 < error[1]


def test_another_grid_is_refused() -> None:
    t = torch.zeros(1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"grid \(48,\) that the map was fitted on, got \(47,\)"):
        fitted()(t, t + 1, torch.zeros(1, 1, 47, dtype=torch.float64))


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([], {}, "at least one batch of pairs, got none"),
        ([(torch.ones(2, 1, 4), torch.ones(2, 1, 5))], {}, r"got \(2, 1, 4\) and \(2, 1, 5\)"),
        ([(torch.ones(2, 2, 4), torch.ones(2, 2, 4))], {}, r"shape \(batch, 1, \*space\)"),
        ([(torch.ones(1, 1, n), torch.ones(1, 1, n)) for n in (4, 5)], {}, r"grid \(4,\), got \(5,\)"),
        ([(torch.full((1, 1, 4), torch.nan), torch.ones(1, 1, 4))], {}, "finite pairs"),
        ([(torch.zeros(2, 1, 4), torch.zeros(2, 1, 4))], {}, "not all zero"),
        ([(torch.ones(2, 1, 4), torch.ones(2, 1, 4))], {"rank": 1.5}, "rank as an int"),
        ([(torch.ones(2, 1, 4), torch.ones(2, 1, 4))], {"rank": 0}, "rank as an int"),
        ([(torch.ones(2, 1, 4), torch.ones(2, 1, 4))], {"dt": -1.0}, "dt > 0"),
    ],
)
def test_bad_input_is_refused(pairs: list, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearDMD.fit(pairs, ["u"], **{"dt": 1.0, **options})
