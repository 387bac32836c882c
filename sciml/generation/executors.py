"""Where shards are made: in this process, in a pool of processes, or on a dask.distributed cluster.

Each yields finished shards in whatever order they come. Only the caller touches the disk: workers need no shared file
system, and a worker that dies leaves nothing behind. A few shards are in flight at a time, so that a slow disk bounds
memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for_sentinel
from typing import Any

from sciml.generation.errors import GenerationError
from sciml.generation.recipe import Recipe
from sciml.generation.shard import Shard, make_shard

IN_FLIGHT = 2  # shards per worker: one being made, one ready to start
PATIENCE = 20  # seconds that a scheduler has to answer


def in_process(recipe: Recipe, indices: Sequence[int]) -> Iterator[Shard]:
    """One shard after the other, here."""
    for index in indices:
        yield make_shard(recipe, index)


def in_pool(recipe: Recipe, indices: Sequence[int], workers: int) -> Iterator[Shard]:
    """In ``workers`` spawned processes of one thread each.

    Raises:
        GenerationError: a trajectory does not stay finite, or a worker was killed or could not start.
    """
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, max(1, len(indices))), mp_context=context, initializer=_begin_worker)
    try:
        yield from _completed(pool, recipe, indices, IN_FLIGHT * workers)
        pool.shutdown()
    except BrokenProcessPool:
        raise GenerationError(
            "A worker process ended. If it was killed, most likely for lack of memory, use fewer workers or a smaller "
            "shard_size; if none could start (a script needs `if __name__ == '__main__':`), use workers=1."
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()


def on_cluster(recipe: Recipe, indices: Sequence[int], address: str) -> Iterator[Shard]:
    """On the workers of the dask scheduler at ``address``, such as "tcp://10.0.0.1:8786".

    Raises:
        GenerationError: the scheduler cannot be reached, a trajectory does not stay finite, or workers keep dying.
        ValueError: dask.distributed is not installed.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise ValueError("dask_address needs dask.distributed. Install it: pip install 'sciml[cluster]'.") from None
    try:
        client = Client(address, set_as_default=False, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise GenerationError(
            f"No dask scheduler answers at {address} ({type(error).__name__}). Start one with `dask scheduler`, "
            "workers with `dask worker ADDRESS`, or leave dask_address out to run on this machine."
        ) from None
    try:
        yield from _gathered(client, recipe, indices)
    except KilledWorker:
        raise GenerationError(
            "The cluster's workers were killed again and again, most likely for lack of memory. "
            "Use a smaller shard_size."
        ) from None
    finally:
        client.close()


def _completed(pool: ProcessPoolExecutor, recipe: Recipe, indices: Sequence[int], limit: int) -> Iterator[Shard]:
    left = iter(indices)
    pending: set[Future[Shard]] = {pool.submit(make_shard, recipe, index) for index in islice(left, limit)}
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        pending |= {pool.submit(make_shard, recipe, index) for index in islice(left, len(done))}
        for future in done:
            yield future.result()


def _gathered(client: Any, recipe: Recipe, indices: Sequence[int]) -> Iterator[Shard]:
    from distributed import as_completed

    def submit(count: int) -> list[Any]:
        # Not pure: dask would otherwise hand out the result of an earlier run that it still holds.
        return [client.submit(make_shard, recipe, index, pure=False) for index in islice(left, count)]

    left = iter(indices)
    threads = sum(worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())
    completed = as_completed(submit(IN_FLIGHT * max(1, threads)), loop=client.loop)
    for future in completed:
        shard = future.result()
        future.release()
        for more in submit(1):
            completed.add(more)
        yield shard


def _begin_worker() -> None:
    """Die with the parent: silently on Ctrl-C, and when it was killed (a pool alone would wait for ever)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait_for_sentinel([sentinel])
    os._exit(1)
