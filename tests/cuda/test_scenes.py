"""A scene runs on a GPU as on the CPU: bodies, an emitter and an obstacle, through its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sciml.datasets.open import open_dataset
from sciml.scenes import Body, Emitter, Obstacle, Scene, box, fluid, jelly, simulate, sphere


def test_a_scene_as_on_the_cpu(tmp_path: Path, device: torch.device) -> None:
    scene = Scene(
        [Body(sphere((0.5, 0.6), 0.15), jelly(young=2e4))],
        emitters=[Emitter(box((0.1, 0.7), (0.2, 0.8)), fluid(speed=3.0), velocity=(1.0, 0.0), every=0.11, until=0.1)],
        obstacles=[Obstacle(sphere((0.5, 0.1), 0.2))],
        cells=16,
        duration=0.12,
        frames=5,
        dtype=torch.float64,
    )
    found, expected = (
        open_dataset(simulate(scene, tmp_path / f"{place.type}{k}.h5", device=place).path).read(0)
        for k, place in enumerate((device, torch.device("cpu")))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
