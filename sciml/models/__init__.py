"""Models that contain a solve: from features or observed series to labels, values and likelihoods."""

from .latent_ode import LatentODE
from .latent_sde import LatentSDE
from .neural_cde import NeuralCDE
from .neural_ode import NeuralODEClassifier

__all__ = ["LatentODE", "LatentSDE", "NeuralCDE", "NeuralODEClassifier"]
