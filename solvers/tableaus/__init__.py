"""Explicit Runge-Kutta methods as data, one a file."""

from .bosh3 import BOSH3
from .dopri5 import DOPRI5
from .dopri8 import DOPRI8
from .euler import EULER
from .fehlberg2 import FEHLBERG2
from .heun import HEUN
from .heun3 import HEUN3
from .midpoint import MIDPOINT
from .ralston import RALSTON
from .rk4 import RK4
from .rk38 import RK38
from .ssprk3 import SSPRK3
from .tsit5 import TSIT5
from .vern7 import VERN7
from .vern9 import VERN9

__all__ = [
    "BOSH3",
    "DOPRI5",
    "DOPRI8",
    "EULER",
    "FEHLBERG2",
    "HEUN",
    "HEUN3",
    "MIDPOINT",
    "RALSTON",
    "RK4",
    "RK38",
    "SSPRK3",
    "TSIT5",
    "VERN7",
    "VERN9",
]
