"""``simulate``: a scene in, a dataset of its frames out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from sciml.scenes.record import Reached, Record, to_cpu
from sciml.scenes.scene import Scene
from sciml.solvers.controller import FixedStep
from sciml.solvers.courant import Courant
from sciml.solvers.material_point.failure import SimulationError
from sciml.solvers.material_point.state import MaterialPoints
from sciml.solvers.solve import solve

Progress = Callable[[int, int], None]
"""``(done, total)`` frames."""


class SimulationStopped(KeyboardInterrupt):
    """The user stopped a run; its frames are in the file, and it can be resumed."""


@dataclass(frozen=True)
class Run:
    """A run that came to its end.

    Attributes:
        path: of the dataset.
        frames: in it.
        points: of each frame.
        steps: that the method took.
    """

    path: Path
    frames: int
    points: int
    steps: int


def simulate(
    scene: Scene,
    out: str | Path,
    *,
    device: str | torch.device = "cpu",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Simulate a scene and write its frames to ``out``, in this project's own layout.

    Each frame is on disk before the next is begun. Whatever ends the run, ``out`` is then a valid file of the frames so
    far, and ``resume`` goes on from the last one to the same bits as a run that was never stopped (a killed process
    leaves ``out`` to the run that resumes). A finished run is resumed for more frames:
    ``simulate(scene.lasting(frames=200), out, resume=True)``.

    The file has positions and velocities; static particle_type (the material's number), mass, volume and, with
    emitters, release (when a point comes in); parameters of the materials; and the group ``invariants``: mass, momentum
    and kinetic energy of each frame. Beside it stays ``NAME.state.safetensors``, the full state at its last frame.

    Args:
        scene: what to simulate.
        out: the file.
        device: of the computation, such as "cuda".
        resume: go on from what is there; where nothing is, begin.
        overwrite: begin again, whatever is there.
        progress: called with ``(done, total)`` frames.

    Raises:
        ValueError: ``out`` is there already, and neither ``resume`` nor ``overwrite``; it is of another scene; or the
            scene cannot be.
        SimulationError: a step has no valid result; the message says what helps, and how many frames there are.
        SimulationStopped: Ctrl-C.
    """
    record = Record(scene, out)
    if record.started and not resume and not overwrite:
        raise ValueError(f"{out} is there already. Resume it, overwrite it, or choose another file.")
    if resume and not overwrite and record.path.exists() and not record.state.is_file():
        raise ValueError(
            f"{out} is there without {record.state}, so that it cannot be resumed. Overwrite it, or choose another "
            "file."
        )
    stepper = scene.stepper().to(device)
    if resume and not overwrite and record.state.is_file():
        reached = record.resume()
    else:
        reached = Reached(to_cpu(scene.state()), 1, 0)
        record.begin()
        record.add(reached)
    try:
        while reached.frames < scene.frames:
            _tell(progress, reached, scene)
            reached = next_frame(stepper, reached, scene, device)
            record.add(reached)
    except SimulationError as error:
        raise SimulationError(f"{error} {_kept(record)}", error.sample, error.points) from error
    except ValueError as error:
        raise ValueError(f"{error} {_kept(record)}") from error
    except KeyboardInterrupt:
        raise SimulationStopped(f"Stopped. {_kept(record)} Resume to go on.") from None
    _tell(progress, reached, scene)
    return Run(record.finish(reached.frames), reached.frames, len(scene.cloud.kind), reached.steps)


def next_frame(stepper: Courant, reached: Reached, scene: Scene, device: str | torch.device) -> Reached:
    """One frame later. Each frame is a solve of its own, so that it does not matter where a run stopped."""
    k = reached.frames
    ts = torch.tensor([(k - 1) * scene.dt, k * scene.dt], dtype=torch.float64, device=device)
    state: MaterialPoints = {name: leaf.to(device) for name, leaf in reached.state.items()}  # type: ignore[assignment, attr-defined]
    with torch.no_grad():
        solution = solve(stepper, state, ts, FixedStep(float(ts[1] - ts[0])))
    end: MaterialPoints = {name: leaf[:, -1].contiguous() for name, leaf in solution.ys.items()}  # type: ignore[assignment]
    return Reached(to_cpu(end), k + 1, reached.steps + int(solution.statistics.evaluations[0]))


def _kept(record: Record) -> str:
    """Make a file of the frames so far, and say so."""
    frames = record.resume().frames
    record.finish(frames)
    last = (frames - 1) * record.scene.dt
    return f"Frames 0 to {frames - 1} (t = {last:.6g}) are in {record.path}."


def _tell(progress: Progress | None, reached: Reached, scene: Scene) -> None:
    if progress is not None:
        progress(reached.frames, max(scene.frames, reached.frames))
