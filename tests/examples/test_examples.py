"""Every example runs to the end at a small size and leaves the pictures that it promises."""

import importlib.util
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.releases import needs_loops

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURES = {
    "kelvin_helmholtz": ("density.gif", "density.png"),
    "neural_ode": ("spiral.png",),
    "own_data": ("waves.png",),
    "own_operator": ("accuracy_cost.png",),
    "reactors": ("reactors.png",),
    "surrogate": ("error.png", "fields.png"),
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


def _load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where the compiler looks names up
    spec.loader.exec_module(module)
    return module
