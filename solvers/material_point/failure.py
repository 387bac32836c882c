"""When a simulation of material points has to stop: which point, why, and what helps."""

from __future__ import annotations

import copyreg
from typing import Any

import torch
from torch import Tensor

from sciml.kernels.material_point.lattice import Lattice, outside

from .elasticity import determinant


class SimulationError(RuntimeError):
    """A step that has no valid result; the state it was taken from is untouched.

    Attributes:
        sample: of the batch, the first that failed.
        points: indices of its points that are to blame.
    """

    def __init__(self, message: str, sample: int, points: Tensor) -> None:
        super().__init__(message)
        self.sample, self.points = sample, points

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


def explain_position(position: Tensor, before: Tensor, t: Tensor, lattice: Lattice) -> SimulationError:
    """Points whose new position is not finite, or from which the grid cannot be reached any more."""
    bad = outside(position, lattice)
    sample = int(bad.any(dim=1).nonzero()[0])
    points = bad[sample].nonzero().flatten()
    first = int(points[0])
    low = [start + 0.5 * lattice.spacing for start in lattice.origin]
    high = [start + (n - 1.5) * lattice.spacing for n, start in zip(lattice.shape, lattice.origin)]
    box = " x ".join(f"[{a:.4g}, {b:.4g})" for a, b in zip(low, high))
    moved = f"from {_numbers(before[sample, first])} to {_numbers(position[sample, first])}"
    if bool(torch.isfinite(position[sample, first]).all()):
        what, remedy = "left the grid", "Give the box walls, make it larger, or take shorter steps."
    else:
        what, remedy = "got a position that is not finite", "Take shorter steps: Courant(stepper)."
    return SimulationError(
        f"{_count(points)} of sample {sample} {what} after t = {float(t[sample]):.6g}: point {first} went {moved}; "
        f"the grid reaches points in {box}. {remedy}",
        sample,
        points,
    )


def explain_value(name: str, leaf: Tensor, t: Tensor) -> SimulationError:
    """Points of a state with NaN or infinity in one of its tensors."""
    bad = ~torch.isfinite(leaf).flatten(2).all(-1)
    sample = int(bad.any(dim=1).nonzero()[0])
    points = bad[sample].nonzero().flatten()
    return SimulationError(
        f"The {name} of {_count(points)} of sample {sample} is not finite at t = {float(t[sample]):.6g}, first that of "
        f"point {int(points[0])}. Look at where this state comes from.",
        sample,
        points,
    )


def explain_stress(deformation: Tensor, stress: Tensor, t: Tensor) -> SimulationError:
    """Points whose stress is not finite: turned inside out, or from a state that was not finite already."""
    bad = ~torch.isfinite(stress).all(-1).all(-1)
    sample = int(bad.any(dim=1).nonzero()[0])
    points = bad[sample].nonzero().flatten()
    first = int(points[0])
    volume = float(determinant(deformation[sample, first][None, None]))
    if volume <= 0:
        what = f"are inverted: det F = {volume:.4g} at point {first}, for which the material has no stress"
        remedy = "Take shorter steps (Courant(stepper)), or a material that bears inversion: FixedCorotated."
    else:
        what = f"have a stress that is not finite: at point {first} det F = {volume:.4g}"
        remedy = "Look for NaN in the state it started from, or take shorter steps: Courant(stepper)."
    return SimulationError(
        f"{_count(points)} of sample {sample} {what}, at t = {float(t[sample]):.6g}. {remedy}", sample, points
    )


def explain_step(dt: Tensor, speed: Tensor, sound: Tensor, spacing: float) -> ValueError:
    """A step in which waves or points would cross more than a cell."""
    ratio = torch.maximum(speed, sound / 1.5) * dt / spacing
    sample = int(ratio.argmax())
    step, fastest, wave = (float(values[sample]) for values in (dt, speed, sound))
    return ValueError(
        f"Expected dt below the CFL limit, got dt = {step:.4g} for sample {sample}: sound of speed {wave:.4g} crosses "
        f"{wave * step / spacing:.3g} cells of {spacing:.4g} in it, and the fastest point, of speed {fastest:.4g}, "
        f"{fastest * step / spacing:.3g}. Stay below {0.4 * spacing / (fastest + wave):.3g}, or let Courant(stepper) "
        "choose the steps."
    )


def _count(points: Tensor) -> str:
    return "1 point" if len(points) == 1 else f"{len(points)} points"


def _numbers(values: Tensor) -> str:
    return "(" + ", ".join(f"{float(value):.4g}" for value in values) + ")"
