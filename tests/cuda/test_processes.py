"""Training under torchrun with a single GPU: NCCL, replicas and divided weights."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sciml.training import fit
from tests.cuda.one_process import SETTINGS, losses, poseidon, small
from tests.sciml.training.tiny import Decay, tiny, weights

from .compare import full_precision

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[2]


def test_one_process_trains_with_every_strategy(device: torch.device, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    script = ["-m", "tests.cuda.one_process", device.type, str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command + script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-5000:]
    settings = replace(SETTINGS, device=device.type)
    for task in (small, poseidon):
        with full_precision():
            alone = task(None, settings, 2)
        for name in ("ddp-32-true", "fsdp-32-true", "fsdp-bf16-mixed"):
            found = torch.load(tmp_path / f"{task.__name__}-{name}" / "result.pt", weights_only=True)
            tolerance = 0.2 if "bf16" in name else 1e-3
            torch.testing.assert_close(found["losses"], losses(alone), rtol=tolerance, atol=1e-4)
            if "bf16" not in name:
                torch.testing.assert_close(found["weights"], weights(alone.operator), rtol=1e-3, atol=1e-2)


def test_a_named_device_that_is_not_there_is_refused(device: torch.device) -> None:
    with pytest.raises(ValueError, match="at least 100 GPUs"):
        fit(tiny(), Decay(), epochs=1, settings=replace(SETTINGS, device="cuda:99"))
