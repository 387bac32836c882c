"""The exact Riemann solution against published values and jump conditions; the fluxes against what defines them."""

import pytest
import torch

from sciml.solvers.equations.euler_initial import TORO, states_of
from sciml.solvers.ideal_gas import physical_flux, to_conserved, to_primitive
from sciml.solvers.riemann import exact_riemann, hllc, rusanov

FLUXES = (hllc, rusanov)


def states(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def random_states(count, channels, seed=0):
    """Primitive states with density and pressure over several decades."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(count, channels, 1, generator=generator, dtype=torch.float64)
    draws[:, 1:-1] = 4 * draws[:, 1:-1] - 2
    draws[:, [0, -1]] = 10 ** (4 * draws[:, [0, -1]] - 2)
    return draws


def test_star_values_are_those_of_toros_tables():
    """Table 4.3 (2009): pressure, velocity and the densities beside the contact, to the digits printed."""
    solution = exact_riemann(*states_of(*TORO, dtype=torch.float64))
    pressure = states(0.30313, 0.00189, 460.894, 46.0950, 1691.64)
    velocity = states(0.92745, 0.0, 19.5975, -6.19633, 8.68975)
    torch.testing.assert_close(solution.pressure, pressure, rtol=1e-5, atol=5e-6)
    torch.testing.assert_close(solution.velocity, velocity, rtol=1e-5, atol=1e-12)
    beside = solution.velocity[:, None] + states(-1e-9, 1e-9)
    density = states([0.42632, 0.26557], [0.02185, 0.02185], [0.57506, 5.99924], [5.99242, 0.57511], [14.2823, 31.0426])
    torch.testing.assert_close(solution.sample(beside)[:, 0], density, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("gamma", [1.01, 1.4, 5 / 3, 3.0])
def test_the_sampled_solution_conserves(gamma):
    """Over [-s, s], beyond all waves, the integral at t = 1 is the initial one minus the flux through the ends."""
    left, right = random_states(10, 3)[..., 0], random_states(10, 3, seed=1)[..., 0]
    left[:, [0, 2]], right[:, [0, 2]] = left[:, [0, 2]] ** 0.5, right[:, [0, 2]] ** 0.5
    left, right = torch.cat([left, states([1, -3, 0.1])]), torch.cat([right, states([2, 3, 0.2])])
    solution = exact_riemann(left, right, gamma)
    assert bool(solution.vacuum[-1]) == (gamma > 1.1)
    reach, cells = 30.0, 100_000
    faces = torch.linspace(-reach, reach, cells + 1, dtype=torch.float64)
    profile = solution.sample(0.5 * (faces[1:] + faces[:-1]))
    kinetic = 0.5 * profile[:, :1] * profile[:, 1:2] ** 2
    conserved = torch.cat(
        [profile[:, :1], profile[:, :1] * profile[:, 1:2], profile[:, 2:] / (gamma - 1) + kinetic], dim=1
    )
    total = conserved.sum(dim=2) * (2 * reach / cells)
    flux = [physical_flux(side[:, :, None], gamma, 0)[:, :, 0] for side in (left, right)]
    before = [to_conserved(side[:, :, None], gamma)[:, :, 0] for side in (left, right)]
    expected = reach * (before[0] + before[1]) + flux[0] - flux[1]
    scale = conserved.abs().sum(dim=2) * (2 * reach / cells)
    assert ((total - expected).abs() / scale.clamp(min=1e-3)).max() < 5e-4


def test_a_near_vacuum_is_solved_and_a_vacuum_reported():
    escape = 2 * 1.4**0.5 / 0.4  # of a gas of density and pressure 1
    gap = torch.tensor([1 - 1e-6, 1 - 1e-3, 1 + 1e-9, 2.0], dtype=torch.float64)
    left = torch.stack([torch.ones(4), -escape * gap, torch.ones(4)], dim=1).double()
    solution = exact_riemann(left, left * states(1, -1, 1))
    assert solution.vacuum.tolist() == [False, False, True, True]
    # By symmetry the gas at rest in the middle kept its Riemann invariant: c* = c (1 - gap).
    torch.testing.assert_close(solution.pressure[:2], (1 - gap[:2]) ** 7, rtol=1e-7, atol=0)
    assert solution.velocity[2:].isnan().all() and (solution.pressure[2:] == 0).all()
    middle = solution.sample(torch.zeros(1, dtype=torch.float64))
    assert (middle[2:, [0, 2]] == 0).all() and middle.isfinite().all()


def test_gas_beside_a_vacuum_expands_at_its_escape_speed():
    gas, nothing = states([1, 0.5, 1]), states([0, 0, 0])
    edge = 0.5 + 2 * 1.4**0.5 / 0.4
    xi = torch.tensor([-5.0, edge - 1e-2, edge + 1e-2], dtype=torch.float64)
    right_empty = exact_riemann(gas, nothing).sample(xi)[0]
    torch.testing.assert_close(right_empty[:, 0], gas[0])
    assert 0 < right_empty[0, 1] < 1e-6 and right_empty[0, 2] == 0
    mirror = states(1, -1, 1)
    left_empty = exact_riemann(nothing, gas * mirror).sample(-xi)[0]
    torch.testing.assert_close(left_empty[[0, 2]], right_empty[[0, 2]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_jumps_converge(dtype):
    """The root of the pressure function is met from 1e-6 to 1e6 in both pressure and density ratio."""
    ratio = 10 ** torch.linspace(-6, 6, 13, dtype=dtype)
    p, rho = (part.flatten() for part in torch.meshgrid(ratio, ratio, indexing="ij"))
    left = torch.stack([torch.ones_like(p), torch.zeros_like(p), torch.ones_like(p)], dim=1)
    right = torch.stack([rho, torch.full_like(p, -3.0), p], dim=1)
    solution = exact_riemann(left, right)
    assert solution.pressure.dtype == dtype
    accurate = exact_riemann(left.double(), right.double()).pressure
    torch.testing.assert_close(solution.pressure.double(), accurate, rtol=2e4 * torch.finfo(dtype).eps, atol=0)


def test_a_shock_satisfies_the_jump_conditions():
    """Rankine-Hugoniot into gas at rest (1, 0, 1): velocity^2 = (p - 1) (1 - 1 / density), the momentum condition."""
    p = 10 ** torch.linspace(0, 6, 7, dtype=torch.float64)
    still = torch.ones_like(p)
    solution = exact_riemann(torch.stack([still, 0 * p, 10 * p], dim=1), states([1, 0, 1]).expand(7, 3))
    density = solution.sample(solution.velocity[:, None] + 1e-6)[:, 0, 0]
    expected = (solution.pressure - 1) * (1 - 1 / density)
    torch.testing.assert_close(solution.velocity**2, expected, rtol=1e-10, atol=0)


def test_the_star_pressure_has_the_roots_gradient():
    left = states([1, 0.2, 1], [1, -2, 0.4], [1, 0, 1]).requires_grad_()
    right = states([0.125, 0, 0.1], [1, 2, 0.4], [1, -1, 2]).requires_grad_()
    gamma = states(1.4, 1.5, 1.6).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *a: (exact_riemann(*a).pressure, exact_riemann(*a).velocity), (left, right, gamma)
    )


def test_batching_leaves_every_solution_as_it_is():
    left, right = states_of(*TORO, dtype=torch.float64)
    gamma = torch.linspace(1.2, 2.0, 5, dtype=torch.float64)
    together = exact_riemann(left, right, gamma)
    for k in range(5):
        alone = exact_riemann(left[k : k + 1], right[k : k + 1], gamma[k : k + 1])
        assert torch.equal(alone.pressure, together.pressure[k : k + 1])


def test_a_negative_pressure_is_refused():
    with pytest.raises(ValueError, match=r"right finite.*sample 1"):
        exact_riemann(states([1, 0, 1], [1, 0, 1]), states([1, 0, 1], [1, 0, -1]))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_conserved_and_primitive_variables_are_inverse(axes):
    w = random_states(50, axes + 2)
    gamma = torch.linspace(1.1, 2, 50, dtype=torch.float64)
    torch.testing.assert_close(to_primitive(to_conserved(w, gamma), gamma), w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("flux", FLUXES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_equal_states_give_the_physical_flux(flux, axis):
    w = random_states(50, 5).expand(-1, -1, 1)
    torch.testing.assert_close(flux(w, w, 1.4, axis), physical_flux(w, 1.4, axis), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("flux", FLUXES)
def test_mirrored_states_give_the_mirrored_flux(flux):
    left, right = random_states(50, 4), random_states(50, 4, seed=1)
    flip = states(1, -1, 1, 1)[:, None]
    there, back = flux(left, right, 1.4, 0), flux(right * flip, left * flip, 1.4, 0)
    torch.testing.assert_close(back, -there * flip, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_hllc_is_exact_for_an_isolated_contact_or_shock(shift):
    solution = exact_riemann(states([1, 0, 1000]), states([1, 0, 0.01]))
    behind, ahead = solution.sample(solution.velocity[:, None] + 1e-6)[..., :1], states([1, 0, 0.01])[..., None]
    left = torch.cat([behind, states([[1.0], [2.0], [3.0]])])
    right = torch.cat([ahead, states([[7.0], [2.0], [3.0]])])
    frame = states(0, shift, 0)[:, None]
    speed = (behind[:, 0] * behind[:, 1] / (behind[:, 0] - ahead[:, 0]))[0, 0]  # of the shock, by mass conservation
    front = torch.stack([speed, left.new_tensor(2.0)])[:, None, None] + shift
    expected = torch.where(front > 0, physical_flux(left + frame, 1.4, 0), physical_flux(right + frame, 1.4, 0))
    torch.testing.assert_close(hllc(left + frame, right + frame, 1.4, 0), expected, rtol=1e-6, atol=1e-6)
