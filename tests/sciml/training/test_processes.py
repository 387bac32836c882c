"""Training in several processes, started by torchrun."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sciml.training.state import StateFolder
from tests.sciml.training.distributed import train

ROOT = Path(__file__).parents[3]


def torchrun(*arguments):
    """Two processes on the CPU."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    script = ["-m", "tests.sciml.training.distributed", *map(str, arguments)]
    done = subprocess.run(command + script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def vector(state):
    return torch.cat([value.flatten().double() for value in state.values()])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of each process."""
    folder = tmp_path_factory.mktemp("torchrun")
    torchrun(folder / "run", folder / "result")
    assert len(StateFolder(folder / "run").paths()) == 2
    return [torch.load(folder / f"result-{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_all_processes_end_with_the_same_weights(results):
    assert torch.equal(vector(results[0]["weights"]), vector(results[1]["weights"]))
    assert results[0]["losses"] == results[1]["losses"]


def test_two_processes_train_like_one_with_the_same_batches(results, tmp_path):
    alone = train(tmp_path)
    torch.testing.assert_close(vector(results[0]["weights"]), vector(alone.operator.state_dict()), rtol=1e-5, atol=1e-6)
    losses = [(record.train_loss, record.valid_loss) for record in alone.history]
    torch.testing.assert_close(torch.tensor(results[0]["losses"]), torch.tensor(losses), rtol=1e-5, atol=1e-6)
