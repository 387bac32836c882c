"""The same bytes from one process, from a pool and from a cluster."""

import multiprocessing

import pytest

from sciml.generation.errors import GenerationError
from sciml.generation.make import make


@pytest.fixture(scope="module")
def scheduler():
    """The address of a dask cluster of two worker processes on this machine."""
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", **settings) as cluster:
        yield cluster.scheduler_address


def test_a_pool_writes_the_same_bytes_and_counts_alike(tubes, finished, tmp_path):
    seen = []
    out = make(tubes(), tmp_path / "tubes.h5", workers=2, progress=lambda done, total: seen.append(done))
    assert out.read_bytes() == finished.read_bytes()
    assert seen[0] == 0 and seen[-1] == 10 and seen == sorted(seen)
    assert not multiprocessing.active_children()


def test_a_cluster_writes_the_same_bytes(tubes, finished, scheduler, tmp_path):
    out = make(tubes(), tmp_path / "tubes.h5", dask_address=scheduler)
    assert out.read_bytes() == finished.read_bytes()


def test_a_cluster_names_the_broken_trajectory(breaking, scheduler, tmp_path):
    with pytest.raises(GenerationError, match=r"Trajectory 0 of fitzhugh-nagumo-2d .*broke down"):
        make(breaking, tmp_path / "tubes.h5", dask_address=scheduler)
    assert not list(tmp_path.glob("**/*.h5"))


def test_a_cluster_goes_on_where_another_executor_stopped(tubes, finished, scheduler, tmp_path):
    def stop(done, total):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tubes(), tmp_path / "tubes.h5", progress=stop)
    seen = []
    make(tubes(), tmp_path / "tubes.h5", dask_address=scheduler, progress=lambda done, total: seen.append(done))
    assert seen[0] == 6 and (tmp_path / "tubes.h5").read_bytes() == finished.read_bytes()


def test_a_scheduler_that_is_not_there_is_named(tubes, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    from sciml.generation import executors

    monkeypatch.setattr(executors, "PATIENCE", 1)
    with pytest.raises(GenerationError, match=r"No dask scheduler answers at tcp://127\.0\.0\.1:9"):
        make(tubes(), tmp_path / "tubes.h5", dask_address="tcp://127.0.0.1:9")
