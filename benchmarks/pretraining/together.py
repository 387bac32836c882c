"""Many trainings of one architecture as one batched computation: each a small network that fills no GPU by itself.

Every weight is a stack of all models' weights, and the gradients are ``torch.func.vmap`` of those of one model. Losses,
order of the data, schedule, clipping and AdamW are those of ``fit``, except that batches run over the ends of epochs,
so that all models take as many steps however many windows they have. On CUDA a step is captured once as a graph.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from sciml.datasets.windows import Trajectories
from sciml.operators import Poseidon
from sciml.training import FitSettings
from sciml.training.fit import set_normalization
from sciml.training.objective import NormalisedLoss, TrainingObjective, time_steps
from sciml.training.order import stack_windows, training_order

_EAGER_STEPS = 3  # before a step is captured


def train_together(
    models: Sequence[Poseidon], trains: Sequence[Trajectories], seeds: Sequence[int], updates: int, of: FitSettings
) -> None:
    """Train each model on its windows for so many updates, with the batch size, rate, loss and device of the settings.

    Raises:
        ValueError: the models differ in more than their weights.
    """
    if any(model.config != models[0].config for model in models):
        raise ValueError("Expected models of one configuration, got several.")
    device = torch.device(of.device)
    objectives = []
    for model, train in zip(models, trains, strict=True):
        set_normalization(model, train)
        objectives.append(TrainingObjective(model, NormalisedLoss(model, of.loss), of, frames=2).to(device).train())
    weights, buffers = stack_module_state(objectives)
    base = copy.deepcopy(objectives[0])
    base.loss = NormalisedLoss(base.operator, of.loss)

    def loss(weights: dict[str, Tensor], buffers: dict[str, Tensor], t: Tensor, dt: Tensor, u: Tensor) -> Tensor:
        return functional_call(base, (weights, buffers), (t, dt, u)).mean()

    windows = [_Windows(train, seed, updates, of.batch_size, device) for train, seed in zip(trains, seeds, strict=True)]
    optimizer = _Optimizer(weights, of)
    gradients = vmap(grad_and_value(loss), randomness="different")

    def step(inputs: tuple[Tensor, ...]) -> Tensor:
        found, losses = gradients({k: w.detach() for k, w in weights.items()}, buffers, *inputs)
        optimizer.step(found)
        return losses

    _run(step, windows, optimizer, updates, of, device)
    with torch.no_grad():
        for k, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[f"operator.{name}"][k])
            model.to("cpu").eval()


def _run(
    step: Callable[[tuple[Tensor, ...]], Tensor],
    windows: Sequence[_Windows],
    optimizer: _Optimizer,
    updates: int,
    of: FitSettings,
    device: torch.device,
) -> None:
    graph: torch.cuda.CUDAGraph | None = None
    inputs: tuple[Tensor, ...] = ()
    for k in range(updates):
        batch = [torch.stack(parts) for parts in zip(*(each.batch(k) for each in windows))]
        optimizer.rate(of.lr * of.schedule(k + 0.5, updates))
        if device.type != "cuda":
            step(tuple(batch))
        elif k < _EAGER_STEPS:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                step(tuple(batch))
            torch.cuda.current_stream().wait_stream(stream)
        else:
            if graph is None:
                inputs = tuple(part.clone() for part in batch)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    step(inputs)
            for part, new in zip(inputs, batch):
                part.copy_(new)
            graph.replay()


class _Windows:
    """All windows of one model on the device, and which ones each step sees."""

    def __init__(self, train: Trajectories, seed: int, updates: int, batch_size: int, device: torch.device) -> None:
        t, u = stack_windows([train[k] for k in range(len(train))])
        self._fields = tuple(part.to(device) for part in (*time_steps(t, u.dtype), u))
        needed, order = updates * batch_size, []
        while len(order) < needed:
            epoch = len(order) // len(train)
            order += training_order(len(train), batch_size=len(train), seed=seed, epoch=epoch)[0]
        self._order = torch.tensor(order[:needed], device=device).reshape(updates, batch_size)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """t, dt and u of a step."""
        return tuple(part[self._order[step]] for part in self._fields)


class _Optimizer:
    """AdamW over stacked weights, the gradient of each model clipped by its own norm."""

    def __init__(self, weights: dict[str, Tensor], of: FitSettings) -> None:
        self.weights, self.clip = weights, of.clip_norm
        self.captured = next(iter(weights.values())).is_cuda
        decayed = [w for w in weights.values() if w.dim() >= 3]  # matrices of each model
        others = [w for w in weights.values() if w.dim() < 3]
        groups = [{"params": decayed, "weight_decay": of.weight_decay}, {"params": others, "weight_decay": 0.0}]
        for group in groups:
            group["lr"] = torch.zeros((), device=decayed[0].device) if self.captured else 0.0
        self._adamw = torch.optim.AdamW(groups, betas=of.betas, eps=of.eps, capturable=self.captured)

    def rate(self, lr: float) -> None:
        """Set the learning rate."""
        for group in self._adamw.param_groups:
            if self.captured:
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def step(self, gradients: dict[str, Tensor]) -> None:
        """One update."""
        squares = [gradient.flatten(1).square().sum(dim=1) for gradient in gradients.values()]
        norms = torch.stack(squares).sum(dim=0).sqrt()
        factor = torch.ones_like(norms) if self.clip is None else (self.clip / (norms + 1e-6)).clamp(max=1.0)
        for name, weight in self.weights.items():
            gradient = gradients[name]
            weight.grad = gradient * factor.reshape(-1, *(1,) * (gradient.dim() - 1))
        self._adamw.step()
