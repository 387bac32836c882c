"""Training: ``fit(operator, train, epochs=30)``."""

from .fit import fit
from .grouped import GroupedRelativeLoss
from .groups import ParameterGroup, ParameterGroups
from .interrupt import TrainingInterrupted
from .log import EpochRecord
from .loss import mean_absolute, mean_square, relative_l1, relative_l2
from .mixture import Mixture
from .poseidon import Frozen, PoseidonGroups, freeze_latent
from .problem import TrainingError
from .recipes import finetuning, pretraining, scratch
from .result import FitResult
from .schedule import Constant, Cosine, StepDecay, Warmup
from .settings import FitSettings

__all__ = [
    "Constant",
    "Cosine",
    "EpochRecord",
    "FitResult",
    "FitSettings",
    "Frozen",
    "GroupedRelativeLoss",
    "Mixture",
    "ParameterGroup",
    "ParameterGroups",
    "PoseidonGroups",
    "StepDecay",
    "TrainingError",
    "TrainingInterrupted",
    "Warmup",
    "finetuning",
    "fit",
    "freeze_latent",
    "mean_absolute",
    "mean_square",
    "pretraining",
    "relative_l1",
    "relative_l2",
    "scratch",
]
