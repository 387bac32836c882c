"""Scaling curves: the error of a model against the number of samples that it was trained on.

Between its points a curve is straight on logarithmic axes; nothing is extrapolated.
"""

from __future__ import annotations

import json
import math
import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reached:
    """The number of samples with which a curve reaches an error.

    Attributes:
        samples: as read off, a fraction; infinity where it never does.
        bound: whether the curve begins below the error, so that fewer than ``samples`` may do.
    """

    samples: float
    bound: bool = False


@dataclass(frozen=True)
class ScalingCurve:
    """Errors of one model on one task.

    Attributes:
        task: such as "NS-PwC".
        model: such as "Poseidon-T".
        samples: numbers of training trajectories (steady maps: samples), rising.
        errors: median relative L1 error in the functions of interest after training on each, in percent.

    Raises:
        ValueError: no points, samples that do not rise, or errors that are not positive numbers.
    """

    task: str
    model: str
    samples: tuple[int, ...]
    errors: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", tuple(int(n) for n in self.samples))
        object.__setattr__(self, "errors", tuple(float(error) for error in self.errors))
        of = f"of {self.model} on {self.task}"
        if not self.samples or len(self.samples) != len(self.errors):
            raise ValueError(f"Expected as many samples as errors {of}, got {self.samples} and {self.errors}.")
        if self.samples[0] < 1 or any(b <= a for a, b in zip(self.samples, self.samples[1:])):
            raise ValueError(f"Expected samples {of} that rise from 1 or more, got {self.samples}. Sort the points.")
        if not all(error > 0 and math.isfinite(error) for error in self.errors):
            raise ValueError(f"Expected positive errors {of}, got {self.errors}. Leave out trainings that diverged.")

    @classmethod
    def of(cls, task: str, model: str, errors: Iterable[tuple[int, float]]) -> ScalingCurve:
        """From (samples, error) in any order."""
        points = sorted(errors)
        return cls(task, model, tuple(n for n, _ in points), tuple(error for _, error in points))

    def error_at(self, samples: int) -> float:
        """The error after training on so many samples.

        Raises:
            ValueError: the curve does not go there.
        """
        if not self.samples[0] <= samples <= self.samples[-1]:
            raise ValueError(
                f"Expected a curve of {self.model} on {self.task} up to {samples} samples, got one from "
                f"{self.samples[0]} to {self.samples[-1]}. Train on {samples} too, or choose another number."
            )
        if samples in self.samples:
            return self.errors[self.samples.index(samples)]
        right = bisect_right(self.samples, samples)
        n, m, error, other = (
            math.log(v) for v in (*self.samples[right - 1 : right + 1], *self.errors[right - 1 : right + 1])
        )
        return math.exp(_between(math.log(samples), n, m, error, other))

    def reaches(self, error: float) -> Reached:
        """Where the curve first comes down to an error."""
        if self.errors[0] <= error:
            return Reached(float(self.samples[0]), bound=self.errors[0] < error)
        right = next((k for k, below in enumerate(self.errors) if below <= error), None)
        if right is None:
            return Reached(math.inf)
        if self.errors[right] == error:
            return Reached(float(self.samples[right]))
        n, m, above, below = (
            math.log(v) for v in (*self.samples[right - 1 : right + 1], *self.errors[right - 1 : right + 1])
        )
        return Reached(math.exp(_between(math.log(error), above, below, n, m)))


def curves_table(curves: Sequence[ScalingCurve]) -> str:
    """The errors in percent as a Markdown table: a row for each task and number of samples, a column for each model."""
    models = list(dict.fromkeys(curve.model for curve in curves))
    errors = {(c.task, n, c.model): error for c in curves for n, error in zip(c.samples, c.errors)}
    tasks = list(dict.fromkeys(curve.task for curve in curves))
    rows = [["task", "samples", *models], ["---"] * (len(models) + 2)]
    for task in tasks:
        for n in sorted({n for of, n, _ in errors if of == task}):
            cells = [errors.get((task, n, model)) for model in models]
            rows.append([task, str(n), *("" if error is None else f"{error:.3g}" for error in cells)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def save_curves(path: str | Path, curves: Iterable[ScalingCurve]) -> Path:
    """Write curves as JSON; the file is whole or absent."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps([asdict(curve) for curve in curves], indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def load_curves(path: str | Path) -> list[ScalingCurve]:
    """Read curves back.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        return [ScalingCurve(e["task"], e["model"], tuple(e["samples"]), tuple(e["errors"])) for e in entries]
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        expected = "a list of curves with task, model, samples and errors"
        raise ValueError(f"Expected {expected} in {path}, got something else ({error!r}).") from None


def _between(x: float, x0: float, x1: float, y0: float, y1: float) -> float:
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
