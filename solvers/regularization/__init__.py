"""Penalties that make neural differential equations cheap to solve, and the baselines they are compared with.

- ``local_error``, ``local_stiffness``: of one fresh step at a random time (Pal et al., 2023), under any adjoint;
- ``global_error``, ``global_stiffness``: of every accepted step (Pal et al., 2021);
- ``TaylorEnergy``: the K-th time derivative along the solution, integrated (TayNODE);
- ``KineticEnergy``: the speed and the Jacobian's Frobenius norm, integrated;
- ``random_end``, ``jitter``: random integration times (STEER);
- ``ExponentialDecay``, ``KLWarmUp``: the papers' schedules of the penalty's weight.
"""

from .global_error import global_error, global_stiffness, max_of_steps, mean_of_steps, sum_of_steps
from .kinetic import KineticEnergy
from .local_error import local_error, local_stiffness
from .schedules import ExponentialDecay, KLWarmUp
from .steer import jitter, random_end
from .taynode import TaylorEnergy, time_derivative

__all__ = [
    "ExponentialDecay",
    "KLWarmUp",
    "KineticEnergy",
    "TaylorEnergy",
    "global_error",
    "global_stiffness",
    "jitter",
    "local_error",
    "local_stiffness",
    "max_of_steps",
    "mean_of_steps",
    "random_end",
    "sum_of_steps",
    "time_derivative",
]
