"""The methods by the names that torchdiffeq gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from sciml.solvers.adams import Adams
from sciml.solvers.implicit.collocation import Collocation
from sciml.solvers.implicit.jacobian import Dense
from sciml.solvers.implicit.newton import Newton
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableau import CollocationTableau, ImplicitTableau
from sciml.solvers.implicit.tableaus.gauss import GAUSS4, GAUSS6
from sciml.solvers.implicit.tableaus.implicit_euler import IMPLICIT_EULER
from sciml.solvers.implicit.tableaus.implicit_midpoint import IMPLICIT_MIDPOINT
from sciml.solvers.implicit.tableaus.radau import RADAU_IIA3, RADAU_IIA5
from sciml.solvers.implicit.tableaus.sdirk2 import SDIRK2
from sciml.solvers.implicit.tableaus.trapezoid import TRAPEZOID
from sciml.solvers.implicit.tableaus.trbdf2 import TRBDF2
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.stepper import Stepper
from sciml.solvers.tableau import ButcherTableau
from sciml.solvers.tableaus import BOSH3, DOPRI5, DOPRI8, EULER, FEHLBERG2, HEUN, HEUN3, MIDPOINT, RK38, TSIT5

from .adaptive import Adaptive
from .callbacks import Announcer
from .errors import InputError
from .field import JointField
from .fixed_grid import FixedGrid
from .problem import Problem
from .run import Outcome
from .scipy_solver import SciPy


class Method(Protocol):
    """A way to integrate a problem; ``callbacks`` are the ones that it calls."""

    @property
    def name(self) -> str: ...

    @property
    def callbacks(self) -> tuple[str, ...]: ...

    def integrate(self, problem: Problem, options: dict[str, Any] | None, announcer: Announcer) -> Outcome: ...


def method_of(name: str | None) -> Method:
    """The method of that name, dopri5 for None.

    Raises:
        InputError: there is none.
    """
    name = "dopri5" if name is None else name
    if name not in METHODS:
        raise InputError(f'Invalid method "{name}". Must be one of {sorted(METHODS)}.')
    return METHODS[name]


def _explicit(name: str, tableau: ButcherTableau) -> FixedGrid:
    return FixedGrid(name, lambda field: RungeKutta(field, tableau))


def _implicit(tableau: ImplicitTableau | CollocationTableau) -> Callable[..., Stepper]:
    def build(field: JointField, max_iters: int = 100) -> Stepper:
        # The adjoint equation's slopes carry no graph to take a Jacobian from: there the iteration is a plain one.
        linear = Dense(_no_jacobian) if getattr(field.func, "opaque", False) else None
        newton = Newton(linear, max_iterations=max_iters)
        if isinstance(tableau, CollocationTableau):
            return Collocation(field, tableau, solver=newton)
        return ImplicitRungeKutta(field, tableau, solver=newton)

    return build


def _no_jacobian(t: Tensor, y: Tensor) -> Tensor:
    size = y[0].numel()
    return y.abs().new_zeros(len(y), size, size)


def _bashforth(field: JointField, max_order: int = 12, max_iters: int = 0) -> Stepper:
    # The peer's: with max_order slopes less one. Order 12 would amplify rounding in single precision.
    return Adams(field, max(_order(max_order) - 1, 1), corrections=0)


def _moulton(field: JointField, max_order: int = 12, max_iters: int = 2) -> Stepper:
    return Adams(field, max(_order(max_order), 2), corrections=max_iters)


def _order(most: int) -> int:
    if not 1 <= most <= 12:
        raise InputError(f"Expected 1 <= max_order <= 12, got {most}.")
    return int(most)


_ADAMS = ("max_order", "max_iters")
_TABLE: tuple[Method, ...] = (
    Adaptive("dopri8", DOPRI8),
    Adaptive("dopri5", DOPRI5),
    Adaptive("tsit5", TSIT5),
    Adaptive("bosh3", BOSH3),
    Adaptive("fehlberg2", FEHLBERG2),
    Adaptive("adaptive_heun", HEUN),
    _explicit("euler", EULER),
    _explicit("midpoint", MIDPOINT),
    _explicit("heun2", HEUN),
    _explicit("heun3", HEUN3),
    _explicit("rk4", RK38),
    FixedGrid("explicit_adams", _bashforth, _ADAMS),
    FixedGrid("implicit_adams", _moulton, _ADAMS),
    FixedGrid("fixed_adams", _moulton, _ADAMS),
    FixedGrid("implicit_euler", _implicit(IMPLICIT_EULER), ("max_iters",)),
    FixedGrid("implicit_midpoint", _implicit(IMPLICIT_MIDPOINT), ("max_iters",)),
    FixedGrid("trapezoid", _implicit(TRAPEZOID), ("max_iters",)),
    FixedGrid("radauIIA3", _implicit(RADAU_IIA3), ("max_iters",)),
    FixedGrid("gl4", _implicit(GAUSS4), ("max_iters",)),
    FixedGrid("radauIIA5", _implicit(RADAU_IIA5), ("max_iters",)),
    FixedGrid("gl6", _implicit(GAUSS6), ("max_iters",)),
    FixedGrid("sdirk2", _implicit(SDIRK2), ("max_iters",)),
    FixedGrid("trbdf2", _implicit(TRBDF2), ("max_iters",)),
    SciPy(),
)
METHODS: dict[str, Method] = {method.name: method for method in _TABLE}
