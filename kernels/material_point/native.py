"""The C++ twins: calls of points.cpp and materials.cpp."""

from __future__ import annotations

from ctypes import c_double, c_int, c_int64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..native import integers, load, numbers, pointer
from .lattice import Lattice

if TYPE_CHECKING:
    from .contact import Walls
    from .transfer import Cloud

_POINTS = Path(__file__).with_name("points.cpp")
_MATERIALS = Path(__file__).with_name("materials.cpp")
_CHANNELS = 4  # of a node, in 2D too
_TYPES = {torch.float32: "float", torch.float64: "double"}


class Order(NamedTuple):
    """Points in the order of the grid plane they start in: ``points`` (batch, node), and where each plane begins."""

    points: Tensor
    begins: Tensor


class Law(NamedTuple):
    """A material as materials.cpp knows it; see there for what the numbers mean.

    Attributes:
        elasticity: number of the law in materials.cpp.
        flow: position in ``FLOWS``.
        constants: mu, lambda and four numbers of the flow, (batch or 1, 6).
    """

    elasticity: int
    flow: int
    constants: Tensor


FLOWS = ("elastic", "von Mises", "Drucker-Prager", "Herschel-Bulkley", "volume only", "Newtonian")


def serves(*tensors: Tensor) -> bool:
    """Whether the native kernels can take these tensors: on the CPU, of one real dtype, without a gradient."""
    dtype, grad = tensors[0].dtype, torch.is_grad_enabled()
    if dtype not in _TYPES or torch.compiler.is_compiling():
        return False
    for tensor in tensors:
        if not tensor.is_cpu or tensor.dtype != dtype or (grad and tensor.requires_grad):
            return False
    if torch._C._functorch.peek_interpreter_stack() is not None:  # vmap, jvp: no data to point at
        return False
    return load(_POINTS) is not None and load(_MATERIALS) is not None


def sort(position: Tensor, lattice: Lattice) -> Order:
    """The order in which the other kernels visit the points."""
    position = position.contiguous()
    batch, count = position.shape[:2]
    order = Order(
        torch.empty(batch, count, dtype=torch.int32), torch.empty(batch * lattice.shape[0] + 1, dtype=torch.int64)
    )
    _points("sort", position, lattice)(
        pointer(position), c_int64(batch), c_int64(count), *_geometry(lattice), *map(pointer, order)
    )
    return order


def scatter(position: Tensor, cloud: Cloud, dt: Tensor, lattice: Lattice, order: Order) -> Tensor:
    """``Transfer.to_grid``."""
    position, dt = position.contiguous(), dt.contiguous()
    moving = [part.contiguous() for part in cloud[:3]]
    batch, count = position.shape[:2]
    nodes = position.new_empty(batch, *lattice.shape, _CHANNELS)
    shared = [part for value in cloud[3:] for part in (pointer(value), integers(*value.stride()))]
    _points("scatter", position, lattice)(
        pointer(position), *map(pointer, moving), *shared, pointer(dt), c_int64(batch), c_int64(count),
        *_geometry(lattice), *map(pointer, order), pointer(nodes), _threads(),
    )  # fmt: skip
    return nodes[..., : lattice.dim + 1]


def update_nodes(nodes: Tensor, kick: Tensor, walls: Walls, lattice: Lattice, mass_floor: float) -> Tensor:
    """``node_velocity``, in place."""
    nodes, kick = _padded(nodes), kick.contiguous()
    contacts = [contact for pair in walls.contacts for contact in pair]
    kinds = integers(*(0 if contact is None else 2 if contact.separating else 1 for contact in contacts))
    friction = numbers(*(0.0 if contact is None else contact.friction for contact in contacts))
    _points("nodes", nodes, lattice)(
        pointer(nodes), c_int64(len(nodes)), *_geometry(lattice), pointer(kick), c_double(mass_floor), kinds, friction,
        c_int64(walls.thickness), _threads(),
    )  # fmt: skip
    return nodes[..., : lattice.dim + 1]


def gather(
    position: Tensor, nodes: Tensor, dt: Tensor, margin: float | None, lattice: Lattice, order: Order
) -> tuple[Tensor, ...]:
    """The fields of ``Moved``."""
    position, nodes, dt = position.contiguous(), _padded(nodes), dt.contiguous()
    batch, count, dim = position.shape
    moved, velocity = torch.empty_like(position), torch.empty_like(position)
    gradient, fastest = position.new_empty(batch, count, dim, dim), position.new_empty(batch)
    lost = torch.zeros((), dtype=torch.int64)
    _points("gather", position, lattice)(
        pointer(position), pointer(nodes), c_int64(batch), c_int64(count), *_geometry(lattice), pointer(dt),
        pointer(order.points), c_double(-1.0 if margin is None else margin),
        *map(pointer, (moved, velocity, gradient, fastest, lost)), _threads(),
    )  # fmt: skip
    return moved, velocity, gradient, fastest, lost > 0


def deform(law: Law, deformation: Tensor, gradient: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
    """The new deformation gradients and their Kirchhoff stresses, each (batch, node, d, d)."""
    deformation, gradient, dt = deformation.contiguous(), gradient.contiguous(), dt.contiguous()
    batch, count, dim = deformation.shape[:3]
    constants = law.constants.to(dt.dtype).expand(batch, 6).contiguous()
    moved, stress = torch.empty_like(deformation), torch.empty_like(deformation)
    function = getattr(load(_MATERIALS), f"deform_{_TYPES[deformation.dtype]}{dim}")
    function(
        *map(pointer, (deformation, gradient, dt, constants)), c_int(law.elasticity), c_int(law.flow), c_int64(batch),
        c_int64(count), pointer(moved), pointer(stress), _threads(),
    )  # fmt: skip
    return moved, stress


def _padded(nodes: Tensor) -> Tensor:
    """Nodes with the four channels that the kernels want: the tensor that ``scatter`` gave a part of, or a copy."""
    batch, *shape, channels = nodes.shape
    strides = [_CHANNELS]
    for count in reversed(shape):
        strides.insert(0, strides[0] * count)
    if nodes.stride() == (*strides, 1) and nodes.storage_offset() == 0:
        return nodes.as_strided((batch, *shape, _CHANNELS), (*strides, 1))
    padded = nodes.new_zeros(batch, *shape, _CHANNELS)
    padded[..., :channels] = nodes
    return padded


def _points(name: str, like: Tensor, lattice: Lattice) -> Any:
    return getattr(load(_POINTS), f"{name}_{_TYPES[like.dtype]}{lattice.dim}")


@cache
def _geometry(lattice: Lattice) -> tuple[Any, Any]:
    return integers(*lattice.shape), numbers(lattice.spacing, *lattice.origin)


def _threads() -> c_int:
    return c_int(torch.get_num_threads())
