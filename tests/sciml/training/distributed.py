"""A training to be started by torchrun: arguments out and result; each process writes result-RANK.pt."""

import os
import sys

import torch

from sciml.training import FitSettings, fit
from tests.sciml.training.tiny import Decay, tiny

# 22 windows in batches of 5: the last has two for two processes, and every other divides unevenly.
SETTINGS = FitSettings(quiet=True, device="cpu", batch_size=5, lr=1e-2, accumulate=2, unroll=1, ema_decay=0.9)


def train(out):
    """Two epochs and, resumed by a new operator, two more; the weights of the first process count."""
    for epochs in (2, 4):
        operator = tiny(seed=int(os.environ.get("RANK", 0)))
        result = fit(operator, Decay(count=22), valid=Decay(count=7, seed=1), epochs=epochs, out=out, settings=SETTINGS)
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    out, result = sys.argv[1:]
    trained = train(out)
    losses = [(record.train_loss, record.valid_loss) for record in trained.history]
    torch.save({"weights": trained.operator.state_dict(), "losses": losses}, f"{result}-{os.environ['RANK']}.pt")
