"""Transfers: weights sum to one, affine fields survive, and the native kernels are those of torch for any threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sciml.kernels.material_point import native
from sciml.kernels.material_point.contact import ADHERING_SLIP, NO_SLIP, SLIP, STICKY, Contact, Walls
from sciml.kernels.material_point.lattice import Lattice, outside
from sciml.kernels.material_point.nodes import node_velocity
from sciml.kernels.material_point.transfer import Cloud, Transfer

LATTICES = {2: Lattice((9, 12), 0.1, (-0.3, 0.2)), 3: Lattice((11, 7, 9), 0.1, (-0.3, 0.2, 1.0))}
needs_compiler = pytest.mark.skipif(not native.serves(torch.zeros(1)), reason="no C++ compiler here")
every_dim = pytest.mark.parametrize("dim", [2, 3])


def cloud(dim: int, dtype: torch.dtype = torch.float64, batch: int = 2, count: int = 75) -> tuple[Tensor, Cloud]:
    """Points all over the lattice."""
    drawn = torch.Generator().manual_seed(dim)
    lattice = LATTICES[dim]
    inside = torch.tensor(lattice.shape) - 2.001
    scaled = 0.5 + torch.rand(batch, count, dim, generator=drawn, dtype=torch.float64) * inside
    position = (scaled * lattice.spacing + torch.tensor(lattice.origin, dtype=torch.float64)).to(dtype)

    def normal(*axes: int) -> Tensor:
        return torch.randn(batch, count, *axes, generator=drawn, dtype=torch.float64).to(dtype)

    mass = torch.rand(batch, count, generator=drawn, dtype=torch.float64).to(dtype) + 0.1
    return position, Cloud(normal(dim), normal(dim, dim), normal(dim, dim), mass, 2 * mass)


@every_dim
def test_mass_and_momentum_arrive_in_full(dim: int) -> None:
    position, points = cloud(dim)
    nodes = Transfer(position, LATTICES[dim]).to_grid(points, torch.full((2,), 0.01, dtype=torch.float64))
    total = nodes.flatten(1, -2).sum(dim=1)
    torch.testing.assert_close(total[:, dim], points.mass.sum(dim=1))
    torch.testing.assert_close(total[:, :dim], (points.mass[..., None] * points.velocity).sum(dim=1))


@every_dim
@pytest.mark.parametrize("grad", [False, True])
def test_an_affine_velocity_field_is_read_exactly(dim: int, grad: bool) -> None:
    position, points = cloud(dim)
    lattice, slope = LATTICES[dim], torch.randn(dim, dim, dtype=torch.float64)
    velocity = lattice.points(dtype=torch.float64, device=position.device) @ slope.T + 1.0
    nodes = torch.cat([velocity, torch.ones_like(velocity[..., :1])], dim=-1).expand(2, *lattice.shape, dim + 1)
    transfer = Transfer(position, lattice)
    dt = torch.tensor([0.0, 1e-3], dtype=torch.float64)
    transfer.to_grid(points, dt)
    moved = transfer.to_points(nodes.clone().requires_grad_(grad), dt)
    expected = position @ slope.T + 1.0
    torch.testing.assert_close(moved.velocity, expected)
    torch.testing.assert_close(moved.gradient, slope.expand(*position.shape, dim))
    torch.testing.assert_close(moved.position, position + dt[:, None, None] * expected)
    torch.testing.assert_close(moved.fastest, expected.norm(dim=-1).amax(dim=1))


CONTACTS = [SLIP, NO_SLIP, STICKY, ADHERING_SLIP, Contact(friction=0.3), None]


def step(dim: int, dtype: torch.dtype, contact: Contact | None, *, torch_only: bool) -> list[Tensor]:
    """Nodes, their velocities, and what the points take from them."""
    position, points = cloud(dim, dtype)
    if torch_only:
        position = position.requires_grad_()
    lattice, dt = LATTICES[dim], torch.tensor([0.01, 0.02], dtype=dtype)
    transfer = Transfer(position, lattice)
    nodes = transfer.to_grid(points, dt)
    before = nodes.detach().clone()
    kick = torch.tensor([[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]], dtype=dtype)[:, :dim]
    walls = Walls.of([contact, (SLIP, contact), (None, contact)][:dim], dim, 3)
    velocity = node_velocity(nodes, kick, walls, lattice, mass_floor=1e-3)
    moved = transfer.to_points(velocity, dt, margin=1.0)
    return [part.detach() for part in (before, velocity[..., :dim], *moved[:4])]


@needs_compiler
@every_dim
@pytest.mark.parametrize("contact", CONTACTS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-4)])
def test_native_kernels_are_those_of_torch(
    dim: int, contact: Contact | None, dtype: torch.dtype, tolerance: float
) -> None:
    found, expected = (step(dim, dtype, contact, torch_only=torch_only) for torch_only in (False, True))
    filled = expected[0][..., -1:] > 0
    expected[1] = torch.where(filled, expected[1], torch.zeros_like(expected[1]))
    found[1] = torch.where(filled, found[1], torch.zeros_like(found[1]))
    for got, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(got, exact, rtol=tolerance, atol=tolerance * float(exact.abs().max()))


@needs_compiler
@every_dim
def test_sums_are_the_same_for_any_number_of_threads_and_batches(dim: int) -> None:
    threads, outcomes = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            outcomes.append(step(dim, torch.float32, SLIP, torch_only=False))
    finally:
        torch.set_num_threads(threads)
    for other in outcomes[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outcomes[0], other))
    position, points = cloud(dim, torch.float32)
    dt = torch.full((2,), 0.01)
    together = Transfer(position, LATTICES[dim]).to_grid(points, dt)
    for k in range(2):
        alone = Transfer(position[k : k + 1], LATTICES[dim]).to_grid(Cloud(*(p[k : k + 1] for p in points)), dt[:1])
        assert torch.equal(alone[0], together[k])


@every_dim
def test_lost_points_are_seen_and_write_nowhere(dim: int) -> None:
    position, points = cloud(dim)
    lattice = LATTICES[dim]
    position[0, 3] = torch.nan
    position[1, 4, 0] = 1e30
    position[1, 5, -1] = -5.0
    expected = torch.zeros(2, position.shape[1], dtype=torch.bool)
    expected[0, 3] = expected[1, 4] = expected[1, 5] = True
    assert torch.equal(outside(position, lattice), expected)
    dt = torch.zeros(2, dtype=torch.float64)
    transfer = Transfer(position, lattice)
    nodes = transfer.to_grid(points, dt)
    assert nodes.shape == (2, *lattice.shape, dim + 1)
    assert bool(transfer.to_points(nodes, dt).lost)


def test_contacts_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="friction >= 0"):
        Contact(friction=-1.0)
    with pytest.raises(ValueError, match="separating=True"):
        Contact(friction=0.5, separating=False)
    with pytest.raises(ValueError, match="each of 3 axes"):
        Walls.of([SLIP, SLIP], 3, 3)
