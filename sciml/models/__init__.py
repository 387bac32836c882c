"""Models that contain a solve: from features or observed series to labels, values and likelihoods."""

from .latent_ode import LatentODE
from .latent_sde import LatentSDE
from .neural_cde import NeuralCDE
from .neural_ode import NeuralODEClassifier
from .ode_rnn import ODERNN

__all__ = ["ODERNN", "LatentODE", "LatentSDE", "NeuralCDE", "NeuralODEClassifier"]
