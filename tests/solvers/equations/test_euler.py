"""The Euler stepper against exact solutions, conservation laws and symmetries."""

import math

import pytest
import torch

from sciml.solvers.controller import FixedStep
from sciml.solvers.equations.euler import Euler, EulerEquations
from sciml.solvers.equations.euler_initial import (
    LAX_LIU,
    TORO,
    cell_centres,
    configuration,
    gaussian_vortices,
    isentropic_vortex,
    kelvin_helmholtz,
    random_quadrants,
    shear_layer,
    shock_tube,
    states_of,
)
from sciml.solvers.finite_volume import MUSCL, WENO5, PiecewiseConstant, mc, minmod, outflow, periodic, van_leer, wall
from sciml.solvers.ideal_gas import is_physical, to_conserved, to_primitive
from sciml.solvers.riemann import exact_riemann, hllc, rusanov
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solve import solve
from sciml.solvers.tableaus.ssprk3 import SSPRK3

RECONSTRUCTIONS = (PiecewiseConstant(), MUSCL(minmod), MUSCL(mc), MUSCL(van_leer), WENO5())
SCHEMES = (*((one, hllc) for one in RECONSTRUCTIONS), (MUSCL(), rusanov), (WENO5(), rusanov))
HIGH_ORDER = (MUSCL(van_leer), WENO5())
RANDOM_STATES = (random_quadrants, kelvin_helmholtz, shear_layer, gaussian_vortices)


def advance(stepper, y, duration):
    """y after ``duration``, the same for every sample."""
    t = torch.zeros(len(y), dtype=y.dtype, device=y.device)
    return stepper(t, torch.full_like(t, duration), y).y


def smooth_state(*shape, seed=0, dtype=torch.float64):
    """A random smooth periodic state, its channels density, velocities, pressure."""
    generator = torch.Generator().manual_seed(seed)
    batch, channels, *space = shape
    total = torch.zeros(shape, dtype=torch.float64)
    for axis, cells in enumerate(space):
        phase = torch.rand(batch, channels, *([1] * len(space)), generator=generator, dtype=torch.float64)
        x = cell_centres(cells).reshape([-1 if k == axis else 1 for k in range(len(space))])
        total = total + 0.15 * torch.sin(2 * math.pi * (x + phase))
    total[:, [0, -1]] += 1
    return total.to(dtype)


def total(y, gamma=1.4):
    """Mass, momentum and energy in the box, over the number of cells."""
    return to_conserved(y, gamma).flatten(2).mean(dim=2)


def density_wave(cells, t=0.0):
    """Carried along unchanged at speed 1, in uniform velocity and pressure."""
    wave = 1 + 0.2 * torch.sin(2 * math.pi * (cell_centres(cells) - t))
    return torch.stack([wave, torch.ones_like(wave), torch.ones_like(wave)])[None]


@pytest.mark.parametrize(("reconstruction", "flux"), SCHEMES)
def test_shock_tubes_converge_to_the_exact_solution(reconstruction, flux):
    """Toro's tests but the 123 problem: first order at the most, with shocks; Sod's is well resolved on these grids."""
    problems = [problem for problem in TORO if problem is not TORO[1]]
    left, right = states_of(*problems, dtype=torch.float64)
    times = 0.5 * torch.tensor([problem.time for problem in problems], dtype=torch.float64)
    errors = []
    for cells in (40, 80):
        stepper = Euler(1 / cells, boundary=outflow, reconstruction=reconstruction, flux=flux)
        y = stepper(torch.zeros_like(times), times, shock_tube(left, right, cells)).y
        exact = exact_riemann(left, right).sample((cell_centres(cells) - 0.5) / times[:, None])
        errors.append((y - exact).abs().mean(dim=2) / exact.abs().mean(dim=2))
    order = torch.log2(errors[0] / errors[1])
    first = isinstance(reconstruction, PiecewiseConstant)
    assert (order[0] > (0.5 if first else 0.75)).all() and (order[0] < 1.25).all(), order
    assert (errors[1][0, ::2] < (0.04 if first else 0.02)).all(), errors[1]
    assert (order[1:, 0] > (0.1 if first else 0.2)).all(), order  # the blast is a few cells wide here
    assert (errors[1][1:, ::2] < (0.35 if first else 0.2)).all(), errors[1]


@pytest.mark.parametrize(("reconstruction", "flux"), SCHEMES)
def test_near_vacuum_and_blast_stay_positive(reconstruction, flux):
    """The 123 problem, a stronger one close to the vacuum, and a blast of pressure ratio 1e8."""
    left = torch.tensor([[1, -2, 0.4], [1, -3.6, 0.4], [1, 0, 1e4]], dtype=torch.float64)
    right = torch.tensor([[1, 2, 0.4], [1, 3.6, 0.4], [1, 0, 1e-4]], dtype=torch.float64)
    times = torch.tensor([0.15, 0.1, 0.003], dtype=torch.float64)
    y = shock_tube(left, right, 60)
    stepper = Euler(1 / 60, boundary=outflow, reconstruction=reconstruction, flux=flux)
    solution = solve(stepper, y, times[:, None] * torch.linspace(0, 1, 4), FixedStep(times / 3))
    assert is_physical(solution.ys[:, -1]).all()
    exact = exact_riemann(left, right).sample((cell_centres(60) - 0.5) / times[:, None])
    assert ((solution.ys[:, -1] - exact)[:, 0].abs().mean(dim=1) < 0.35).all()


@pytest.mark.parametrize(("reconstruction", "order"), [(MUSCL(), 2), (MUSCL(mc), 2), (WENO5(), 5)])
def test_order_on_a_density_wave(reconstruction, order):
    """Space and time: dt shrinks so that the third-order time error keeps up with the space error."""

    def error(cells):
        cfl = 0.4 * (8 / cells) ** (max(order / 3, 1) - 1)
        y = advance(Euler(1 / cells, reconstruction=reconstruction, cfl=cfl), density_wave(cells), 0.2)
        return float((y - density_wave(cells, t=0.2)).abs().mean())

    coarse = 16 if order == 5 else 40
    assert math.log2(error(coarse) / error(2 * coarse)) > order - 0.4


@pytest.mark.parametrize(("reconstruction", "order"), [(MUSCL(), 2), (WENO5(), 5)])
def test_order_on_the_isentropic_vortex(reconstruction, order):
    """A nonlinear solution in two dimensions: a scheme that is of high order only along lines fails here."""

    def error(cells):
        cfl = 0.4 * (20 / cells) ** (max(order / 3, 1) - 1)
        stepper = Euler(10 / cells, reconstruction=reconstruction, cfl=cfl)
        y = advance(stepper, isentropic_vortex(cells), 0.2)
        return float((y - isentropic_vortex(cells, t=0.2)).abs().mean())

    assert math.log2(error(24) / error(48)) > order - 0.3


@pytest.mark.parametrize("reconstruction", RECONSTRUCTIONS)
@pytest.mark.parametrize("shape", [(2, 3, 32), (2, 4, 12, 10), (2, 5, 8, 7, 6)])
def test_mass_momentum_and_energy_are_conserved(reconstruction, shape):
    y = smooth_state(*shape)
    y[:, 1] *= 8  # steepens into shocks
    stepper = Euler([1 / cells for cells in shape[2:]], reconstruction=reconstruction)
    after = advance(stepper, y, 0.1)
    assert (after - y).abs().max() > 0.1
    torch.testing.assert_close(total(after), total(y), rtol=1e-13, atol=1e-13)


def test_walls_keep_mass_and_energy_and_nothing_crosses_them():
    y = smooth_state(2, 4, 14, 12)
    after = advance(Euler(1 / 12, boundary=[wall, (wall, wall)]), y, 0.2)
    torch.testing.assert_close(total(after)[:, [0, -1]], total(y)[:, [0, -1]], rtol=1e-13, atol=1e-13)
    assert (total(after) - total(y))[:, 1:-1].abs().max() > 1e-3  # walls push


@pytest.mark.parametrize("reconstruction", RECONSTRUCTIONS)
def test_a_wall_is_a_plane_of_symmetry(reconstruction):
    """Half a box between walls does what the box with its mirror image does."""
    half = smooth_state(1, 3, 20)
    mirrored = half.flip(2) * torch.tensor([1.0, -1.0, 1.0])[:, None]
    whole = torch.cat([half, mirrored], dim=2)
    alone = advance(Euler(1 / 20, boundary=wall, reconstruction=reconstruction), half, 0.3)
    both = advance(Euler(1 / 20, boundary=periodic, reconstruction=reconstruction), whole, 0.3)
    torch.testing.assert_close(both[..., :20], alone, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("reconstruction", "flux"), SCHEMES)
def test_a_uniform_stream_stands(reconstruction, flux):
    stream = torch.tensor([1.1, 0.3, -0.7, 2.2, 0.9], dtype=torch.float64)[None, :, None, None, None]
    stream = stream.expand(1, 5, 6, 5, 5).contiguous()
    equations = EulerEquations(0.2, reconstruction=reconstruction, flux=flux)
    assert (equations(torch.zeros(1), to_conserved(stream, 1.4)) == 0).all()
    after = advance(Euler(0.2, reconstruction=reconstruction, flux=flux), stream, 0.1)
    torch.testing.assert_close(after, stream, rtol=1e-14, atol=0)  # the change of variables rounds


@pytest.mark.parametrize("reconstruction", RECONSTRUCTIONS)
def test_transposing_commutes_with_stepping(reconstruction):
    y = random_quadrants(2, 16, torch.Generator().manual_seed(0), dtype=torch.float64)
    swap = [0, 2, 1, 3]
    stepper = Euler(1 / 16, reconstruction=reconstruction)
    there = advance(stepper, y.transpose(2, 3)[:, swap].contiguous(), 0.04)
    assert torch.equal(there.transpose(2, 3)[:, swap], advance(stepper, y, 0.04))


@pytest.mark.parametrize("reconstruction", RECONSTRUCTIONS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_wave_in_three_dimensions_is_the_one_dimensional_one(reconstruction, axis):
    line = smooth_state(1, 3, 12)
    shape = [12 if k == axis else 5 for k in range(3)]
    channels = [line[:, 1] if k == axis else torch.zeros_like(line[:, 1]) for k in range(3)]
    box = torch.stack([line[:, 0], *channels, line[:, 2]], dim=1)
    box = box.reshape(1, 5, *[12 if k == axis else 1 for k in range(3)]).expand(1, 5, *shape).contiguous()
    dt = 0.01  # below both CFL limits: the one of three axes is shorter
    after = advance(Euler(1 / 12, reconstruction=reconstruction, cfl=0.9), box, dt)
    expected = advance(Euler(1 / 12, reconstruction=reconstruction, cfl=0.9), line, dt)
    middle = after[0].movedim(1 + axis, 1)[:, :, 2, 2]
    assert torch.equal(middle[[0, 1 + axis, 4]], expected[0])


@pytest.mark.parametrize("reconstruction", HIGH_ORDER)
def test_batching_changes_no_bit(reconstruction):
    """The samples need different numbers of substeps, have a gamma each, and one is idle."""
    y = random_quadrants(4, 12, torch.Generator().manual_seed(1))
    y[1, -1] *= 10
    gamma = torch.tensor([1.2, 1.4, 5 / 3, 1.4])
    t, dt = torch.zeros(4), torch.tensor([0.06, 0.06, 0.02, 0.0])
    counts = []
    together = Euler(1 / 12, gamma=gamma, reconstruction=reconstruction)(t, dt, y)
    for k in range(4):
        one = slice(k, k + 1)
        alone = Euler(1 / 12, gamma=gamma[one], reconstruction=reconstruction)(t[one], dt[one], y[one])
        counts.append(int(alone.evaluations))
        assert torch.equal(alone.y, together.y[one])
    assert torch.equal(together.y[3], y[3])
    assert counts[3] == 0 and len(set(counts)) == 4
    assert together.evaluations.tolist() == counts


def test_a_frame_is_split_into_substeps_within_the_cfl_limit():
    y = smooth_state(1, 3, 32)
    stepper = Euler(1 / 32)
    limit = stepper.cfl_dt(y)
    speed = (y[:, 1].abs() + torch.sqrt(1.4 * y[:, 2] / y[:, 0])).max()
    torch.testing.assert_close(limit, 0.4 / 32 / speed[None])
    t = torch.zeros(1, dtype=torch.float64)
    assert stepper(t, limit, y).evaluations == 3
    assert stepper(t, 1.5 * limit, y).evaluations == 6
    frame = stepper(t, 0.1 + 0 * t, y)
    assert frame.evaluations >= 3 * 0.9 * float(0.1 / limit)
    fine = advance(Euler(1 / 32, cfl=0.1), y, 0.1)
    torch.testing.assert_close(frame.y, fine, rtol=0, atol=2e-4)


def test_solve_rolls_frames_out():
    y = random_quadrants(2, 16, torch.Generator().manual_seed(2))
    ts = torch.linspace(0, 0.3, 4)
    solution = solve(Euler(1 / 16), y, ts, FixedStep(0.1))
    assert solution.ys.shape == (2, 4, 4, 16, 16) and solution.ys.dtype == torch.float32
    torch.testing.assert_close(total(solution.ys[:, -1]), total(y), rtol=1e-5, atol=1e-5)


def test_the_vector_field_steps_like_the_stepper():
    y = smooth_state(2, 4, 10, 10)
    stepper, field = Euler(0.1), RungeKutta(EulerEquations(0.1), SSPRK3)
    t = torch.zeros(2, dtype=torch.float64)
    dt = stepper.cfl_dt(y)
    expected = to_primitive(field(t, dt, to_conserved(y, 1.4)).y, 1.4)
    torch.testing.assert_close(stepper(t, dt, y).y, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("reconstruction", "flux"), [(MUSCL(van_leer), hllc), (MUSCL(mc), rusanov), (WENO5(), hllc)])
def test_gradients_of_a_step_with_respect_to_state_dt_and_gamma(reconstruction, flux):
    """In smooth flow, over two and three substeps."""
    y = smooth_state(2, 3, 6).requires_grad_()
    gamma = torch.tensor([1.3, 1.5], dtype=torch.float64, requires_grad=True)
    dt = torch.tensor([0.06, 0.1], dtype=torch.float64, requires_grad=True)

    def step(y, dt, gamma):
        return Euler(1 / 6, gamma=gamma, reconstruction=reconstruction, flux=flux)(torch.zeros(2), dt, y)

    assert int(step(y, dt, gamma).evaluations.min()) >= 3
    assert torch.autograd.gradcheck(lambda *a: step(*a).y, (y, dt, gamma), eps=1e-7, atol=2e-5, fast_mode=True)


def test_gradients_through_shocks_are_finite():
    y = random_quadrants(1, 12, torch.Generator().manual_seed(3)).requires_grad_()
    advance(Euler(1 / 12, boundary=outflow), y, 0.1).square().sum().backward()
    assert y.grad.isfinite().all() and y.grad.abs().max() > 0


def test_gradients_through_a_repeated_substep_are_finite():
    """WENO5 overshoots below zero in the blast, not in the quiet sample beside it."""
    left = torch.tensor([[1, 0, 1e4], [1, 0, 1]], dtype=torch.float64)
    right = torch.tensor([[1, 0, 1e-4], [1, 0, 0.9]], dtype=torch.float64)
    y = shock_tube(left, right, 24).requires_grad_()
    stepper = Euler(1 / 24, boundary=outflow, reconstruction=WENO5())
    dt = torch.tensor([1e-3, 1e-2], dtype=torch.float64)
    step = stepper(torch.zeros(2), dt, y)
    with torch.no_grad():
        plain = stepper(torch.zeros(2), dt, y)
    assert int(plain.evaluations[0]) > int(plain.evaluations[1])  # a substep of the blast was repeated
    assert torch.equal(step.y, plain.y)
    step.y.square().sum().backward()
    assert y.grad.isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("reconstruction", HIGH_ORDER)
def test_a_gpu_gives_what_the_cpu_gives(reconstruction):
    y = kelvin_helmholtz(2, 32, torch.Generator().manual_seed(0), dtype=torch.float64)
    stepper = Euler(1 / 32, boundary=[periodic, wall], reconstruction=reconstruction)
    torch.testing.assert_close(advance(stepper, y.cuda(), 0.1).cpu(), advance(stepper, y, 0.1), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("value", [-0.1, 0.0, math.nan, math.inf])
@pytest.mark.parametrize("channel", [0, -1])
def test_an_unphysical_sample_is_named(value, channel):
    y = smooth_state(3, 3, 8)
    y[1, channel, 4] = value
    t = torch.zeros(3)
    with pytest.raises(ValueError, match=r"sample 1 with density.*to_primitive"):
        Euler(0.1)(t, t + 0.1, y)
    idle = Euler(0.1)(t, torch.tensor([0.1, 0.0, 0.1]), y).y
    assert torch.equal(idle[1], y[1]) or math.isnan(value)


def test_misuse_is_refused():
    y, t = smooth_state(2, 4, 8, 8), torch.zeros(2)
    with pytest.raises(ValueError, match=r"batch, 2 \+ axes, \*space.*got \(2, 3, 8, 8\)"):
        Euler(0.1)(t, t + 0.1, y[:, :3])
    with pytest.raises(ValueError, match="backwards"):
        Euler(0.1)(t, t - 0.1, y)
    with pytest.raises(ValueError, match="each of 2 axes"):
        Euler([0.1, 0.1, 0.1])(t, t + 0.1, y)
    with pytest.raises(ValueError, match="boundary for each of 2 axes"):
        Euler(0.1, boundary=[wall])(t, t + 0.1, y)
    with pytest.raises(ValueError, match="gamma a float or of shape"):
        Euler(0.1, gamma=torch.full((3,), 1.4))(t, t + 0.1, y)
    for arguments in ({"spacing": 0.0}, {"spacing": 0.1, "gamma": 1.0}, {"spacing": 0.1, "cfl": 0.0}):
        with pytest.raises(ValueError, match="Expected"):
            Euler(**arguments)


@pytest.mark.parametrize("number", LAX_LIU)
def test_lax_and_lius_quadrants_meet_in_single_waves(number):
    """What defines the configurations: each of the four interfaces is one shock, rarefaction or contact."""
    states = torch.tensor(LAX_LIU[number].states, dtype=torch.float64)
    for low, high, normal in ((1, 0, 1), (2, 3, 1), (2, 1, 2), (3, 0, 2)):
        line = [0, normal, 3]
        star = exact_riemann(states[low, line][None], states[high, line][None])
        ends = states[[low, high], 3]
        assert (star.pressure - ends).abs().min() < 1e-3
        velocities = states[[low, high], normal]
        assert (star.velocity - velocities).abs().min() < 1e-3


def test_quadrants_lie_as_counted():
    y = configuration(3, 6, cells=8)
    for k, corner in enumerate(((-1, -1), (0, -1), (0, 0), (-1, 0))):
        torch.testing.assert_close(y[0, :, corner[0], corner[1]], torch.tensor(LAX_LIU[3].states[k]))
    with pytest.raises(ValueError, match=r"among \[1, 2, 3"):
        configuration(99, cells=8)


@pytest.mark.parametrize("make", RANDOM_STATES)
def test_random_states_are_physical_reproducible_and_independent_of_the_batch(make):
    first = make(2, 16, torch.Generator().manual_seed(5))
    again = make(1, 16, torch.Generator().manual_seed(5))
    assert first.shape == (2, 4, 16, 16) and first.dtype == torch.float32
    assert torch.equal(first[:1], again)
    assert not torch.equal(first[0], first[1])
    after = advance(Euler(1 / 16), first, 0.05)
    assert is_physical(after).all() and after.dtype == torch.float32


def test_gaussian_vortices_are_free_of_divergence():
    y = gaussian_vortices(1, 32, torch.Generator().manual_seed(0), dtype=torch.float64)
    k = 2j * math.pi * torch.fft.fftfreq(32, 1 / 32, dtype=torch.float64)
    k[16] = 0  # the Nyquist mode has no derivative
    u, v = torch.fft.fft2(y[:, 1]), torch.fft.fft2(y[:, 2])
    divergence = torch.fft.ifft2(k[:, None] * u + k[None, :] * v).real
    vorticity = torch.fft.ifft2(k[:, None] * v - k[None, :] * u).real
    assert divergence.abs().max() < 1e-6 * vorticity.abs().max()
