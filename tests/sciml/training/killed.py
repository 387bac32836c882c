"""Trainings that are killed and interrupted, for processes of their own."""

import os
import signal
import sys
import time
from dataclasses import replace

import sciml.tensor_file
from sciml.training import FitSettings, StepDecay, fit
from tests.sciml.training.tiny import Decay, tiny

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


def train(out, *, data=None, settings=SETTINGS):
    data = Decay(count=18, frames=3) if data is None else data
    return fit(tiny(dropout=0.3), data, valid=Decay(count=4, seed=1), out=out, settings=settings)


def train_slowly(out):
    train(out, data=SlowDecay(count=18, frames=3))


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


class Interrupted(Decay):
    """Signals its own process when window 3 is read for the second time."""

    number, reads = signal.SIGTERM, 0

    def __getitem__(self, index):
        self.reads += index == 3
        if index == 3 and self.reads == 2:
            os.kill(os.getpid(), self.number)
        return super().__getitem__(index)


def interrupted(out, number, errors):
    """Train with a signal underway; what is written to standard error goes to the file ``errors``."""
    sys.stderr = errors.open("w", buffering=1)
    data = Interrupted(count=18, frames=3)
    data.number = number
    train(out, data=data, settings=replace(SETTINGS, save_steps=None))
