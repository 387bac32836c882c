"""Images and signals told apart by a neural ODE whose state is the input (Pal et al.'s MNIST experiment, smaller).

``digits``: scikit-learn's handwritten digits, 8 x 8. A linear model tells most of them apart, so that strong penalties
cost no accuracy. ``signals``: MNIST-1D (S. Greydanus, "Scaling down deep learning", 2020), made by the package
``mnist1d`` (``pip install mnist1d==0.0.2.post1``), 40 points, of which a linear model gets a third right: here the flow
is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sciml.models.neural_ode import NeuralODEClassifier
from sciml.solvers.pid import PIDController
from sciml.solvers.regularization import global_error, global_stiffness, local_error, mean_of_steps, random_end

from .task import Method, Problem

# In single precision, at tolerances as tight as the papers', rounding would choose the steps and be what is penalised.
DTYPE = torch.float64


def methods(automatic: float, kept: float, stiffness: float, taylor: float) -> tuple[Method, ...]:
    """All methods.

    Args:
        automatic: weight of the error of steps of automatic length.
        kept: of that of the solve's own steps, whether one at random or all.
        stiffness: of the largest stiffness.
        taylor: of TayNODE's integral.
    """
    return (
        Method("vanilla"),
        Method("local unbiased", local_error, automatic),
        Method("local biased", lambda stepper, solution: local_error(stepper, solution, biased=True), automatic),
        Method("local, kept length", lambda stepper, solution: local_error(stepper, solution, kept_length=True), kept),
        Method("global error", lambda stepper, solution: global_error(stepper, solution, reduce=mean_of_steps), kept),
        Method("global stiffness", global_stiffness, stiffness),
        Method("TayNODE", taylor=2, weight=taylor),
        Method("STEER", times=lambda ts: random_end(ts, 0.5)),
    )


@dataclass(frozen=True)
class Split:
    """Inputs (batch, feature) and their classes, to train and to test on."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def digits() -> Split:
    """1347 images to train on, 450 to test on, the same for all seeds."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    images, labels = torch.tensor(data.data / 16, dtype=DTYPE)[order], torch.tensor(data.target)[order]
    return Split(train=(images[450:], labels[450:]), test=(images[:450], labels[:450]))


def signals() -> Split:
    """4000 signals to train on, 1000 to test on, as the package makes them from its own seed."""
    from mnist1d.data import make_dataset

    data = make_dataset()
    train, test = (torch.tensor(data[name], dtype=DTYPE) for name in ("x", "x_test"))
    return Split(train=(train, torch.tensor(data["y"])), test=(test, torch.tensor(data["y_test"])))


@dataclass
class Classification:
    """A data set and the training of a classifier on it."""

    name: str
    read: Callable[[], Split]
    iterations: int = 300
    hidden: int = 64
    tolerance: float = 1e-6
    batch: int = 128
    learning_rate: float = 5e-3
    decay = 0.4
    methods: tuple[Method, ...] = methods(automatic=50.0, kept=5.0, stiffness=0.15, taylor=0.5)
    title: str = "Neural ODE"
    score: str = "test accuracy (higher is better)"

    def __post_init__(self) -> None:
        self.data = self.read()
        self.controller = PIDController(rtol=self.tolerance, atol=self.tolerance)

    def settings(self) -> dict[str, object]:
        names = ("iterations", "hidden", "tolerance", "batch", "learning_rate")
        return {name: getattr(self, name) for name in names}

    def model(self) -> nn.Module:
        features = self.data.train[0].shape[1]
        return NeuralODEClassifier(features, 10, hidden=self.hidden, controller=self.controller).to(DTYPE)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.learning_rate)

    def training_problem(self, model: nn.Module, iteration: int) -> Problem:
        inputs, labels = self.data.train
        chosen = torch.randint(len(labels), (self.batch,))
        return self._problem(model, inputs[chosen], labels[chosen])

    def prediction_problem(self, model: nn.Module) -> Problem:
        inputs, labels = self.data.test
        return self._problem(model, inputs[:256], labels[:256])

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        inputs, labels = self.data.test
        return float((model(inputs).argmax(dim=1) == labels).double().mean())

    def _problem(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Problem:
        return Problem(
            stepper=model.stepper,
            y0=inputs,
            ts=torch.tensor([0.0, 1.0], dtype=DTYPE),
            loss=lambda ys: F.cross_entropy(model.head(ys[:, -1]), labels),
            vector_field=model.field,
        )
