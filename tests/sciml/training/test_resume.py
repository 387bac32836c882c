"""Killed, interrupted and damaged trainings end in the weights of an undisturbed one, to the last bit.

Trainings that are killed run in processes of their own.
"""

import json
import multiprocessing
import os
import random
import signal
from dataclasses import replace

import pytest
import torch

from sciml.training import fit
from sciml.training.state import StateFolder, TrainingState
from tests.sciml.training.killed import SETTINGS, interrupted, killed_while_saving, train, train_slowly
from tests.sciml.training.tiny import Decay, Tiny, tiny, weights


@pytest.fixture(scope="module")
def started():
    """Starts a process that runs a function of ``tests.sciml.training.killed``, with no import to wait for.

    A server is forked that has done nothing but the imports: this process may have threads that no fork survives.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([train.__module__])
    ready = context.Process(target=os.getpid)
    ready.start()
    ready.join()

    def start(function, *arguments):
        process = context.Process(target=function, args=arguments)
        process.start()
        return process

    return start


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


def test_a_training_killed_at_random_moments_ends_in_the_same_weights(tmp_path, undisturbed, started):
    moments, kills = random.Random(5), 0
    for _ in range(5):
        process = started(train_slowly, tmp_path)
        process.join(moments.uniform(0.05, 0.3))
        kills += process.exitcode is None
        process.kill()
        process.join()
    assert kills >= 1, "the training ends before the first moment: make it slower"
    assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize("moment", ["half-way", "before the rename", "after the rename"])
@pytest.mark.parametrize("number", [1, 6, 7])  # the first state; the first checkpoint; the state of the epoch's end
def test_a_kill_in_the_middle_of_saving_does_no_harm(tmp_path, undisturbed, started, number, moment):
    process = started(killed_while_saving, tmp_path, number, moment)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert_same(tmp_path, undisturbed)
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_with_a_message(tmp_path, undisturbed, started, number):
    errors = tmp_path.with_name(tmp_path.name + "-errors")
    process = started(interrupted, tmp_path, number, errors)
    process.join(60)
    assert process.exitcode == 128 + number
    error = errors.read_text()
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
