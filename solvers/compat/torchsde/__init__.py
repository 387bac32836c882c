"""The names, signatures and meanings of torchsde: existing code changes one import.

Solutions land on the output times instead of being interpolated there, the clock is double precision whatever ``ts``
is, and a Brownian motion is the same function of time whatever has been asked before.
"""

from . import settings
from .base import BaseBrownian
from .brownian import BrownianInterval
from .derived import BrownianPath, BrownianTree, ReverseBrownian, brownian_interval_like
from .equation import BaseSDE, SDEIto, SDEStratonovich
from .integrate import sdeint, sdeint_adjoint

__all__ = [
    "BaseBrownian",
    "BaseSDE",
    "BrownianInterval",
    "BrownianPath",
    "BrownianTree",
    "ReverseBrownian",
    "SDEIto",
    "SDEStratonovich",
    "brownian_interval_like",
    "sdeint",
    "sdeint_adjoint",
    "settings",
]
