"""Constitutive laws: stress is the derivative of the energy, flow returns to yield, gradients are right."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.kernels.material_point import native
from sciml.solvers.material_point import (
    DruckerPrager,
    FixedCorotated,
    Fluid,
    Hencky,
    HerschelBulkley,
    NeoHookean,
    Solid,
    StVenantKirchhoff,
    Volumetric,
    VonMises,
    jelly,
    plasticine,
    sand,
    stiffness_for,
    water,
)
from sciml.solvers.material_point.isotropic import isotropic

LAWS = [FixedCorotated, NeoHookean, StVenantKirchhoff, Hencky, Volumetric]
FLOWS: list[Any] = [VonMises(3.0), DruckerPrager(30.0), DruckerPrager(30.0, 0.02), HerschelBulkley(2.0, 3.0)]
FLOWS += [HerschelBulkley(2.0, 3.0, 0.4), HerschelBulkley(2.0, 3.0, 2.5)]
every_law = pytest.mark.parametrize("law", LAWS)
every_dim = pytest.mark.parametrize("dim", [2, 3])


def deformations(dim: int, count: int = 40, spread: float = 0.3, seed: int = 0) -> Tensor:
    """(1, count, d, d) of positive determinant, the first the identity, the second a multiple of it."""
    drawn = torch.Generator().manual_seed(seed)
    found = torch.eye(dim, dtype=torch.float64) + spread * torch.randn(
        count, dim, dim, generator=drawn, dtype=torch.float64
    )
    found = found[torch.linalg.det(found) > 0.1]
    found[0], found[1] = torch.eye(dim), 1.2 * torch.eye(dim)
    return found[None]


@every_law
@every_dim
def test_stress_is_the_derivative_of_the_energy(law: Any, dim: int) -> None:
    elasticity, deformation = law(100.0, 0.3), deformations(dim).requires_grad_()
    (piola,) = torch.autograd.grad(elasticity.energy(deformation).sum(), deformation)
    torch.testing.assert_close(elasticity.kirchhoff(deformation), piola @ deformation.mT, rtol=1e-9, atol=1e-10)


@every_law
@every_dim
def test_principal_stresses_are_those_of_a_diagonal_deformation(law: Any, dim: int) -> None:
    elasticity = law(100.0, 0.3)
    stretches = 0.5 + torch.rand(1, 30, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tau = elasticity.kirchhoff(torch.diag_embed(stretches))
    torch.testing.assert_close(tau, torch.diag_embed(elasticity.principal(stretches) * stretches))


@every_law
@every_dim
def test_small_strains_are_linear_elasticity(law: Any, dim: int) -> None:
    elasticity = law(100.0, 0.3)
    strain = 1e-6 * torch.randn(1, 20, dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    strain = (strain + strain.mT) / 2
    mu, la = elasticity.lame()
    eye = torch.eye(dim, dtype=torch.float64)
    expected = 2 * mu * strain + la * strain.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] * eye
    torch.testing.assert_close(elasticity.kirchhoff(eye + strain), expected, rtol=1e-3, atol=1e-9)


@every_dim
def test_isotropic_functions_have_the_gradient_of_finite_differences(dim: int) -> None:
    deformation = deformations(dim, 8).requires_grad_()  # the identity among them: all stretches agree

    def function(matrix: Tensor) -> Tensor:
        cube, log = isotropic(matrix, lambda s: s**3 + s.sum(-1, keepdim=True), lambda s: s.log() * s.prod(-1, True))
        return cube + log

    assert torch.autograd.gradcheck(function, deformation, atol=1e-5)


def test_the_identity_as_an_isotropic_function_has_the_identity_as_gradient() -> None:
    matrix = torch.eye(3, dtype=torch.float64)[None, None].requires_grad_()
    weights = torch.randn(3, 3, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((isotropic(matrix, lambda s: s)[0] * weights).sum(), matrix)
    torch.testing.assert_close(gradient[0, 0], weights)


@pytest.mark.parametrize("flow", FLOWS)
@every_dim
def test_deformation_has_the_gradient_of_finite_differences(flow: Any, dim: int) -> None:
    material = Solid(Hencky(100.0, 0.3), flow)
    gradient = 0.3 * torch.randn(1, 6, dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    dt = torch.tensor([0.1], dtype=torch.float64)

    def function(deformation: Tensor, velocity_gradient: Tensor) -> Tensor:
        new = material.deform(deformation, velocity_gradient, dt)
        return torch.cat([new.deformation, new.stress / 100])

    inputs = (deformations(dim, 20, seed=5)[:, 2:8].requires_grad_(), gradient.requires_grad_())
    assert torch.autograd.gradcheck(function, inputs, atol=1e-4)


def deviator(tau: Tensor) -> Tensor:
    """Norms of the deviatoric part."""
    trace = tau.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return (tau - trace * torch.eye(tau.shape[-1], dtype=tau.dtype)).flatten(-2).norm(dim=-1)


@every_dim
def test_von_mises_bounds_the_deviatoric_stress_and_keeps_the_volume(dim: int) -> None:
    material, deformation = Solid(Hencky(100.0, 0.3), VonMises(3.0)), deformations(dim)
    new = material.deform(deformation, torch.zeros_like(deformation), torch.ones(1, dtype=torch.float64))
    assert deviator(new.stress).max() <= 3 * (1 + 1e-12)
    torch.testing.assert_close(torch.linalg.det(new.deformation), torch.linalg.det(deformation))
    again = material.deform(new.deformation, torch.zeros_like(deformation), torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(again.deformation, new.deformation)


@every_dim
def test_sand_bears_no_tension_and_shear_in_proportion_to_pressure(dim: int) -> None:
    flow = DruckerPrager(30.0)
    material, deformation = Solid(Hencky(100.0, 0.2), flow), deformations(dim, 200)
    tau = material.deform(deformation, torch.zeros_like(deformation), torch.ones(1, dtype=torch.float64)).stress
    trace = tau.diagonal(dim1=-2, dim2=-1).sum(-1)
    assert trace.max() < 1e-9
    mu, la = material.elasticity.lame()
    bound = -float(flow.slope()) * trace * float((dim * la + 2 * mu) / (dim * la + 2 * mu))
    assert (deviator(tau) <= bound * (1 + 1e-9) + 1e-9).all()


@pytest.mark.parametrize("exponent", [0.4, 1.0, 2.5])
def test_viscoplastic_flow_solves_its_equation_and_relaxes_to_yield(exponent: float) -> None:
    material = Solid(Hencky(100.0, 0.3), HerschelBulkley(2.0, 3.0, exponent))
    start = deformations(3)
    still = torch.zeros_like(start)
    trial = deviator(material.stress(start, still))
    bound, dt = math.sqrt(2 / 3) * 2.0, 0.02
    after = deviator(material.deform(start, still, torch.tensor([dt], dtype=torch.float64)).stress)
    flowing = trial > bound
    assert flowing.sum() > 20
    shear = material.elasticity.lame().shear * start.square().sum((-2, -1)) / 3
    expected = after + 2 * shear * dt * ((after - bound).clamp_min(0) / 3.0) ** (1 / exponent)
    torch.testing.assert_close(expected[flowing], trial[flowing], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(after[~flowing], trial[~flowing])
    relaxed = deviator(material.deform(start, still, torch.tensor([1e12], dtype=torch.float64)).stress)
    torch.testing.assert_close(relaxed[flowing], torch.full_like(relaxed[flowing], bound), rtol=0.05, atol=0)


@every_dim
def test_a_fluid_has_the_pressure_of_tait_and_newtonian_friction(dim: int) -> None:
    fluid = Fluid(50.0, gamma=7.0, viscosity=0.3, deviatoric=True)
    volume = torch.tensor([[0.98, 1.0, 1.01]], dtype=torch.float64)
    deformation = volume[..., None, None] ** (1 / dim) * torch.eye(dim, dtype=torch.float64)
    rate = torch.randn(1, 3, dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cauchy = fluid.stress(deformation, rate) / volume[..., None, None]
    mean = cauchy.diagonal(dim1=-2, dim2=-1).mean(-1)
    torch.testing.assert_close(mean, -50.0 * (volume**-7 - 1))
    shear = cauchy - mean[..., None, None] * torch.eye(dim, dtype=torch.float64)
    symmetric = rate + rate.mT
    trace = symmetric.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    torch.testing.assert_close(shear, 0.3 * (symmetric - trace * torch.eye(dim, dtype=torch.float64)))
    assert stiffness_for(2.0, density=1000.0) == pytest.approx(1000 * 400 / 7)


MATERIALS = {
    "jelly": jelly,
    "plasticine": plasticine,
    "sand": sand,
    "water": water,
    "neo-Hookean": lambda: Solid(NeoHookean(1e5, 0.3)),
    "Green": lambda: Solid(StVenantKirchhoff(1e5, 0.3)),
    "Hencky": lambda: Solid(Hencky(1e5, 0.3)),
    "pressure": lambda: Solid(Volumetric(1e5, 0.3)),
    "pressure von Mises": lambda: Solid(Volumetric(1e5, 0.3), VonMises(2e3)),
    "neo-Hookean von Mises": lambda: Solid(NeoHookean(1e5, 0.3), VonMises(2e3)),
    "Green sand": lambda: Solid(StVenantKirchhoff(1e5, 0.3), DruckerPrager(20.0, 0.01)),
    "corotated sand": lambda: Solid(FixedCorotated(1e5, 0.3), DruckerPrager(20.0)),
    "Bingham": lambda: Solid(Hencky(1e5, 0.3), HerschelBulkley(1e3, 100.0)),
    "thinning": lambda: Solid(Hencky(1e5, 0.3), HerschelBulkley(1e3, 100.0, 0.5)),
    "thickening": lambda: Solid(Hencky(1e5, 0.3), HerschelBulkley(1e3, 100.0, 3.0)),
    "fluid": lambda: Fluid(1e5, viscosity=2.0),
    "deviatoric fluid": lambda: Fluid(1e5, gamma=1.1, viscosity=2.0, deviatoric=True),
}
needs_compiler = pytest.mark.skipif(not native.serves(torch.zeros(1)), reason="no C++ compiler here")


@needs_compiler
@pytest.mark.parametrize("name", MATERIALS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@every_dim
def test_native_materials_are_those_of_torch(name: str, dtype: torch.dtype, tolerance: float, dim: int) -> None:
    material: Any = MATERIALS[name]()
    deformation = deformations(dim, 77, spread=0.2).to(dtype)
    rate = torch.randn(deformation.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(dtype)
    dt = torch.full((1,), 1e-2, dtype=dtype)
    found = material.deform(deformation, rate, dt)
    expected = material.deform_reference(deformation, rate, dt)
    torch.testing.assert_close(found.deformation, expected.deformation, rtol=tolerance, atol=tolerance)
    scale = float(expected.stress.abs().max())
    torch.testing.assert_close(found.stress / scale, expected.stress / scale, rtol=0, atol=tolerance)
    stress, again = material.stress(deformation, rate), material.stress(deformation.clone().requires_grad_(), rate)
    torch.testing.assert_close(stress / scale, again.detach() / scale, rtol=0, atol=tolerance)


@needs_compiler
def test_native_materials_take_parameters_per_sample_and_see_them_change() -> None:
    young = torch.tensor([[1e5], [2e5]], dtype=torch.float64)
    material = Solid(NeoHookean(young, 0.3))
    deformation = deformations(3).expand(2, -1, -1, -1)
    dt, still = torch.ones(2, dtype=torch.float64), torch.zeros_like(deformation)
    before = material.deform(deformation, still, dt).stress
    torch.testing.assert_close(before[1], 2 * before[0])
    material.elasticity.young.mul_(3)
    torch.testing.assert_close(material.deform(deformation, still, dt).stress, 3 * before)


def test_parameters_per_point_and_learned_ones_work() -> None:
    deformation = deformations(2)
    young = torch.linspace(1e5, 2e5, deformation.shape[1], dtype=torch.float64)
    dt, still = torch.ones(1, dtype=torch.float64), torch.zeros_like(deformation)
    varied = Solid(NeoHookean(young, 0.3)).deform(deformation, still, dt).stress
    single = Solid(NeoHookean(1.0, 0.3)).deform(deformation, still, dt).stress
    torch.testing.assert_close(varied, young[:, None, None] * single)
    learned = torch.nn.Parameter(torch.tensor(1e5, dtype=torch.float64))
    loss = Solid(Hencky(learned, 0.3), VonMises(1e3)).deform(deformation, still, dt).stress.square().sum()
    assert torch.autograd.grad(loss, learned)[0].abs() > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FixedCorotated(-1.0, 0.3), "young > 0"),
        (lambda: NeoHookean(1.0, 0.5), "poisson < 0.5"),
        (lambda: VonMises(0.0), "yield_stress > 0"),
        (lambda: DruckerPrager(95.0), "friction_angle"),
        (lambda: HerschelBulkley(1.0, 0.0), "viscosity > 0"),
        (lambda: Fluid(0.0), "bulk_modulus > 0"),
        (lambda: Fluid(1.0, viscosity=-1.0), "viscosity >= 0"),
        (lambda: Solid(Hencky(1.0, 0.3), density=0.0), "density > 0"),
        (lambda: Solid(Hencky(1.0, 0.3), VonMises(1.0), volume_only=True), "no plasticity"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
