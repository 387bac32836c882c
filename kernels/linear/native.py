"""The C++ twins: calls of stencil.cpp, rows.cpp and solve.cpp; for multigrid of coarsening.cpp to cycles.cpp."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from ctypes import CDLL, c_int, c_int64, c_void_p
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..native import integers, load, pointer
from .coarsening import coarser_shapes
from .goal import Goal
from .matrix import Matrix
from .rows import RowPattern, Rows
from .stencil import Stencil

_NAMES = ("stencil.cpp", "rows.cpp", "solve.cpp", "coarsening.cpp", "multigrid.cpp", "cycles.cpp")
_SOURCES = tuple(Path(__file__).with_name(name) for name in _NAMES)
_TYPES = {torch.float32: "float", torch.float64: "double"}
_MOST = 2**31 - 1  # entries of rows, which are counted in 32 bits
_APPLY, _RESIDUAL, _FORWARD, _BACKWARD, _PRECONDITION = range(5)


def serves(matrix: Matrix, *fields: Tensor, colours: bool = False) -> bool:
    """Whether the native kernels can take these: stencils or rows on the CPU, in float32 or float64."""
    if not isinstance(matrix, Stencil | Rows) or matrix.dtype not in _TYPES:
        return False
    if (colours or isinstance(matrix, Rows)) and _entries(matrix) > _MOST:
        return False
    if any(not x.is_cpu or x.dtype != matrix.dtype for x in (matrix.values, *fields)):
        return False
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    return _library() is not None


def sweep(matrix: Matrix, b: Tensor, x: Tensor, omega: Tensor, *, backward: bool, colours: bool, times: int) -> Tensor:
    """``sweeps.sweep``."""
    x = x.contiguous().clone()
    _act(_BACKWARD if backward else _FORWARD, matrix, b, x, omega, colours, times)
    return x


def product(matrix: Matrix, x: Tensor) -> Tensor:
    """``products.product``."""
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    _act(_APPLY, matrix, x, y, torch.ones(len(x)), False, 1)
    return y


def residual(matrix: Matrix, b: Tensor, x: Tensor) -> Tensor:
    """``products.residual``."""
    r = x.contiguous().clone()
    _act(_RESIDUAL, matrix, b, r, torch.ones(len(x)), False, 1)
    return r


def precondition(matrix: Matrix, r: Tensor, omega: Tensor, *, colours: bool) -> Tensor:
    """``sweeps.precondition``."""
    z = torch.empty_like(r, memory_format=torch.contiguous_format)
    _act(_PRECONDITION, matrix, r, z, omega, colours, 1)
    return z


def solve(
    method: int, matrix: Matrix, b: Tensor, x: Tensor, omega: Tensor, goal: Goal, limit: int, *, colours: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``loops.solve_systems``."""
    x, b = x.contiguous().clone(), b.contiguous()
    omega, goals = omega.double().contiguous(), torch.stack([goal.rtol, goal.atol]).double()
    count = len(b)
    iterations, status = (torch.empty(count, dtype=torch.int64) for _ in range(2))
    residual = torch.empty(count, dtype=torch.float64)
    name, arguments, kept = _described(matrix, colours)
    getattr(_library(), f"solve_{name}")(
        *arguments, c_int64(method), c_int64(count), pointer(b), pointer(x), pointer(omega), pointer(goals),
        c_int64(goal.initial), c_int64(limit), pointer(iterations), pointer(status), pointer(residual),
        c_int(torch.get_num_threads()),
    )  # fmt: skip
    del kept
    return x, iterations, residual, status


class Hierarchy:
    """``multigrid.Hierarchy``, and whole solves by it."""

    def __init__(self, matrix: Stencil, before: int, after: int, lag: Sequence[int] | None = None) -> None:
        name, arguments, self._kept = _stencil(matrix)
        self._form = (c_int64(before), c_int64(after))
        self._type = name.removeprefix("stencil_")
        make = self._function("new")
        make.restype = c_void_p
        shapes = coarser_shapes(matrix.shape, matrix.periodic, lag or [0] * len(matrix.shape))
        sizes = integers(*(n for shape in shapes for n in ((1,) * (3 - len(shape)) + shape)))
        self._handle = c_void_p(
            make(*arguments, c_int64(len(shapes)), sizes, c_int64(matrix.samples), c_int(torch.get_num_threads()))
        )
        weakref.finalize(self, self._function("delete"), self._handle)

    def cycle(self, r: Tensor, omega: Tensor) -> Tensor:
        """``multigrid.Hierarchy.cycle``."""
        r, omega = r.contiguous(), omega.double().contiguous()
        z = torch.empty_like(r)
        self._function("cycle")(
            self._handle, *self._form, c_int64(len(r)), pointer(r), pointer(z), pointer(omega),
            c_int(torch.get_num_threads()),
        )  # fmt: skip
        return z

    def solve(
        self, b: Tensor, x: Tensor, omega: Tensor, goal: Goal, limit: int, *, gradients: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x, iterations, residuals and status after V-cycles, or after conjugate gradients preconditioned by one."""
        x, b, omega = x.contiguous().clone(), b.contiguous(), omega.double().contiguous()
        goals, count = torch.stack([goal.rtol, goal.atol]).double(), len(b)
        iterations, status = (torch.empty(count, dtype=torch.int64) for _ in range(2))
        residual = torch.empty(count, dtype=torch.float64)
        self._function("solve")(
            self._handle, *self._form, c_int64(gradients), c_int64(count), pointer(b), pointer(x), pointer(omega),
            pointer(goals), c_int64(goal.initial), c_int64(limit), pointer(iterations), pointer(status),
            pointer(residual), c_int(torch.get_num_threads()),
        )  # fmt: skip
        return x, iterations, residual, status

    def _function(self, name: str) -> Any:
        return getattr(_library(), f"multigrid_{name}_{self._type}")


def _act(what: int, matrix: Matrix, b: Tensor, x: Tensor, omega: Tensor, colours: bool, times: int) -> None:
    b, omega = b.contiguous(), omega.double().contiguous()
    name, arguments, kept = _described(matrix, colours)
    getattr(_library(), f"act_{name}")(
        *arguments, c_int64(what), c_int64(len(b)), pointer(b), pointer(x), pointer(omega), c_int64(times),
        c_int(torch.get_num_threads()),
    )  # fmt: skip
    del kept


def _described(matrix: Matrix, colours: bool) -> tuple[str, list[Any], list[Tensor]]:
    """The name of the functions, their first arguments, and the tensors that these point into."""
    if isinstance(matrix, Stencil) and not colours:
        return _stencil(matrix)
    return _rows(matrix, colours)


def _stencil(matrix: Stencil) -> tuple[str, list[Any], list[Tensor]]:
    values, diagonal = matrix.values.detach().contiguous(), matrix.diagonal.detach().contiguous()
    form = _form(matrix.shape, matrix.periodic, matrix.offsets, values.shape, diagonal.shape)
    return f"stencil_{_TYPES[matrix.dtype]}", [form, pointer(values), pointer(diagonal)], [values, diagonal]


@lru_cache(maxsize=256)
def _form(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    offsets: tuple[tuple[int, ...], ...],
    values: torch.Size,
    diagonal: torch.Size,
) -> Any:
    """What ``Stencils`` of solve.cpp reads."""
    lead = 3 - len(shape)
    varies, uneven = values[2:].numel() > 1, diagonal[1:].numel() > 1
    along, down = (0 if size[0] == 1 else size[1:].numel() for size in (values, diagonal))
    steps = [step for offset in offsets for step in ((0,) * lead + offset)]
    return integers(*(1,) * lead, *shape, *(0,) * lead, *periodic, len(offsets), varies, uneven, along, down, *steps)


def _rows(matrix: Matrix, colours: bool) -> tuple[str, list[Any], list[Tensor]]:
    rows = matrix if isinstance(matrix, Rows) else Rows.from_couplings(matrix.couplings())
    values, structure = rows.values.detach().contiguous(), _structure(rows.pattern, colours)
    form = integers(rows.shape[0], 0 if len(values) == 1 else values.shape[1], colours)
    return f"rows_{_TYPES[matrix.dtype]}", [form, pointer(values), pointer(structure)], [values, structure]


@lru_cache(maxsize=64)
def _structure(pattern: RowPattern, colours: bool) -> Tensor:
    """As solve.cpp has it: in 32 bits, since sweeps read as much of it as they do of the values."""
    parts = [pattern.begin, pattern.column, pattern.diagonal]
    if colours:
        order = pattern.table[0].colours.order
        parts += [order, order.argsort()]
    return torch.cat(parts).int()


def _entries(matrix: Stencil | Rows) -> int:
    """Of a sample by rows, at most."""
    if isinstance(matrix, Rows):
        return len(matrix.pattern.column)
    return torch.Size(matrix.shape).numel() * (len(matrix.offsets) + 1)


@cache
def _library() -> CDLL | None:
    return load(*_SOURCES)
