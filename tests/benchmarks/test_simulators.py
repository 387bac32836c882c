"""The study of particle simulators: simple baselines are exact where they should be, networks roll out, its table."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.simulators import evaluation, report
from benchmarks.simulators.task import MODELS, TASKS, WINDOW, Task
from sciml.generation.make import make
from sciml.operators.particles import GridDecoder, decoder_channels


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Four bodies of a few points, for some frames."""

    class Here(Task):
        @property
        def file(self) -> Path:
            return folder / "elastic.h5"

    folder = tmp_path_factory.mktemp("study")
    recipe = replace(TASKS["elastic"].recipe(trajectories=10, size=250), frames=10)
    make(recipe, folder / "elastic.h5")
    return Here("elastic-2d", ("young",), solid=True)


def test_simple_baselines_are_exact_for_simple_motion() -> None:
    t = 0.01 * torch.arange(12, dtype=torch.float64)
    start = torch.tensor([[0.2, 0.5], [0.4, 0.6]], dtype=torch.float64)
    straight = start + t[:, None, None] * torch.tensor([0.3, 0.1])
    falling = straight - torch.tensor([0.0, 4.9]) * t[:, None, None] ** 2
    for predict, u in ((evaluation.constant_velocity, straight), (evaluation.ballistic, falling)):
        torch.testing.assert_close(predict(u, t, 2)[0], u[WINDOW:], rtol=0, atol=1e-6)
        assert evaluation.errors(predict(u, t, 2), u[None, WINDOW:])["mse"] < 1e-12


@pytest.mark.parametrize("name", MODELS)
def test_networks_roll_out_all_frames(name: str, task: Task) -> None:
    torch.manual_seed(0)
    model, windows = MODELS[name](task)
    model.set_scales(windows, 0.0)
    t, u = task.trajectories("test")[0]
    frames = evaluation.rollout(model.eval(), u, t, 2)
    assert frames.shape == (1, len(t) - WINDOW, 250, 2) and bool(frames.isfinite().all())
    assert model.frame.layout.reference  # a solid's networks are told where it was at rest
    if name == "GIOROM":
        channels = decoder_channels(2)
        decoder = GridDecoder(channels, box=windows.box, spacing=model.frame.radius)
        one = torch.ones(5)
        decoder.normalization.set(0 * one, one, one, 1.0)
        assert evaluation.sparse_rollout(model, decoder, u, t, 2, 0).shape == frames.shape


def test_the_table_has_a_line_for_each_model(tmp_path: Path) -> None:
    row = {
        "task": "elastic",
        "seed": 0,
        "mse": 1.0,
        "mse20": 1.0,
        "last": 1.0,
        "chamfer": 1.0,
        "energy": 1.0,
        "ms": 1.0,
    }
    rows = [row | {"model": name, "seconds": 60.0} for name in ("GNS", "GIOROM, grid decoder")] * 2
    text = report.write_report(rows, tmp_path)
    assert text.count("| 2 |") == 2 and (tmp_path / "report.md").read_text() == text
