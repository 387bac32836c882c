"""Schemes for SDEs: pass one to ``SDEStepper``."""

from .euler_heun import EULER_HEUN
from .euler_maruyama import EULER_MARUYAMA
from .heun import STOCHASTIC_HEUN
from .midpoint import STOCHASTIC_MIDPOINT
from .milstein import MILSTEIN, MILSTEIN_PLATEN
from .sra import SOSRA, SRA1
from .sri import SOSRI, SOSRI2, SRIW1

__all__ = [
    "EULER_HEUN",
    "EULER_MARUYAMA",
    "MILSTEIN",
    "MILSTEIN_PLATEN",
    "SOSRA",
    "SOSRI",
    "SOSRI2",
    "SRA1",
    "SRIW1",
    "STOCHASTIC_HEUN",
    "STOCHASTIC_MIDPOINT",
]
