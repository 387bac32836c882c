"""A training to be started by torchrun: arguments task, out and result; each process writes result-RANK.pt."""

import os
import sys
from dataclasses import replace

import torch
import torch.distributed.fsdp

from sciml.operators import Poseidon
from sciml.training import Constant, FitSettings, Mixture, PoseidonGroups, fit, freeze_latent
from tests.sciml.training.tiny import Decay, small_poseidon, small_waves, tiny

# 22 windows in batches of 5: the last has two for two processes, and every other divides unevenly.
SETTINGS = FitSettings(quiet=True, device="cpu", batch_size=5, lr=1e-2, accumulate=2, unroll=1, ema_decay=0.9)
GROUPS = PoseidonGroups(lr_embedding=2e-3, lr_time=5e-3)


def tiny_task(out, strategy):
    """Two epochs and, resumed by a new operator, two more; the weights of the first process count."""
    settings = replace(SETTINGS, strategy=strategy, unroll=2, rollout=True, pushforward=1)
    for epochs in (2, 4):
        operator = tiny(seed=int(os.environ.get("RANK", 0)))
        train = Mixture([Decay(count=16, frames=4), Decay(count=6, frames=4, seed=2)], temperature=2.0)
        valid = Decay(count=7, frames=3, seed=1, irregular=True)
        result = fit(operator, train, valid=valid, epochs=epochs, out=out, settings=settings)
    return result


def poseidon_task(out, strategy):
    """Groups with rates of their own; in the second half the latent is frozen, in a run of its own."""
    settings = replace(SETTINGS, strategy=strategy, groups=GROUPS, lr=1e-3, epochs=1)
    operator = small_poseidon(seed=int(os.environ.get("RANK", 0)))
    operator.network.checkpointing = strategy == "fsdp"  # which must make no difference
    fit(operator, small_waves(7), valid=small_waves(3, seed=1), settings=settings)
    return frozen_task(out, strategy, operator, epochs=(1, 2))


def frozen_task(out, strategy, operator, *, epochs):
    """A training of embedding and recovery, stopped and resumed after these epochs."""
    settings = replace(SETTINGS, strategy=strategy, groups=GROUPS, lr=1e-3, schedule=Constant())
    for number in epochs:
        model = Poseidon(**operator.config)
        model.load_state_dict(operator.state_dict())
        freeze_latent(model)
        result = fit(model, small_waves(7), valid=small_waves(3, seed=1), epochs=number, out=out, settings=settings)
    return result


TASKS = {"tiny": tiny_task, "poseidon": poseidon_task}


def train(out):
    """The plain task: pairs of frames, two epochs and two more."""
    for epochs in (2, 4):
        operator = tiny(seed=int(os.environ.get("RANK", 0)))
        result = fit(operator, Decay(count=22), valid=Decay(count=7, seed=1), epochs=epochs, out=out, settings=SETTINGS)
    return result


def summary(result):
    """What is compared: weights and losses."""
    losses = [
        (record.train_loss, record.valid_loss, record.rollout_loss or 0.0, record.lr) for record in result.history
    ]
    return {"weights": result.operator.state_dict(), "losses": losses}


def counting_divisions():
    """How often a module's weights were divided among the processes, as a list that grows."""
    divided, original = [], torch.distributed.fsdp.fully_shard

    def counted(module, *, mesh):
        divided.append(type(module).__name__)
        return original(module, mesh=mesh)

    torch.distributed.fsdp.fully_shard = counted
    return divided


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, names = sys.argv[1], sys.argv[2:]
    divided = counting_divisions()
    for name in names:  # several in one start of the processes, which takes longer than they do
        task, _, strategy = name.partition("-")
        done = train(f"{folder}/{name}") if task == "plain" else TASKS[task](f"{folder}/{name}", strategy)
        torch.save({**summary(done), "divided": list(divided)}, f"{folder}/{name}-{os.environ['RANK']}.pt")
        divided.clear()
