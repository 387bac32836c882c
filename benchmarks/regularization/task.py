"""What a task of the comparison is, and how one model is trained on it by one method."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from sciml.solvers.controller import StepSizeController
from sciml.solvers.regularization import ExponentialDecay, TaylorEnergy
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solution import Solution
from sciml.solvers.solve import solve
from sciml.solvers.stepper import Stepper
from sciml.solvers.tableaus.tsit5 import TSIT5


@dataclass(frozen=True)
class Method:
    """A way to train.

    Attributes:
        name: as in the table.
        penalty: of a stepper and the solution that it made, (batch,).
        weight: of the penalty at first; it decays during the training, to ``Task.decay`` of itself.
        times: changes the output times (STEER).
        taylor: order of the derivative that TayNODE integrates, 0 for the others.
    """

    name: str
    penalty: Callable[[Stepper, Solution], Tensor] | None = None
    weight: float = 0.0
    times: Callable[[Tensor], Tensor] | None = None
    taylor: int = 0


@dataclass(frozen=True)
class Problem:
    """One batch: what is solved, and the loss of the states at the output times."""

    stepper: Stepper
    y0: Tensor
    ts: Tensor
    loss: Callable[[Tensor], Tensor]
    vector_field: Callable[[Tensor, Tensor], Tensor] | None = None


class Task(Protocol):
    """Data, a model and its optimiser."""

    name: str
    title: str  # of the picture
    score: str  # what ``evaluate`` returns, and which way is up
    controller: StepSizeController
    iterations: int
    decay: float  # what part of a penalty's weight is left at the end: 0.4 in the 2023 paper's MNIST, 0.1 in Physionet
    methods: tuple[Method, ...]

    def settings(self) -> dict[str, object]:
        """All that a result depends on, beside method and seed."""
        ...

    def model(self) -> nn.Module: ...

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer: ...

    def training_problem(self, model: nn.Module, iteration: int) -> Problem: ...

    def prediction_problem(self, model: nn.Module) -> Problem:
        """The fixed batch on which evaluations are counted and predictions timed."""
        ...

    def evaluate(self, model: nn.Module) -> float:
        """The score on held-out data."""
        ...


@dataclass
class Trained:
    """A model and what its training cost."""

    model: nn.Module
    seconds: float
    curve: list[dict[str, float]] = field(default_factory=list)


def train(task: Task, method: Method, seed: int) -> Trained:
    """Train from scratch, the learning rate falling to zero along a cosine.

    The time is that of the processor in the updates alone.
    """
    torch.manual_seed(seed)
    model = task.model()
    optimizer = task.optimizer(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.iterations)
    weight = (
        ExponentialDecay(method.weight, task.decay * method.weight, task.iterations) if method.weight else lambda n: 0.0
    )
    trained = Trained(model, 0.0)
    for iteration in range(task.iterations):
        begin = time.process_time()
        loss, penalty = objective(task, method, task.training_problem(model, iteration))
        optimizer.zero_grad()
        (loss + weight(iteration) * penalty).backward()
        optimizer.step()
        schedule.step()
        trained.seconds += time.process_time() - begin
        if (iteration + 1) % max(task.iterations // 10, 1) == 0:
            trained.curve.append({"iteration": iteration + 1, "loss": float(loss.detach()), **evaluations(task, model)})
    return trained


def objective(task: Task, method: Method, problem: Problem) -> tuple[Tensor, Tensor]:
    """The task's loss and the method's penalty, each a mean over the batch."""
    ts = problem.ts if method.times is None else method.times(problem.ts)
    if method.taylor:
        stepper = RungeKutta(TaylorEnergy(problem.vector_field, order=method.taylor), TSIT5)
        ys, energy = solve(stepper, TaylorEnergy.initial(problem.y0), ts, task.controller).ys
        return problem.loss(ys), energy[:, -1].mean()
    solution = solve(problem.stepper, problem.y0, ts, task.controller, keep_steps=method.penalty is not None)
    penalty = torch.zeros(()) if method.penalty is None else method.penalty(problem.stepper, solution).mean()
    return problem.loss(solution.ys), penalty


@torch.no_grad()
def predict(task: Task, model: nn.Module) -> Solution:
    """Solve the fixed batch."""
    problem = task.prediction_problem(model)
    return solve(problem.stepper, problem.y0, problem.ts, task.controller)


def evaluations(task: Task, model: nn.Module) -> dict[str, float]:
    """Evaluations of the vector field on the fixed batch: the samples' mean, and of the slowest (the batch's calls)."""
    counts = predict(task, model).statistics.evaluations.double()
    return {"evaluations": float(counts.mean()), "evaluations_slowest": float(counts.max())}
