"""Implicit methods as data, one a file."""

from .gauss import GAUSS4, GAUSS6
from .implicit_euler import IMPLICIT_EULER
from .implicit_midpoint import IMPLICIT_MIDPOINT
from .kencarp3 import KENCARP3
from .kencarp4 import KENCARP4
from .kencarp5 import KENCARP5
from .kvaerno3 import KVAERNO3
from .kvaerno4 import KVAERNO4
from .kvaerno5 import KVAERNO5
from .radau import RADAU_IIA3, RADAU_IIA5
from .rodas4 import RODAS4
from .rodas5p import RODAS5P
from .rosenbrock23 import ROSENBROCK23
from .sdirk2 import SDIRK2
from .trapezoid import TRAPEZOID
from .trbdf2 import TRBDF2

__all__ = [
    "GAUSS4",
    "GAUSS6",
    "IMPLICIT_EULER",
    "IMPLICIT_MIDPOINT",
    "KENCARP3",
    "KENCARP4",
    "KENCARP5",
    "KVAERNO3",
    "KVAERNO4",
    "KVAERNO5",
    "RADAU_IIA3",
    "RADAU_IIA5",
    "RODAS4",
    "RODAS5P",
    "ROSENBROCK23",
    "SDIRK2",
    "TRAPEZOID",
    "TRBDF2",
]
