"""What a model gains over a baseline, read off their scaling curves, and the paper's table of it.

M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024, section 3: with S samples the accuracy
gain AG is E_S(baseline) / E_S(model); the efficiency gain EG is S / s, where s is the number of samples with which the
model reaches E_S(baseline).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sciml.benchmark.scaling import ScalingCurve
from sciml.datasets.pdegym_catalogue import PDEGYM

ACCURACY_SAMPLES, EFFICIENCY_SAMPLES = 128, 1024
STEADY_ACCURACY_SAMPLES, STEADY_EFFICIENCY_SAMPLES = 512, 4096
STEADY = {entry.name for entry in PDEGYM if entry.steady}
"""Tasks that are read at the larger numbers."""


@dataclass(frozen=True, slots=True)
class EfficiencyGain:
    """S / s.

    Attributes:
        value: 0 where the model never reaches the baseline's error.
        bound: whether it is at least so much: the model is better already with the fewest samples tried.
    """

    value: float
    bound: bool = False


@dataclass(frozen=True, slots=True)
class Gains:
    """What a model gains over a baseline on a task.

    Attributes:
        task, model, baseline: whose.
        efficiency, accuracy: EG and AG; None where the curves do not go to the number of samples.
        published: whether it is quoted.
    """

    task: str
    model: str
    baseline: str
    efficiency: EfficiencyGain | None
    accuracy: float | None
    published: bool = False


def accuracy_gain(model: ScalingCurve, baseline: ScalingCurve, *, samples: int = ACCURACY_SAMPLES) -> float:
    """E_S(baseline) / E_S(model) with S = ``samples``.

    Raises:
        ValueError: the curves are of different tasks, or do not go to ``samples``.
    """
    _check_same(model, baseline)
    return baseline.error_at(samples) / model.error_at(samples)


def efficiency_gain(
    model: ScalingCurve, baseline: ScalingCurve, *, samples: int = EFFICIENCY_SAMPLES
) -> EfficiencyGain:
    """S / s with S = ``samples``, where the model with s samples is as good as the baseline with S.

    Raises:
        ValueError: the curves are of different tasks, or the baseline's does not go to ``samples``.
    """
    _check_same(model, baseline)
    reached = model.reaches(baseline.error_at(samples))
    return EfficiencyGain(samples / reached.samples, reached.bound)


def gains(
    model: ScalingCurve,
    baseline: ScalingCurve,
    *,
    accuracy_samples: int | None = None,
    efficiency_samples: int | None = None,
) -> Gains:
    """Both gains, at the paper's numbers of samples by default: AG at 128, EG at 1024; of steady maps 512 and 4096.

    A gain whose number of samples lies outside the curves is None.

    Raises:
        ValueError: the curves are of different tasks.
    """
    _check_same(model, baseline)
    steady = model.task in STEADY
    at = accuracy_samples or (STEADY_ACCURACY_SAMPLES if steady else ACCURACY_SAMPLES)
    upto = efficiency_samples or (STEADY_EFFICIENCY_SAMPLES if steady else EFFICIENCY_SAMPLES)
    both = _covers(model, at) and _covers(baseline, at)
    return Gains(
        task=model.task,
        model=model.model,
        baseline=baseline.model,
        efficiency=efficiency_gain(model, baseline, samples=upto) if _covers(baseline, upto) else None,
        accuracy=accuracy_gain(model, baseline, samples=at) if both else None,
    )


def all_gains(curves: Sequence[ScalingCurve], baseline: str = "FNO") -> list[Gains]:
    """The gains of every curve over the baseline's of the same task.

    Raises:
        ValueError: a task has no curve of the baseline.
    """
    bases = {curve.task: curve for curve in curves if curve.model == baseline}
    lacking = sorted({curve.task for curve in curves} - bases.keys())
    if lacking:
        raise ValueError(f"Expected a curve of {baseline} for each task, got none for {', '.join(lacking)}.")
    return [gains(curve, bases[curve.task]) for curve in curves if curve.model != baseline]


def gains_table(found: Sequence[Gains]) -> str:
    """The paper's table as Markdown: "EG / AG" of each model on each task, then what table 9 sums up.

    Give ``[*all_gains(curves), *published_gains()]`` to print the published ones beside.
    """
    columns = list(dict.fromkeys((entry.model, entry.published) for entry in found))
    tasks = list(dict.fromkeys(entry.task for entry in found))
    cells = {(entry.task, entry.model, entry.published): entry for entry in found}
    baselines = " or ".join(dict.fromkeys(entry.baseline for entry in found))
    heads = [f"{model} (published)" if published else model for model, published in columns]
    rows = [[f"EG / AG over {baselines}", *heads], ["---"] * (len(heads) + 1)]
    rows += [[task, *(_cell(cells.get((task, *column))) for column in columns)] for task in tasks]
    of = [[entry for entry in found if (entry.model, entry.published) == column] for column in columns]
    rows.append(["median EG / mean AG", *(_middle(entries) for entries in of)])
    rows.append(["tasks with EG > 10 / AG > 2", *(_wins(entries) for entries in of)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _cell(entry: Gains | None) -> str:
    if entry is None:
        return ""
    efficiency, accuracy = entry.efficiency, entry.accuracy
    least = "≥ " if efficiency is not None and efficiency.bound else ""
    shown = "?" if efficiency is None else f"{least}{efficiency.value:.1f}"
    return f"{shown} / {'?' if accuracy is None else f'{accuracy:.1f}'}"


def _middle(entries: Sequence[Gains]) -> str:
    efficiencies, accuracies = _known(entries)
    first = f"{statistics.median(efficiencies):.1f}" if efficiencies else "?"
    return f"{first} / {f'{statistics.fmean(accuracies):.2f}' if accuracies else '?'}"


def _wins(entries: Sequence[Gains]) -> str:
    efficiencies, accuracies = _known(entries)
    return f"{sum(value > 10 for value in efficiencies)} / {sum(value > 2 for value in accuracies)}"


def _known(entries: Sequence[Gains]) -> tuple[list[float], list[float]]:
    efficiencies = [entry.efficiency.value for entry in entries if entry.efficiency is not None]
    return efficiencies, [entry.accuracy for entry in entries if entry.accuracy is not None]


def _covers(curve: ScalingCurve, samples: int) -> bool:
    return curve.samples[0] <= samples <= curve.samples[-1]


def _check_same(model: ScalingCurve, baseline: ScalingCurve) -> None:
    if model.task != baseline.task:
        raise ValueError(f"Expected two curves of one task, got {model.task} and {baseline.task}.")
