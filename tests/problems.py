"""Closed-form problems, and the one list of all steppers that every sweep goes over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.solvers import RungeKutta, StepDoubling, Stepper
from sciml.solvers.adams import Adams
from sciml.solvers.extrapolation import extrapolated_midpoint
from sciml.solvers.implicit.collocation import Collocation
from sciml.solvers.implicit.imex import IMEX
from sciml.solvers.implicit.rosenbrock import Rosenbrock
from sciml.solvers.implicit.rosenbrock_tableau import RosenbrockTableau
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableau import AdditiveTableau, CollocationTableau, ImplicitTableau
from sciml.solvers.implicit.tableaus.gauss import GAUSS4, GAUSS6
from sciml.solvers.implicit.tableaus.implicit_euler import IMPLICIT_EULER
from sciml.solvers.implicit.tableaus.implicit_midpoint import IMPLICIT_MIDPOINT
from sciml.solvers.implicit.tableaus.kencarp3 import KENCARP3
from sciml.solvers.implicit.tableaus.kencarp4 import KENCARP4
from sciml.solvers.implicit.tableaus.kencarp5 import KENCARP5
from sciml.solvers.implicit.tableaus.kvaerno3 import KVAERNO3
from sciml.solvers.implicit.tableaus.kvaerno4 import KVAERNO4
from sciml.solvers.implicit.tableaus.kvaerno5 import KVAERNO5
from sciml.solvers.implicit.tableaus.radau import RADAU_IIA3, RADAU_IIA5
from sciml.solvers.implicit.tableaus.rodas4 import RODAS4
from sciml.solvers.implicit.tableaus.rodas5p import RODAS5P
from sciml.solvers.implicit.tableaus.rosenbrock23 import ROSENBROCK23
from sciml.solvers.implicit.tableaus.sdirk2 import SDIRK2
from sciml.solvers.implicit.tableaus.trapezoid import TRAPEZOID
from sciml.solvers.implicit.tableaus.trbdf2 import TRBDF2
from sciml.solvers.reversible import AsynchronousLeapfrog, Reversible, ReversibleHeun
from sciml.solvers.state import map_state
from sciml.solvers.tableau import ButcherTableau
from sciml.solvers.tableaus import (
    BOSH3,
    DOPRI5,
    DOPRI8,
    EULER,
    FEHLBERG2,
    HEUN,
    HEUN3,
    MIDPOINT,
    RALSTON,
    RK4,
    RK38,
    SSPRK3,
    TSIT5,
    VERN7,
    VERN9,
)

VectorField = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """An initial value problem with its solution.

    Attributes:
        field: the vector field, for states (batch, dimension).
        exact: the state at times t (batch,), as a function of t and y0 at time 0.
        y0: (batch, dimension), float64 or complex128.
        end: final time.
    """

    name: str
    field: VectorField
    exact: Callable[[Tensor, Tensor], Tensor]
    y0: Tensor
    end: float


def _rotation(t: Tensor, y0: Tensor) -> Tensor:
    cos, sin = torch.cos(t)[..., None], torch.sin(t)[..., None]
    return torch.cat([y0[..., :1] * cos + y0[..., 1:] * sin, y0[..., 1:] * cos - y0[..., :1] * sin], dim=-1)


ROTATION = Problem(
    name="rotation",
    field=lambda t, y: torch.stack([y[:, 1], -y[:, 0]], dim=1),
    exact=_rotation,
    y0=torch.tensor([[1.0, 0.0], [0.3, -2.0], [0.0, 0.7]], dtype=torch.float64),
    end=3.0,
)
# Each sample grows at its own time-dependent rate: non-autonomous, and clocks must not be mixed up.
MODULATED = Problem(
    name="modulated",
    field=lambda t, y: y * torch.cos(t)[:, None],
    exact=lambda t, y0: y0 * torch.exp(torch.sin(t))[..., None],
    y0=torch.tensor([[1.0, 2.0], [-0.5, 1.0], [0.1, 0.0]], dtype=torch.float64),
    end=3.0,
)
LOGISTIC = Problem(
    name="logistic",
    field=lambda t, y: y * (1 - y),
    exact=lambda t, y0: y0 / (y0 + (1 - y0) * torch.exp(-t)[..., None]),
    y0=torch.tensor([[0.1], [0.5], [1.7]], dtype=torch.float64),
    end=3.0,
)
COMPLEX = Problem(
    name="complex",
    field=lambda t, y: 1j * y,
    exact=lambda t, y0: y0 * torch.exp(1j * t)[..., None],
    y0=torch.tensor([[1.0 + 0j], [0.3 - 1j]], dtype=torch.complex128),
    end=3.0,
)
PROBLEMS = (ROTATION, MODULATED, LOGISTIC, COMPLEX)


@dataclass(frozen=True)
class Case:
    """A stepper over any vector field; its declared order is read off the stepper.

    Attributes:
        finer: how many times shorter than usual the steps must be for its order to show: a second state of the scheme
            may err by a higher power of dt with a large coefficient.
        optimism: how many times the error may exceed what the error estimate promises.
    """

    name: str
    build: Callable[[VectorField], Stepper]
    finer: int = 1
    optimism: float = 1.0


def _explicit(tableau: ButcherTableau) -> Case:
    # Fehlberg2 estimates the error of its first-order solution, whose leading coefficient is made tiny (1/512).
    optimism = 20.0 if tableau is FEHLBERG2 else 1.0
    return Case(tableau.name, lambda field: RungeKutta(field, tableau), optimism=optimism)


def _implicit(tableau: ImplicitTableau) -> Case:
    # These estimates have no margin: to leading order they are the error of the carried solution itself, and its errors
    # add up. Kvaerno5 takes steps so long that its two solutions err alike.
    optimism = {"ImplicitEuler": 2.0, "Trapezoid": 1.5, "TRBDF2": 1.5, "Kvaerno5": 5.0}.get(tableau.name, 1.0)
    finer = 2 if tableau is KVAERNO4 else 1
    return Case(tableau.name, lambda field: ImplicitRungeKutta(field, tableau), finer=finer, optimism=optimism)


def _collocation(tableau: CollocationTableau) -> Case:
    return Case(tableau.name, lambda field: Collocation(field, tableau))


def _rosenbrock(tableau: RosenbrockTableau) -> Case:
    finer, optimism = (1, 1.5) if tableau is ROSENBROCK23 else (2, 1.0)
    return Case(tableau.name, lambda field: Rosenbrock(field, tableau), finer=finer, optimism=optimism)


def _imex(tableau: AdditiveTableau) -> Case:
    """A third of the field is stepped explicitly."""

    def build(field: VectorField) -> Stepper:
        def part(share: float) -> VectorField:
            return lambda t, y: map_state(lambda slope: share * slope, field(t, y))

        return IMEX(part(1 / 3), part(2 / 3), tableau)

    return Case(f"IMEX {tableau.implicit.name}", build, finer=4, optimism=4.0)  # the pair's two errors are much alike


IMPLICIT = (
    IMPLICIT_EULER,
    IMPLICIT_MIDPOINT,
    TRAPEZOID,
    SDIRK2,
    TRBDF2,
    KVAERNO3,
    KVAERNO4,
    KVAERNO5,
)
EXPLICIT = (
    RK4,
    RK38,
    EULER,
    HEUN,
    MIDPOINT,
    RALSTON,
    FEHLBERG2,
    HEUN3,
    SSPRK3,
    BOSH3,
    TSIT5,
    DOPRI5,
    VERN7,
    VERN9,
    DOPRI8,
)
STEPPERS = (
    *(_explicit(tableau) for tableau in EXPLICIT),
    Case("extrapolated midpoint 6", lambda field: RungeKutta(field, extrapolated_midpoint(3))),
    Case("Adams-Bashforth 4", lambda field: Adams(field, 4, corrections=0)),
    Case("Adams-Bashforth-Moulton 4", lambda field: Adams(field, 4)),
    Case("Adams-Bashforth-Moulton 3, iterated", lambda field: Adams(field, 3, corrections=2)),
    Case("asynchronous leapfrog", AsynchronousLeapfrog),
    Case("reversible Heun", ReversibleHeun, finer=8),
    Case("Reversible(RK4)", lambda field: Reversible(RungeKutta(field, RK4))),
    Case("Reversible(Tsit5)", lambda field: Reversible(RungeKutta(field, TSIT5))),
    Case("StepDoubling(RK4)", lambda field: StepDoubling(RungeKutta(field, RK4))),
    Case("StepDoubling(SSPRK3)", lambda field: StepDoubling(RungeKutta(field, SSPRK3))),
    *(_implicit(tableau) for tableau in IMPLICIT),
    *(_collocation(tableau) for tableau in (RADAU_IIA3, RADAU_IIA5, GAUSS4, GAUSS6)),
    *(_rosenbrock(tableau) for tableau in (ROSENBROCK23, RODAS4, RODAS5P)),
    *(_imex(tableau) for tableau in (KENCARP3, KENCARP4, KENCARP5)),
)
ADAPTIVE = tuple(case for case in STEPPERS if getattr(case.build(lambda t, y: y), "error_order", None) is not None)
DENSE = tuple(case for case in STEPPERS if getattr(case.build(lambda t, y: y), "dense_order", None) is not None)
