"""Training: ``fit(operator, train, epochs=30)``."""

from .fit import fit
from .interrupt import TrainingInterrupted
from .log import EpochRecord
from .loss import mean_absolute, mean_square, relative_l1, relative_l2
from .problem import TrainingError
from .result import FitResult
from .schedule import Constant, Cosine, StepDecay
from .settings import FitSettings

__all__ = [
    "Constant",
    "Cosine",
    "EpochRecord",
    "FitResult",
    "FitSettings",
    "StepDecay",
    "TrainingError",
    "TrainingInterrupted",
    "fit",
    "mean_absolute",
    "mean_square",
    "relative_l1",
    "relative_l2",
]
