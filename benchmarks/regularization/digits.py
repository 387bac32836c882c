"""Handwritten digits by a neural ODE whose state is the image (Pal et al.'s MNIST experiment at 8 x 8 pixels)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from sciml.operators.neural_ode import NeuralODEClassifier
from sciml.solvers.pid import PIDController
from sciml.solvers.regularization import global_error, global_stiffness, local_error, mean_of_steps, random_end

from .task import Method, Problem

# In double precision: at this tolerance the local penalty's short step errs by rounding alone in single precision.
DTYPE = torch.float64
METHODS = (
    Method("vanilla"),
    Method("global error", lambda stepper, solution: global_error(stepper, solution, reduce=mean_of_steps), 5.0),
    Method("global stiffness", global_stiffness, 0.02),
    Method("local unbiased", local_error, 1e6),
    Method("local biased", lambda stepper, solution: local_error(stepper, solution, biased=True), 1e6),
    Method("local, kept length", lambda stepper, solution: local_error(stepper, solution, kept_length=True), 5.0),
    Method("TayNODE", taylor=2, weight=0.01),
    Method("STEER", times=lambda ts: random_end(ts, 0.5)),
)


@dataclass
class Digits:
    """1347 images to train on, 450 to test on; the split is the same for all seeds."""

    name = "digits"
    score = "test accuracy (higher is better)"
    methods = METHODS
    iterations: int = 500
    tolerance: float = 1e-6
    hidden: int = 64
    batch: int = 128
    learning_rate: float = 5e-3

    def __post_init__(self) -> None:
        data = load_digits()
        order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
        images, labels = torch.tensor(data.data / 16, dtype=DTYPE)[order], torch.tensor(data.target)[order]
        self.test, self.train = (images[:450], labels[:450]), (images[450:], labels[450:])
        self.controller = PIDController(rtol=self.tolerance, atol=self.tolerance)

    def settings(self) -> dict[str, object]:
        return asdict(self)

    def model(self) -> nn.Module:
        return NeuralODEClassifier(64, 10, hidden=self.hidden, controller=self.controller).to(DTYPE)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.learning_rate)

    def training_problem(self, model: nn.Module, iteration: int) -> Problem:
        chosen = torch.randint(len(self.train[1]), (self.batch,))
        return self._problem(model, self.train[0][chosen], self.train[1][chosen])

    def prediction_problem(self, model: nn.Module) -> Problem:
        return self._problem(model, self.test[0][:256], self.test[1][:256])

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        images, labels = self.test
        return float((model(images).argmax(dim=1) == labels).double().mean())

    def _problem(self, model: nn.Module, images: Tensor, labels: Tensor) -> Problem:
        return Problem(
            stepper=model.stepper,
            y0=images,
            ts=torch.tensor([0.0, 1.0], dtype=DTYPE),
            loss=lambda ys: F.cross_entropy(model.head(ys[:, -1]), labels),
            vector_field=model.field,
        )
