"""``sciml simulate SCENE.toml``."""

from __future__ import annotations

from pathlib import Path

from sciml.cli.console import counting, errors, output
from sciml.datasets.lagrangebench_writer import write_lagrangebench
from sciml.datasets.open import open_dataset
from sciml.scenes.pictures import COLOURS, draw
from sciml.scenes.simulate import simulate
from sciml.scenes.toml_scene import read_scene
from sciml.solvers.material_point.failure import SimulationError

LAYOUTS = ("native", "lagrangebench")


def run_scene(
    source: Path,
    out: Path,
    *,
    frames: int,
    resume: bool,
    overwrite: bool,
    colour: str,
    layout: str,
    device: str,
) -> None:
    """Simulate, then draw; of a run that broke down, what there is."""
    for name, value, known in (("--layout", layout, LAYOUTS), ("--colour", colour, COLOURS)):
        if value not in known:
            raise ValueError(f"Expected {name} to be one of {', '.join(known)}, got {value!r}.")
    benchmark = out.with_suffix("")
    if layout == "lagrangebench" and benchmark.exists():
        raise ValueError(f"Expected no directory {benchmark}, which --layout lagrangebench writes. Remove it.")
    scene = read_scene(source)
    if frames:
        scene = scene.lasting(frames)
    try:
        with counting(f"simulating {source.name}") as progress:
            run = simulate(scene, out, device=device, resume=resume, overwrite=overwrite, progress=progress)
    except SimulationError:
        draw(scene, out, colour=colour)
        raise
    pictures = draw(scene, out, colour=colour)
    shown = ", ".join(str(path) for path in pictures)
    output.print(f"{run.path}: {run.frames} frames of {run.points} points, {run.steps} steps; {shown}", highlight=False)
    if layout == "lagrangebench":
        for sentence in write_lagrangebench(open_dataset(out), benchmark, metadata={"case": source.stem}):
            errors.print(f"note: {sentence}", markup=False)
        output.print(f"{benchmark}: LagrangeBench layout", highlight=False)
