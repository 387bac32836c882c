"""Training as a whole."""

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from sciml.checkpoint import load_operator, read_checkpoint
from sciml.datasets.channel import Channel
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve
from sciml.training import (
    Constant,
    FitSettings,
    TrainingError,
    fit,
    mean_square,
    relative_l1,
)
from tests.sciml.training.tiny import CHANNELS, Decay, Tiny, tiny, weights

QUIET = FitSettings(quiet=True, device="cpu", lr=1e-2)


def settings(**changes):
    return replace(QUIET, **changes)


def persistence_error(data):
    """Normalised one-step error of the forecast that nothing changes."""
    std = torch.as_tensor(data.statistics.std[:2], dtype=torch.float32)[:, None]
    return float(
        np.mean([((u[1:, :2] - u[:-1, :2]) / std).square().mean() for _, u in (data[k] for k in range(len(data)))])
    )


def test_training_beats_persistence_on_both_scales():
    data, test = Decay(count=64), Decay(count=1, seed=1)
    result = fit(tiny(width=16), data, epochs=20, settings=settings(batch_size=8))
    t, u = test[0]
    y = solve(result.operator, u[None, 0], t, FixedStep(data.dt)).ys
    for channel in (0, 1):
        error = (y[0, 1, channel] - u[1, channel]).norm()
        assert error < 0.3 * (u[0, channel] - u[1, channel]).norm()
    assert torch.equal(y[0, 1, 2], u[1, 2])


def test_lead_times_of_every_length_are_learnt():
    # The rate is 1 in both channels: with dt from the window itself, u + dt f(u) fits every gap to second order in dt.
    data = Decay(count=64, irregular=True, rates=(1.0, 1.0))
    result = fit(
        tiny(width=16),
        data,
        valid=Decay(count=16, seed=1, irregular=True, rates=(1.0, 1.0)),
        epochs=40,
        settings=settings(batch_size=8),
    )
    assert result.best.valid_loss < 0.05 * persistence_error(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"unroll": 2},
        {"unroll": 1, "pushforward": 2, "noise": 0.01},
        {"precision": "bf16-mixed"},
        {"precision": "64-true"},
        {"loss": relative_l1, "clip_norm": None, "schedule": Constant()},
        {"accumulate": 3, "ema_decay": 0.9},
        {"num_workers": 1},
    ],
    ids=", ".join,
)
def test_every_way_of_training_lowers_the_validation_loss(changes):
    data, valid = Decay(count=24, frames=4), Decay(count=8, frames=4, seed=1)
    operator = tiny()
    before = fit(tiny(), data, valid=valid, epochs=1, lr=1e-12, settings=settings(**changes)).best.valid_loss
    result = fit(operator, data, valid=valid, epochs=8, settings=settings(**changes))
    assert result.best.valid_loss < 0.9 * before


def test_micro_batches_do_not_change_the_result():
    data = Decay(count=21)
    ours, theirs = tiny(), tiny()
    for operator, accumulate in ((ours, 1), (theirs, 4)):
        fit(operator, data, epochs=3, settings=settings(accumulate=accumulate, batch_size=8))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    data = Decay(count=20, frames=4)
    runs = [tiny(dropout=0.2) for _ in range(3)]
    for operator, seed in zip(runs, (1, 1, 2)):
        torch.rand(7)
        fit(operator, data, epochs=2, settings=settings(seed=seed, noise=0.1, unroll=1))
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0]), weights(runs[2]))


def test_worker_processes_do_not_change_the_weights():
    data = Decay(count=20, frames=4)
    runs = [tiny(dropout=0.2), tiny(dropout=0.2)]
    for operator, workers in zip(runs, (0, 2)):
        fit(operator, data, epochs=2, settings=settings(num_workers=workers, unroll=1))
    assert torch.equal(weights(runs[0]), weights(runs[1]))


def test_the_callers_random_numbers_are_left_alone():
    operator = tiny()
    numpy, torchs = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002 (the global generator is meant)
    fit(operator, Decay(), epochs=1, settings=settings(noise=0.1))
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torchs)


def test_the_normalisation_of_the_data_is_taken_unless_one_is_set():
    data, operator, own = Decay(), tiny(), tiny()
    own.normalization.set([1.0, 2.0, 0.0], [3.0, 4.0, 1.0], [1.0, 1.0, 0.0], 0.5)
    for each in (operator, own):
        fit(each, data, epochs=1, settings=QUIET)
    np.testing.assert_allclose(operator.normalization.mean, data.statistics.mean, rtol=1e-6)
    assert own.normalization.std.tolist() == [3, 4, 1] and float(own.normalization.dt) == 0.5


def test_the_best_weights_are_kept():
    # The learning rate ruins what it had found: the best epoch is not the last.
    class Ruin:
        def __call__(self, epoch, epochs):
            return 1.0 if epoch < 5 else 300.0

    valid = Decay(count=8, seed=1)
    result = fit(tiny(), Decay(), valid=valid, epochs=8, settings=settings(schedule=Ruin()))
    losses = [record.valid_loss for record in result.history]
    assert result.best.valid_loss == min(losses) < losses[-1]
    again = fit(result.operator, Decay(), valid=valid, epochs=1, lr=1e-12, settings=QUIET).best.valid_loss
    assert again == pytest.approx(min(losses), rel=1e-5)


def test_patience_ends_a_training_that_no_longer_improves():
    class Ruin:
        def __call__(self, epoch, epochs):
            return 1.0 if epoch < 2 else 300.0

    result = fit(tiny(), Decay(), valid=Decay(seed=1), epochs=50, settings=settings(schedule=Ruin(), patience=3))
    assert result.stopped_early
    assert len(result.history) == result.best.epoch + 3


def test_averaged_weights_are_the_mean_of_those_of_each_step():
    data, seen = Decay(count=16), []

    class Recorder(Tiny):
        def forward(self, t, dt, u):
            if self.training:
                seen.append(self.inner.weight.detach().clone())
            return super().forward(t, dt, u)

    torch.manual_seed(0)
    operator = Recorder()
    schedule = Constant()
    fit(operator, data, epochs=6, settings=settings(schedule=schedule, ema_decay=0.5, batch_size=8))
    torch.manual_seed(0)
    last = Recorder()
    fit(last, data, epochs=6, settings=settings(schedule=schedule, batch_size=8))
    mean = seen[0]
    for step, weight in enumerate([*seen[1:12], last.inner.weight.detach()], start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * weight
    torch.testing.assert_close(operator.inner.weight.detach(), mean, rtol=1e-5, atol=1e-7)


def test_validation_measures_one_step_and_rollout():
    data = Decay(count=12, frames=4, irregular=True)
    result = fit(tiny(), data, valid=data, epochs=1, lr=1e-12, settings=settings(rollout=True, unroll=1, batch_size=5))
    operator, expected = result.operator, {"one_step": [], "rollout": []}
    std = operator.normalization.std[:2, None]
    for k in range(len(data)):
        t, u = data[k]
        with torch.no_grad():
            one = torch.cat([operator(t[None, j], t[None, j + 1] - t[None, j], u[None, j]).y for j in range(3)])
            y = u[None, 0]
            far = []
            for j in range(3):
                y = operator(t[None, j], t[None, j + 1] - t[None, j], y).y
                far.append(y)
        for name, states in (("one_step", one), ("rollout", torch.cat(far))):
            expected[name].append(float(((states - u[1:])[:, :2] / std).square().mean()))
    assert result.best.valid_loss == pytest.approx(np.mean(expected["one_step"]), rel=1e-4)
    assert result.best.rollout_loss == pytest.approx(np.mean(expected["rollout"]), rel=1e-4)
    assert result.best.criterion == result.best.rollout_loss


def test_out_gets_a_log_and_a_checkpoint_that_gives_the_same_prediction(tmp_path):
    data = Decay()
    result = fit(tiny(), data, valid=Decay(seed=1), epochs=3, out=tmp_path / "run", settings=QUIET)
    with open(tmp_path / "run" / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["valid_loss"]) for row in rows] == [record.valid_loss for record in result.history]
    loaded = load_operator(result.path, operator_class=Tiny)
    t, u = data[0]
    inputs = t[None, 0], t[None, 1] - t[None, 0], u[None, 0]
    assert torch.equal(loaded(*inputs).y, result.operator(*inputs).y)
    assert read_checkpoint(result.path).training["settings"]["lr"] == 1e-2


def test_tensorboard_events_are_written_when_asked_for(tmp_path):
    fit(tiny(), Decay(), epochs=2, out=tmp_path, settings=settings(tensorboard=True))
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_a_missing_tensorboard_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"sciml\[logging\]"):
        fit(tiny(), Decay(), epochs=1, out=tmp_path, settings=settings(tensorboard=True))


def test_an_epoch_is_a_line_on_stderr(capsys):
    fit(tiny(), Decay(), epochs=2, settings=settings(quiet=False))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:3] for line in lines] == [["epoch", "1", "train"], ["epoch", "2", "train"]]


def without_frames(data):
    data.t, data.u = data.t[:0], data.u[:0]
    return data


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"operator": tiny(channels=CHANNELS[:2])},
            r"\(density, velocity_x\), got \(density, velocity_x, wall \(static\)\)",
        ),
        ({"operator": tiny(channels=(Channel("density", "g"), *CHANNELS[1:]))}, "density of train in g, .*got kg m-3"),
        ({"operator": torch.nn.Linear(2, 2)}, "attribute channels, got a Linear"),
        ({"train": without_frames(Decay())}, "train to hold at least one window"),
        ({"valid": without_frames(Decay())}, "valid to hold at least one window"),
        ({"settings": settings(unroll=2)}, r"at least 3 frames in train \(unroll=2, pushforward=0\), got 2.*window=3"),
        ({"settings": settings(pushforward=1)}, r"at least 3 frames"),
        ({"settings": settings(patience=2)}, "validation data for patience=2"),
        ({"settings": settings(tensorboard=True)}, "Expected `out` for tensorboard"),
        ({"settings": settings(device="tpu")}, "Expected device .* got 'tpu'"),
        ({"settings": settings(device="cuda:99")}, "at least 100 GPUs"),
    ],
)
def test_bad_input_is_refused_with_the_way_out(arguments, message):
    given = {"operator": tiny(), "train": Decay(), "settings": QUIET} | arguments
    with pytest.raises(ValueError, match=message):
        fit(given["operator"], given["train"], valid=given.get("valid"), epochs=1, settings=given["settings"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"lr": -1.0},
        {"lr": float("nan")},
        {"ema_decay": 1.0},
        {"noise": -0.1},
        {"unroll": 0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"Expected .*{next(iter(wrong))}"):
        FitSettings(**wrong)


def test_an_operator_without_parameters_is_refused():
    operator = tiny()
    for parameter in operator.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(ValueError, match="parameters to train"):
        fit(operator, Decay(), epochs=1, settings=QUIET)


def test_a_nan_loss_stops_with_its_place_and_leaves_the_good_state(tmp_path):
    data = Decay(count=12)

    class Poisoned(type(data)):
        def __getitem__(self, index):
            t, u = super().__getitem__(index)
            return t, u * (torch.nan if self.poisoned else 1.0)

    bad = Poisoned(count=12)
    bad.poisoned = False
    fit(tiny(), bad, epochs=2, out=tmp_path, settings=settings(batch_size=4))
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    bad.poisoned = True
    with pytest.raises(TrainingError, match=r"nan in epoch 3, step 1 of 3 \(lr .*Lower lr"):
        fit(tiny(), bad, epochs=4, out=tmp_path, settings=settings(batch_size=4))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")} == files


def test_settings_are_json():
    stored = json.loads(json.dumps(settings(loss=mean_square).as_json()))
    settings(loss=mean_square).check_resumable(stored)
    with pytest.raises(ValueError, match=r"loss='mean_square' \(now 'relative_l1'\)"):
        settings(loss=relative_l1).check_resumable(stored)
