"""Handles: one per file and process, renewed when the file changes or the process forks, never without bound."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from sciml.datasets import handles
from sciml.datasets.handles import close_all, h5_file
from tests.datasets.builders import write_h5


@pytest.fixture(autouse=True)
def closed():
    close_all()
    yield
    close_all()


def test_a_file_is_opened_once(tmp_path):
    path = write_h5(tmp_path / "a.h5", {"u": np.arange(3)})
    assert h5_file(path) is h5_file(str(path))


def test_a_rewritten_file_is_opened_anew(tmp_path):
    path = write_h5(tmp_path / "a.h5", {"u": np.arange(3)})
    first = h5_file(path)
    write_h5(tmp_path / "b.h5", {"u": np.arange(7)})
    os.replace(tmp_path / "b.h5", path)
    assert h5_file(path) is not first and h5_file(path)["u"].shape == (7,)


def test_no_more_than_the_limit_stay_open(tmp_path):
    paths = [write_h5(tmp_path / f"{i}.h5", {"u": np.arange(3)}) for i in range(handles.LIMIT + 5)]
    first = h5_file(paths[0])
    for path in paths:
        h5_file(path)
    assert len(handles._open) == handles.LIMIT
    assert first["u"].shape == (3,)  # whoever still holds it may go on reading
    assert h5_file(paths[0]) is not first


def test_a_forked_process_opens_its_own(tmp_path):
    path = write_h5(tmp_path / "a.h5", {"u": np.arange(3)})
    h5_file(path)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if not_inherited(path) else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert done == (child, 0)
    assert h5_file(path)["u"][2] == 2


def not_inherited(path) -> bool:
    before = len(handles._open)
    values = h5_file(path)["u"][:]
    return before == 1 and handles._owner == os.getpid() and values.tolist() == [0, 1, 2]


def test_a_closed_handle_is_replaced(tmp_path):
    path = write_h5(tmp_path / "a.h5", {"u": np.arange(3)})
    h5_file(path).close()
    assert h5_file(path)["u"][0] == 0


def test_a_file_held_by_another_writer_can_be_read(tmp_path):
    path = tmp_path / "a.h5"
    script = (
        "import h5py, sys; f = h5py.File(sys.argv[1], 'w'); f['u'] = [1, 2]; f.flush(); print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "1\n"
        assert h5_file(path)["u"][1] == 2
        writer.communicate("\n")
