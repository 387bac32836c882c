"""kill -9 at any moment, then again: the bytes of an uninterrupted run."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sciml.generation.make import make
from sciml.generation.store import parts_of

RECIPE = """
from sciml.generation.catalogue import FAMILIES
from sciml.generation.make import make
from sciml.generation.recipe import Recipe

recipe = Recipe(FAMILIES["euler-1d-riemann"], trajectories=10, size=16, frames=3, shard_size={shard_size})
"""

# Forks a run and kills it, first at given places, then after ever longer times, until one lives to the end.
KILLER = (
    RECIPE
    + """
import multiprocessing, os, signal, sys
from pathlib import Path
from sciml.generation import store

def killing(module, name, call):
    original, calls = getattr(module, name), []
    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)
    setattr(module, name, dying)

PLACES = [(store, "_write_json", 1), (store, "_write_json", 3), (store, "write_shard", 2), (store, "merge_shards", 1)]
PLACES += [(store.h5py, "File", 12), (store.ShardStore, "remove", 1)]

def run(out, place):
    if place is not None:
        killing(*place)
    make(recipe, out)

fork, out, killed, delay = multiprocessing.get_context("fork"), Path(sys.argv[1]), 0, 0.02
while not out.exists() or store.parts_of(out).exists():
    place = PLACES[killed] if killed < len(PLACES) else None
    child = fork.Process(target=run, args=(out, place))
    child.start()
    child.join(None if place else delay)
    child.kill()
    child.join()
    if child.exitcode == -signal.SIGKILL:
        killed += 1
    elif place is not None:
        PLACES.pop(killed)
    delay *= 1.25
print(killed)
"""
)

POOL = (
    RECIPE
    + """
import multiprocessing, sys

def progress(done, total):
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)

if __name__ == "__main__":
    make(recipe, sys.argv[1], workers=2, progress=progress)
"""
)


def alive(pid):
    """Whether a process runs (one that ended but was not reaped does not)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_kills_at_any_moment_cost_no_byte(tubes, tmp_path):
    whole = make(tubes(shard_size=2), tmp_path / "whole.h5").read_bytes()
    out = tmp_path / "killed.h5"
    script = KILLER.format(shard_size=2)
    done = subprocess.run([sys.executable, "-c", script, str(out)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5
    assert out.read_bytes() == whole


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="watches processes through /proc")
def test_a_killed_run_takes_its_workers_along_and_is_finished_by_another(tubes, tmp_path):
    whole = make(tubes(shard_size=1), tmp_path / "whole.h5").read_bytes()
    out = tmp_path / "killed.h5"
    command = [sys.executable, "-c", POOL.format(shard_size=1), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lines = [parent.stdout.readline() for _ in range(4)]
        parent.send_signal(signal.SIGKILL)
    workers = [int(pid) for pid in lines[-1].split()]
    assert len(workers) == 2 and parts_of(out).is_dir() and not out.exists()
    deadline = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))
    kept = []
    make(tubes(shard_size=1), out, progress=lambda done, total: kept.append(done))
    assert kept[0] >= 2 and out.read_bytes() == whole


@pytest.mark.slow
def test_an_interrupted_pool_stops_at_once_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "tubes.h5"
    command = [sys.executable, "-c", POOL.format(shard_size=1), str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as parent:
        for _ in range(2):
            parent.stdout.readline()
        os.killpg(parent.pid, signal.SIGINT)
        message = parent.communicate(timeout=60)[1]
    assert "shards of" in message and "Run the same command again to go on." in message
    assert not out.exists()
