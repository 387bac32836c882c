"""A training to be started by torchrun with one process: arguments device and folder; it checks what it finds."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from sciml.training import Constant, FitSettings, fit
from tests.sciml.training.tiny import Decay, small_poseidon, small_waves, tiny, weights

SETTINGS = FitSettings(quiet=True, batch_size=4, lr=1e-2, schedule=Constant(), unroll=1, ema_decay=0.9, accumulate=2)


def small(out, settings, epochs):
    return fit(
        tiny(), Decay(count=18, frames=3), valid=Decay(count=4, seed=1), epochs=epochs, out=out, settings=settings
    )


def poseidon(out, settings, epochs):
    settings = replace(settings, lr=1e-3)
    return fit(
        small_poseidon(), small_waves(7), valid=small_waves(3, seed=1), epochs=epochs, out=out, settings=settings
    )


def losses(result):
    return torch.tensor([(record.train_loss, record.valid_loss) for record in result.history])


def main(device, folder):
    """Each strategy and precision, resumed after an epoch, beside one process without torchrun."""
    backend = "nccl" if device == "cuda" else "gloo"
    for task in (small, poseidon):
        for strategy, precision in (("ddp", "32-true"), ("fsdp", "32-true"), ("fsdp", "bf16-mixed")):
            settings = replace(SETTINGS, device=device, strategy=strategy, precision=precision)
            out = Path(folder) / f"{task.__name__}-{strategy}-{precision}"
            for epochs in (1, 2):
                result = task(out, settings, epochs)
            torch.save({"losses": losses(result), "weights": weights(result.operator)}, out / "result.pt")
            assert backend in torch.distributed.get_backend(), torch.distributed.get_backend()
            assert (out / "operator.safetensors").is_file()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    main(*sys.argv[1:])
