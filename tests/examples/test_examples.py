"""Every example runs to the end at a small size and leaves the pictures that it promises."""

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from sciml.scenes import read_scene, simulate
from sciml.scenes.pictures import draw
from tests.releases import needs_loops

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURES = {
    "kelvin_helmholtz": ("density.gif", "density.png"),
    "neural_ode": ("spiral.png",),
    "own_data": ("waves.png",),
    "own_operator": ("accuracy_cost.png",),
    "reactors": ("reactors.png",),
    "simulate_scene": ("fountain.gif", "fountain.png"),
    "surrogate": ("error.png", "fields.png"),
    "two_fluids": ("density.gif", "two_fluids.png"),
}


def test_every_example_is_run():
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(PICTURES)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_loops if name == "reactors" else ()) for name in PICTURES]
)
def test_example_runs_and_draws(name, tmp_path):
    _load(name).main(out=tmp_path, small=True)
    for picture in PICTURES[name]:
        with Image.open(tmp_path / picture) as image:
            low, high = image.convert("L").getextrema()
            assert low < high, f"{picture} is blank"


@pytest.mark.parametrize("path", sorted((EXAMPLES / "scenes").glob("*.toml")), ids=lambda path: path.stem)
def test_scene_runs_and_draws(path, tmp_path):
    """On a coarse grid, two frames of it."""
    text = re.sub(r"(?m)^cells = (\d+)$", lambda found: f"cells = {int(found[1]) * 2 // 5}", path.read_text())
    (tmp_path / path.name).write_text(text)
    scene = read_scene(tmp_path / path.name)
    run = simulate(dataclasses.replace(scene, duration=0.02, frames=2), tmp_path / "run.h5")
    assert run.points > 100
    for picture in draw(scene, run.path, width=200):
        assert picture.stat().st_size > 1000


def _load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where the compiler looks names up
    spec.loader.exec_module(module)
    return module
