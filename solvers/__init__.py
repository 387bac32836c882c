"""Numerical schemes, step size control, gradients, and the one time loop."""

from .adams import Adams
from .adjoint.backsolve import Backsolve
from .adjoint.checkpoint import RecursiveCheckpoint
from .adjoint.direct import Direct
from .adjoint.interpolated import Interpolated
from .adjoint.reversible import ReversibleAdjoint
from .adjoint.steady_state import steady_state
from .arguments import PerSample
from .constraint import Constrained, Constraint
from .controlled.cde import ControlledField
from .controller import Control, FixedStep, StepSizeController
from .dense import DenseSolution
from .divergence_free import DivergenceFree
from .event import Event
from .exponential import ETDRK2, ETDRK4, IFRK4, ExponentialRungeKutta
from .implicit.collocation import Collocation
from .implicit.imex import IMEX
from .implicit.krylov import GMRES
from .implicit.newton import Newton
from .implicit.rosenbrock import Rosenbrock
from .implicit.runge_kutta import ImplicitRungeKutta
from .implicit.tableaus import (
    GAUSS4,
    GAUSS6,
    IMPLICIT_EULER,
    IMPLICIT_MIDPOINT,
    KENCARP3,
    KENCARP4,
    KENCARP5,
    KVAERNO3,
    KVAERNO4,
    KVAERNO5,
    RADAU_IIA3,
    RADAU_IIA5,
    RODAS4,
    RODAS5P,
    ROSENBROCK23,
    SDIRK2,
    TRAPEZOID,
    TRBDF2,
)
from .pid import PIDController
from .regularization.global_error import global_error, global_stiffness
from .regularization.local_error import local_error, local_stiffness
from .reversible import AsynchronousLeapfrog, Reversible, ReversibleHeun
from .runge_kutta import RungeKutta
from .solution import Events, KeptSteps, Solution, SolveError, Statistics, Status
from .solve import solve
from .state import State, max_norm, rms_norm
from .step_doubling import StepDoubling
from .stepper import Interpolant, Step, Stepper
from .stiffness import StiffnessWarning
from .stochastic.brownian import BrownianPath
from .stochastic.log_ratio import LogRatio
from .stochastic.reversible_heun import ReversibleHeunSDE
from .stochastic.schemes import (
    EULER_HEUN,
    EULER_MARUYAMA,
    MILSTEIN,
    SOSRA,
    SOSRI,
    SRA1,
    SRIW1,
    STOCHASTIC_HEUN,
    STOCHASTIC_MIDPOINT,
)
from .stochastic.sde import SDE, Calculus, Noise
from .stochastic.sde_stepper import SDEStepper
from .stops import Stops
from .symplectic import BLANES_MOAN4, SYMPLECTIC_EULER, VELOCITY_VERLET, YOSHIDA4, SeparableField, Symplectic
from .tableau import ButcherTableau
from .tableaus import BOSH3, DOPRI5, DOPRI8, EULER, HEUN, MIDPOINT, RALSTON, RK4, RK38, SSPRK3, TSIT5, VERN7, VERN9

__all__ = [
    "BLANES_MOAN4",
    "BOSH3",
    "DOPRI5",
    "DOPRI8",
    "ETDRK2",
    "ETDRK4",
    "EULER",
    "EULER_HEUN",
    "EULER_MARUYAMA",
    "GAUSS4",
    "GAUSS6",
    "GMRES",
    "HEUN",
    "IFRK4",
    "IMEX",
    "IMPLICIT_EULER",
    "IMPLICIT_MIDPOINT",
    "KENCARP3",
    "KENCARP4",
    "KENCARP5",
    "KVAERNO3",
    "KVAERNO4",
    "KVAERNO5",
    "MIDPOINT",
    "MILSTEIN",
    "RADAU_IIA3",
    "RADAU_IIA5",
    "RALSTON",
    "RK4",
    "RK38",
    "RODAS4",
    "RODAS5P",
    "ROSENBROCK23",
    "SDE",
    "SDIRK2",
    "SOSRA",
    "SOSRI",
    "SRA1",
    "SRIW1",
    "SSPRK3",
    "STOCHASTIC_HEUN",
    "STOCHASTIC_MIDPOINT",
    "SYMPLECTIC_EULER",
    "TRAPEZOID",
    "TRBDF2",
    "TSIT5",
    "VELOCITY_VERLET",
    "VERN7",
    "VERN9",
    "YOSHIDA4",
    "Adams",
    "AsynchronousLeapfrog",
    "Backsolve",
    "BrownianPath",
    "ButcherTableau",
    "Calculus",
    "Collocation",
    "Constrained",
    "Constraint",
    "Control",
    "ControlledField",
    "DenseSolution",
    "Direct",
    "DivergenceFree",
    "Event",
    "Events",
    "ExponentialRungeKutta",
    "FixedStep",
    "ImplicitRungeKutta",
    "Interpolant",
    "Interpolated",
    "KeptSteps",
    "LogRatio",
    "Newton",
    "Noise",
    "PIDController",
    "PerSample",
    "RecursiveCheckpoint",
    "Reversible",
    "ReversibleAdjoint",
    "ReversibleHeun",
    "ReversibleHeunSDE",
    "Rosenbrock",
    "RungeKutta",
    "SDEStepper",
    "SeparableField",
    "Solution",
    "SolveError",
    "State",
    "Statistics",
    "Status",
    "Step",
    "StepDoubling",
    "StepSizeController",
    "Stepper",
    "StiffnessWarning",
    "Stops",
    "Symplectic",
    "global_error",
    "global_stiffness",
    "local_error",
    "local_stiffness",
    "max_norm",
    "rms_norm",
    "solve",
    "steady_state",
]
