"""Numerical schemes, step size control and the one time loop."""

from .arguments import PerSample
from .controller import Control, FixedStep, StepSizeController
from .dense import DenseSolution
from .event import Event
from .exponential import ETDRK2, ETDRK4, IFRK4, ExponentialRungeKutta
from .loop import StiffnessWarning
from .pid import PIDController
from .runge_kutta import RungeKutta
from .solution import Events, KeptSteps, Solution, SolveError, Statistics, Status
from .solve import solve
from .state import State, max_norm, rms_norm
from .step_doubling import StepDoubling
from .stepper import Interpolant, Step, Stepper
from .stops import Stops
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
    "DenseSolution",
    "Event",
    "Events",
    "ExponentialRungeKutta",
    "FixedStep",
    "Interpolant",
    "KeptSteps",
    "PIDController",
    "PerSample",
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
    "StiffnessWarning",
    "Stops",
    "max_norm",
    "rms_norm",
    "solve",
]
