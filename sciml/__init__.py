"""sciml: steppers, solvers and learned operators for scientific machine learning.

A numerical scheme and a learned operator are the same kind of thing, a stepper ``(t, dt, y) -> Step``, and one
``solve`` loop drives both. The names below are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .checkpoint import load_operator as load_operator
    from .checkpoint import save_operator as save_operator
    from .datasets import Trajectories as Trajectories
    from .datasets import open_dataset as open_dataset
    from .history import History as History
    from .normalization import Normalization as Normalization
    from .operators import FNO as FNO
    from .operators import LinearDMD as LinearDMD
    from .operators import Persistence as Persistence
    from .operators import Poseidon as Poseidon
    from .operators import UNet as UNet
    from .solvers import TSIT5 as TSIT5
    from .solvers import FixedStep as FixedStep
    from .solvers import PIDController as PIDController
    from .solvers import RungeKutta as RungeKutta
    from .solvers import StepDoubling as StepDoubling
    from .solvers import solve as solve
    from .training import FitSettings as FitSettings
    from .training.fit import fit as fit

_HOMES = {
    "checkpoint": ("load_operator", "save_operator"),
    "datasets": ("Trajectories", "open_dataset"),
    "history": ("History",),
    "normalization": ("Normalization",),
    "operators": ("FNO", "LinearDMD", "Persistence", "Poseidon", "UNet"),
    "solvers": ("TSIT5", "FixedStep", "PIDController", "RungeKutta", "StepDoubling", "solve"),
    "training": ("FitSettings", "fit"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sciml' has no attribute {name!r}")
    return getattr(import_module(f"sciml.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
