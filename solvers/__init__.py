"""Numerical schemes, step size control and the one time loop."""

from .controller import Control, FixedStep, StepSizeController
from .exponential import ETDRK2, ETDRK4, IFRK4, ExponentialRungeKutta
from .pid import PIDController
from .runge_kutta import RungeKutta
from .solution import KeptSteps, Solution, SolveError, Statistics, Status
from .solve import solve
from .state import State, max_norm, rms_norm
from .step_doubling import StepDoubling
from .stepper import Interpolant, Step, Stepper
from .tableau import RK4, SSPRK3, TSIT5, ButcherTableau

__all__ = [
    "ETDRK2",
    "ETDRK4",
    "IFRK4",
    "RK4",
    "SSPRK3",
    "TSIT5",
    "ButcherTableau",
    "Control",
    "ExponentialRungeKutta",
    "FixedStep",
    "Interpolant",
    "KeptSteps",
    "PIDController",
    "RungeKutta",
    "Solution",
    "SolveError",
    "State",
    "Statistics",
    "Status",
    "Step",
    "StepDoubling",
    "StepSizeController",
    "Stepper",
    "max_norm",
    "rms_norm",
    "solve",
]
