"""Killed, interrupted and damaged trainings end in the weights of an undisturbed one, to the last bit.

Trainings that are killed run in forked processes.
"""

import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace

import pytest
import torch

import sciml.tensor_file
from sciml.training import FitSettings, StepDecay, fit
from sciml.training.state import StateFolder, TrainingState
from tests.sciml.training.tiny import Decay, Tiny, tiny, weights

# Everything that carries something from one step to the next is on.
SETTINGS = FitSettings(
    quiet=True,
    device="cpu",
    epochs=4,
    batch_size=4,
    lr=1e-2,
    schedule=StepDecay(every=2),
    unroll=1,
    noise=0.1,
    ema_decay=0.9,
    save_steps=1,
    accumulate=2,
)


class SlowDecay(Decay):
    """A disk that takes its time, so that a kill can come at any place."""

    def __getitem__(self, index):
        time.sleep(0.002)
        return super().__getitem__(index)


def train(out, *, slow=False, settings=SETTINGS):
    data = (SlowDecay if slow else Decay)(count=18, frames=3)
    return fit(tiny(dropout=0.3), data, valid=Decay(count=4, seed=1), out=out, settings=settings)


def forked(function, *arguments):
    """A process that runs ``function``, with no import to wait for."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


@pytest.fixture(scope="module")
def undisturbed():
    """The result of a training that nothing is saved of."""
    return train(None)


def assert_same(out, undisturbed):
    result = train(out)
    assert torch.equal(weights(result.operator), weights(undisturbed.operator))
    losses = [
        [(r.epoch, r.steps, r.lr, r.train_loss, r.valid_loss) for r in each.history] for each in (result, undisturbed)
    ]
    assert losses[0] == losses[1]
    assert len((out / "log.csv").read_text().splitlines()) == 1 + SETTINGS.epochs


def test_a_training_killed_at_random_moments_ends_in_the_same_weights(tmp_path, undisturbed):
    moments, kills = random.Random(5), 0
    for _ in range(5):
        process = forked(lambda: train(tmp_path, slow=True))
        process.join(moments.uniform(0.05, 0.3))
        kills += process.exitcode is None
        process.kill()
        process.join()
    assert kills >= 1, "the training ends before the first moment: make it slower"
    assert_same(tmp_path, undisturbed)


def killed_while_saving(out, number, moment):
    """Train until the ``number``-th file is saved, and die in the middle of that."""
    count = 0

    def counted(function, dies_before):
        def wrapper(*arguments, **keywords):
            nonlocal count
            count += 1
            if count == number and dies_before:
                if moment == "half-way":
                    os.truncate(keep(*arguments, **keywords), 700)
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **keywords)
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    def keep(tensors, path, metadata):
        save_file(tensors, path, metadata)
        return path

    save_file = sciml.tensor_file.save_file
    if moment == "half-way":
        sciml.tensor_file.save_file = counted(save_file, dies_before=True)
    else:
        os.replace = counted(os.replace, dies_before=moment == "before the rename")
    train(out)


@pytest.mark.parametrize("moment", ["half-way", "before the rename", "after the rename"])
@pytest.mark.parametrize("number", [1, 6, 7])  # the first state; the first checkpoint; the state of the epoch's end
def test_a_kill_in_the_middle_of_saving_does_no_harm(tmp_path, undisturbed, number, moment):
    process = forked(killed_while_saving, tmp_path, number, moment)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert_same(tmp_path, undisturbed)
    assert not list(tmp_path.glob(".*partial"))


class Interrupted(Decay):
    """Signals its own process when window 3 is read for the second time."""

    number, reads = signal.SIGTERM, 0

    def __getitem__(self, index):
        self.reads += index == 3
        if index == 3 and self.reads == 2:
            os.kill(os.getpid(), self.number)
        return super().__getitem__(index)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_with_a_message(tmp_path, undisturbed, number, capfd):
    def interrupted():
        data = Interrupted(count=18, frames=3)
        data.number = number
        without = replace(SETTINGS, save_steps=None)
        fit(tiny(dropout=0.3), data, valid=Decay(count=4, seed=1), out=tmp_path, settings=without)

    process = forked(interrupted)
    process.join(60)
    assert process.exitcode == 128 + number
    error = capfd.readouterr().err
    assert "The same call resumes it" in error and str(tmp_path) in error and "Traceback" not in error
    state = TrainingState.read(StateFolder(tmp_path).newest())
    assert (state.position.epoch, state.position.step > 0) == (1, True)
    result = train(tmp_path)
    assert torch.equal(weights(result.operator), weights(undisturbed.operator))


def test_signals_act_as_before_once_training_is_over(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    train(tmp_path)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def stopped_after(out, epochs):
    return train(out, settings=replace(SETTINGS, epochs=epochs))


def damage(path, how):
    content = path.read_bytes()
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "empty":
        content = b""
    elif how == "a flipped bit":
        content = content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]
    elif how == "HTML":
        content = b"<html>404</html>" * 100
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["truncated", "empty", "a flipped bit", "HTML"])
def test_a_damaged_state_is_replaced_by_the_one_before(tmp_path, undisturbed, how):
    stopped_after(tmp_path, 2)
    newest = StateFolder(tmp_path).paths()[-1]
    damage(newest, how)
    with pytest.warns(UserWarning, match=rf"{newest.name}.*Going back"):
        assert_same(tmp_path, undisturbed)
    assert newest.with_name(newest.name + ".damaged").exists()


@pytest.mark.filterwarnings("ignore:.*Going back")
def test_damage_to_all_states_is_an_error_that_says_what_to_do(tmp_path):
    stopped_after(tmp_path, 1)
    for path in StateFolder(tmp_path).paths():
        damage(path, "truncated")
    with pytest.raises(ValueError, match=r"no state in it can be read.*Delete it"):
        train(tmp_path)


def test_two_states_are_kept(tmp_path):
    train(tmp_path)
    assert len(StateFolder(tmp_path).paths()) == 2


def test_a_finished_training_is_not_repeated(tmp_path, undisturbed):
    first = train(tmp_path)
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("state-*")}
    again = train(tmp_path)
    assert again.history == first.history
    assert torch.equal(weights(again.operator), weights(undisturbed.operator))
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("state-*")} == files


def test_more_epochs_prolong_a_training(tmp_path, undisturbed):
    # StepDecay does not look at the number of epochs, so the longer run has the same beginning.
    stopped_after(tmp_path, 2)
    assert_same(tmp_path, undisturbed)


def test_a_state_of_before_there_were_groups_is_resumed(tmp_path, undisturbed):
    stopped_after(tmp_path, 2)
    path = StateFolder(tmp_path).newest()
    state = TrainingState.read(path)
    known = {
        name: value for name, value in state.settings.items() if name not in ("betas", "eps", "groups", "strategy")
    }
    replace(state, settings=known, checks={}).write(path)
    assert_same(tmp_path, undisturbed)


def test_a_loss_scale_of_half_precision_is_resumed(tmp_path):
    half = replace(SETTINGS, precision="16-mixed")
    whole = train(None, settings=half)
    train(tmp_path, settings=replace(half, epochs=2))
    assert TrainingState.read(StateFolder(tmp_path).newest()).scaler["scale"] > 0
    assert torch.equal(weights(train(tmp_path, settings=half).operator), weights(whole.operator))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"lr": 2e-2, "noise": 0.0}, r"lr=0.01 \(now 0.02\), noise=0.1 \(now 0.0\)"), ({"resume": False}, "resume=False")],
    ids=str,
)
def test_another_training_in_the_same_folder_is_refused(tmp_path, changes, message):
    stopped_after(tmp_path, 1)
    with pytest.raises(ValueError, match=message):
        train(tmp_path, settings=replace(SETTINGS, **changes))


def test_another_operator_or_other_data_in_the_same_folder_are_refused(tmp_path):
    stopped_after(tmp_path, 1)
    with pytest.raises(ValueError, match=r"inner.weight of shape \(8, 4, 3\).*found \(4, 4, 3\)"):
        fit(tiny(width=8), Decay(count=18, frames=3), out=tmp_path, settings=SETTINGS)
    with pytest.raises(ValueError, match=r"18 windows .* got 17"):
        fit(Tiny(), Decay(count=17, frames=3), out=tmp_path, settings=SETTINGS)


def test_a_state_is_plain_tensors_and_json(tmp_path):
    stopped_after(tmp_path, 1)
    content = StateFolder(tmp_path).paths()[-1].read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    stored = json.loads(header["__metadata__"]["sciml"])
    assert stored["header"]["position"]["epoch"] == 1
    assert {name.split("/")[0] for name in header if name != "__metadata__"} == {
        "operator",
        "optimizer",
        "average",
        "best",
    }
