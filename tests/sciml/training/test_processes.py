"""Training in several processes, started by torchrun: as replicas and with divided weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sciml.checkpoint import load_operator
from sciml.training.sharding import shard
from sciml.training.state import StateFolder
from tests.sciml.training.distributed import TASKS, frozen_task, summary, train
from tests.sciml.training.tiny import small_poseidon, tiny

ROOT = Path(__file__).parents[3]
NAMES = ("plain-ddp", "tiny-ddp", "tiny-fsdp", "poseidon-ddp", "poseidon-fsdp")


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
def folder(tmp_path_factory):
    """Of the runs, and of the results of both processes."""
    folder = tmp_path_factory.mktemp("torchrun")
    torchrun(folder, *NAMES)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process makes of the same tasks."""
    folder = tmp_path_factory.mktemp("alone")
    tasks = {"plain": train, **{name: lambda out, task=task: task(out, "ddp") for name, task in TASKS.items()}}
    return {name: summary(task(folder / name)) for name, task in tasks.items()}


@pytest.mark.parametrize("name", NAMES)
def test_all_processes_end_with_the_same_weights(folder, name):
    results = [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert torch.equal(vector(results[0]["weights"]), vector(results[1]["weights"]))
    assert results[0]["losses"] == results[1]["losses"]


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_train_like_one_with_the_same_batches(folder, alone, name):
    found = torch.load(folder / f"{name}-0.pt", weights_only=True)
    expected = alone[name.partition("-")[0]]
    torch.testing.assert_close(vector(found["weights"]), vector(expected["weights"]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.tensor(found["losses"]), torch.tensor(expected["losses"]), rtol=1e-5, atol=1e-6)


def test_weights_are_divided_when_asked_for_and_block_by_block(folder):
    divided = {name: torch.load(folder / f"{name}-1.pt", weights_only=True)["divided"] for name in NAMES}
    assert not divided["plain-ddp"] and not divided["poseidon-ddp"]
    assert divided["tiny-fsdp"] == ["TrainingObjective"] * 2
    once = divided["poseidon-fsdp"][: len(divided["poseidon-fsdp"]) // 3]
    assert once.count("TransformerBlock") == 6 and once[-1] == "TrainingObjective"


@pytest.mark.parametrize("name", ["poseidon-ddp", "poseidon-fsdp"])
def test_checkpoints_are_whole_ones(folder, name):
    assert len(StateFolder(folder / name).paths()) == 2
    operator = load_operator(folder / name / "operator.safetensors")
    found = torch.load(folder / f"{name}-0.pt", weights_only=True)["weights"]
    assert torch.equal(vector(operator.state_dict()), vector(found))


@pytest.mark.parametrize("value", [torch.ones(()), torch.ones(3, dtype=torch.complex64)], ids=["number", "complex"])
def test_weights_that_cannot_be_divided_are_refused(value):
    operator = tiny()
    operator.odd = torch.nn.Parameter(value)
    with pytest.raises(ValueError, match=r"got odd, .*strategy='ddp'"):
        shard(operator, None)


def test_a_training_with_divided_weights_goes_on_in_one_process(folder, alone):
    continued = summary(frozen_task(folder / "poseidon-fsdp", "ddp", small_poseidon(), epochs=(3,)))
    expected = alone["poseidon"]["losses"]
    torch.testing.assert_close(torch.tensor(continued["losses"])[:2], torch.tensor(expected), rtol=1e-5, atol=1e-6)
    assert continued["losses"][2][0] < continued["losses"][1][0]
