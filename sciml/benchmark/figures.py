"""The figures of a report, drawn from the rows and their artifacts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure

from sciml import plots
from sciml.benchmark.evaluation import Evaluation
from sciml.benchmark.row import Row


def error_over_time(rows: Sequence[Row], time_units: str = "") -> Figure:
    """Rollout error of every operator, median and range over seeds."""
    errors = {
        operator: torch.tensor([row.error_over_time for row in rows if row.operator == operator])
        for operator in dict.fromkeys(row.operator for row in rows)
    }
    return plots.error_over_time(errors, torch.tensor(rows[0].times), metric="nRMSE", time_unit=time_units)


def accuracy_cost(rows: Sequence[Row]) -> Figure:
    """Rollout error against the cost of a step, medians over seeds."""
    points = []
    for operator in dict.fromkeys(row.operator for row in rows):
        group = [row for row in rows if row.operator == operator]
        error = statistics.median(row.metrics.get("rollout/nRMSE", math.nan) for row in group)
        points.append(plots.AccuracyCost(operator, statistics.median(row.step_seconds for row in group), error))
    return plots.accuracy_cost(points, cost="seconds per step and sample", error="nRMSE, rollout")


def spectra(rows: Sequence[Row], folder: Path) -> Figure | None:
    """Energy spectra of the last frame, summed over channels; None off periodic grids."""
    found = {row.operator: _evaluation(row, folder) for row in _first_seeds(rows)}
    drawn = {operator: item for operator, item in found.items() if item is not None and item.wavenumber.numel()}
    if not drawn:
        return None
    first = next(iter(drawn.values()))
    predictions = {operator: item.prediction_spectrum.sum(dim=0) for operator, item in drawn.items()}
    return plots.spectra(first.wavenumber, first.truth_spectrum.sum(dim=0), predictions)


def fields(row: Row, folder: Path, channel: int = 0) -> Figure | None:
    """Truth, prediction and error of the first test trajectory; None without the artifact."""
    evaluation = _evaluation(row, folder)
    if evaluation is None:
        return None
    name = row.channels[channel] if channel < len(row.channels) else "u"
    return plots.fields(evaluation.truth, evaluation.prediction, evaluation.sample_ts, channel=channel, name=name)


def _first_seeds(rows: Sequence[Row]) -> list[Row]:
    return list({row.operator: row for row in reversed(rows)}.values())[::-1]


def _evaluation(row: Row, folder: Path) -> Evaluation | None:
    path = folder / row.artifacts / "evaluation.safetensors"
    return Evaluation.load(path) if row.artifacts and path.is_file() else None
