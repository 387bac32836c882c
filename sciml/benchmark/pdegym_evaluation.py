"""Scores on PDEGym by the protocol of Poseidon's paper, and scaling curves of them.

M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024: relative L1 errors of normalised fields
at the end of the horizon, for each function (group of channels) the median over test samples, and the mean of that over
the functions of interest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.benchmark.scaling import ScalingCurve
from sciml.datasets.pdegym_pairs import PDEGymBatch, PDEGymPairs, collate
from sciml.datasets.pdegym_windows import PDEGymWindows
from sciml.metrics.poseidon import median_over_samples, relative_error


@runtime_checkable
class PairOperator(Protocol):
    """``(inputs (batch, channel, x, y), lead times (batch,)) -> labels``, all normalised: a ``ScOT``, for one."""

    def __call__(self, inputs: Tensor, time: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class PDEGymScores:
    """Median relative L1 errors in percent.

    Attributes:
        dataset: id of the set.
        interest: mean over the functions of interest: the number of the paper's figures.
        functions: of each function; NaN for one that is not predicted (with ``reference`` 0, as published).
        steps: of the rollout.
        samples: items scored.
        reference: whether masked values count as published.
    """

    dataset: str
    interest: float
    functions: Mapping[str, float]
    steps: int
    samples: int
    reference: bool

    @property
    def over_functions(self) -> float:
        """Mean over all functions that are predicted; with ``reference`` over all (mean_over_median_relative_l1)."""
        scored = [value for value in self.functions.values() if not math.isnan(value)]
        return sum(scored) / len(scored)


@torch.no_grad()
def evaluate_pdegym(
    operator: PairOperator,
    test: PDEGymPairs,
    *,
    steps: int | None = None,
    interest: Sequence[str] | None = None,
    reference: bool = False,
    batch_size: int = 16,
) -> PDEGymScores:
    """Score an operator on pairs, such as ``final_pairs(name, folder)``, by the paper's protocol.

    What is not to be predicted (the pressure of an incompressible flow, the inside of an airfoil) is given to the
    operator in every step of a rollout, as in the reference.

    Args:
        operator: on normalised fields; of a stepper in physical units make one by ``on_pairs``.
        test: the pairs.
        steps: in which the lead time is reached; the paper's of this task by default, 1 for direct.
        interest: functions that count; the paper's by default.
        reference: errors as published; see ``sciml.metrics.poseidon``.
        batch_size: items predicted at once.

    Raises:
        ValueError: there is no such function, or a rollout of an operator that cannot follow itself.
    """
    entry = test.entry
    steps = entry.rollout if steps is None else steps
    names = [group.name for group in entry.groups]
    wanted = [name for name in entry.interest if name in names] if interest is None else list(interest)
    if not wanted or any(name not in names for name in wanted):
        raise ValueError(f"Expected interest among the functions {', '.join(names)}, got {wanted}.")
    if steps < 1 or (steps > 1 and (entry.steady or len(entry.outputs) > len(entry.inputs))):
        raise ValueError(f"Expected steps >= 1, and 1 for a steady map, got {steps} for {entry.id}.")
    if isinstance(operator, nn.Module):
        operator.eval()
    device = _device(operator)
    errors = []
    for first in range(0, len(test), batch_size):
        batch = collate([test[k] for k in range(first, min(first + batch_size, len(test)))])
        prediction = predict(operator, batch, steps=steps, device=device)
        errors.append(_errors(prediction, batch, test.groups, reference))
    if not errors:
        raise ValueError(f"Expected pairs to score, got none in {test!r}.")
    functions = dict(zip(names, median_over_samples(torch.cat(errors))[0].tolist()))
    mean = sum(functions[name] for name in wanted) / len(wanted)
    return PDEGymScores(entry.id, mean, functions, steps, len(test), reference)


def predict(
    operator: PairOperator, batch: PDEGymBatch, *, steps: int = 1, device: torch.device | str = "cpu"
) -> Float[Tensor, "batch label x y"]:
    """The labels predicted in ``steps`` equal steps, on the CPU; inputs that are not predicted are carried along."""
    x, labels = batch.inputs.to(device), batch.labels.to(device)
    time = torch.ones(len(x), device=device) if batch.time is None else batch.time.to(device)
    given = None if batch.mask is None else _over_fields(batch.mask.to(device)).expand(labels.shape)
    y = labels
    for step in range(steps):
        y = operator(x, time / steps)
        if y.shape != labels.shape:
            raise ValueError(
                f"Expected a prediction of shape {tuple(labels.shape)}, got {tuple(y.shape)}. The operator takes "
                "normalised inputs and lead times; of a stepper make one by on_pairs(stepper, test)."
            )
        if given is not None:
            y = torch.where(given, labels, y)
        if step < steps - 1:
            x = torch.cat([y, x[:, y.shape[1] :]], dim=1)
    return y.cpu()


def on_pairs(stepper: nn.Module, test: PDEGymPairs) -> PairOperator:
    """A stepper in physical units, with the channels of ``PDEGymWindows``, as an operator on normalised pairs.

    Raises:
        ValueError: it has other channels.
    """
    windows = PDEGymWindows(test)
    mine, theirs = ([channel.name for channel in of.channels] for of in (stepper, windows))  # type: ignore[union-attr]
    if mine != theirs:
        raise ValueError(f"Expected a stepper of {', '.join(theirs)}, got one of {', '.join(mine)}.")
    return _OnPairs(stepper, windows)


class _OnPairs(nn.Module):
    def __init__(self, stepper: nn.Module, windows: PDEGymWindows) -> None:
        super().__init__()
        self.stepper, self._windows = stepper, windows

    def forward(self, inputs: Tensor, time: Tensor) -> Tensor:
        state = self._windows.state(inputs)
        return self._windows.labels(self.stepper(torch.zeros_like(time), time, state).y)


def measure_scaling(
    model: str,
    train: Callable[[int], PairOperator],
    test: PDEGymPairs,
    *,
    samples: Sequence[int] | None = None,
    steps: int | None = None,
    reference: bool = False,
) -> ScalingCurve:
    """The scaling curve of a model: of each number of samples, train on the first so many, and score.

    Args:
        model: its name.
        train: from a number of trajectories (of a steady map: samples) to an operator on normalised pairs.
        test: as ``evaluate_pdegym`` takes.
        samples: 1, 2, 4, ..., 1024 by default, of a steady map 4, 8, 16, ..., 4096.
        steps, reference: as ``evaluate_pdegym`` takes.
    """
    if samples is None:
        samples = [2**k for k in (range(2, 13) if test.entry.steady else range(11))]
    scores = [(n, evaluate_pdegym(train(n), test, steps=steps, reference=reference).interest) for n in samples]
    return ScalingCurve.of(test.entry.name, model, scores)


def _errors(
    prediction: Tensor, batch: PDEGymBatch, groups: tuple[int, ...], reference: bool
) -> Float[Tensor, "batch 1 group"]:
    counts = None if batch.mask is None else ~_over_fields(batch.mask)[:, None]
    fields = (prediction[:, None].float(), batch.labels[:, None])
    return relative_error(*fields, groups=groups, mask=counts, reference=reference)


def _over_fields(mask: Tensor) -> Tensor:
    """A mask of channels or of points, with the axes of the labels."""
    return mask[:, :, None, None] if mask.dim() == 2 else mask


def _device(operator: PairOperator) -> torch.device:
    if isinstance(operator, nn.Module):
        return next((tensor.device for tensor in operator.state_dict().values()), torch.device("cpu"))
    return torch.device("cpu")
