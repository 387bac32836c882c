"""The study of pretraining: many trainings as one computation are the same trainings."""

from dataclasses import replace

import pytest
import torch

from benchmarks.pretraining.together import train_together
from sciml.datasets.frames import AllPairs
from sciml.datasets.memory import dataset_from_arrays
from sciml.datasets.windows import Trajectories
from sciml.operators import Poseidon, ScOTConfig
from sciml.training import FitSettings, fit, relative_l1

TINY = ScOTConfig.preset(
    "T",
    image_size=8,
    patch_size=2,
    embed_dim=8,
    depths=(1, 1),
    num_heads=(2, 2),
    skip_connections=(1, 0),
    window_size=2,
)
SETTINGS = FitSettings(
    epochs=3, batch_size=4, lr=4e-3, clip_norm=0.5, loss=relative_l1, quiet=True, device="cpu", precision="64-true"
)


def windows(seed: int) -> Trajectories:
    u = torch.randn(4, 3, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    times = torch.linspace(0, 1, 3, dtype=torch.float64)
    return Trajectories(
        dataset_from_arrays(u.numpy(), times.numpy(), channels=("u",)), lead_times=AllPairs(2), dtype=torch.float64
    )


def model(seed: int, train: Trajectories) -> Poseidon:
    torch.manual_seed(seed)
    return Poseidon(train.channels, architecture=TINY, time_scale=1.0).double()


def test_models_trained_together_are_those_trained_alone() -> None:
    seeds = (0, 1, 2)
    trains = [windows(seed) for seed in seeds]
    alone = [model(seed, train) for seed, train in zip(seeds, trains)]
    for seed, one, train in zip(seeds, alone, trains):
        fit(one, train, settings=replace(SETTINGS, seed=seed))
    together = [model(seed, train) for seed, train in zip(seeds, trains)]
    train_together(together, trains, seeds, 3 * len(trains[0]) // 4, SETTINGS)
    for found, expected in zip(together, alone):
        for (name, weight), other in zip(found.named_parameters(), expected.parameters()):
            torch.testing.assert_close(weight, other, rtol=1e-6, atol=1e-8, msg=name)


def test_models_of_other_configurations_are_refused() -> None:
    train = windows(0)
    models = [model(0, train), Poseidon(train.channels, architecture=TINY, time_scale=2.0).double()]
    with pytest.raises(ValueError, match="one configuration"):
        train_together(models, [train, train], (0, 1), 2, SETTINGS)
