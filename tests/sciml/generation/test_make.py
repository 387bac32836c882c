import contextlib
import json
import resource

import h5py
import numpy as np
import pytest
import torch

from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from sciml.generation import make as make_module
from sciml.generation.errors import GenerationError, GenerationInterrupted
from sciml.generation.make import is_made, make
from sciml.generation.shard import make_shard
from sciml.generation.store import parts_of


def interrupt_after(shards):
    """A progress callback that presses Ctrl-C."""
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) > shards:
            raise KeyboardInterrupt

    return progress


def test_the_file_holds_what_the_shards_hold(tubes, finished):
    recipe, dataset = tubes(), open_dataset(finished)
    assert len(dataset) == 10 and dataset.channels == tubes().family.channels and dataset.shape == (16,)
    np.testing.assert_allclose(dataset.times_of(0), recipe.times)
    for shard in range(recipe.shards):
        for k, trajectory in zip(recipe.members(shard), make_shard(recipe, shard).trajectories):
            np.testing.assert_array_equal(dataset.read(k), trajectory.u)
            for name, value in trajectory.parameters.items():
                assert dataset.parameters[name][k] == pytest.approx(value, rel=1e-7)


def test_the_file_says_where_it_comes_from(tubes, finished):
    with h5py.File(finished) as file:
        generator, verification = (json.loads(file.attrs[name]) for name in ("generator", "verification"))
    assert generator["recipe"] == tubes().describe()
    assert generator["command"].startswith("sciml data make euler-1d-riemann FILE --trajectories 10 --size 16")
    assert generator["software"]["torch"] == torch.__version__
    assert verification["finite"] is True


def test_splits_and_statistics_of_the_training_split_are_inside(finished):
    dataset = open_dataset(finished)
    assert {name: list(rows) for name, rows in dataset.splits.items()} == {
        "train": list(range(8)),
        "valid": [8],
        "test": [9],
    }
    u = np.stack([dataset.read(k) for k in range(8)]).astype(np.float64)
    np.testing.assert_allclose(dataset.statistics.mean, u.mean(axis=(0, 1, 3)), rtol=1e-6)
    np.testing.assert_allclose(dataset.statistics.std, u.std(axis=(0, 1, 3), ddof=1), rtol=1e-5)


def test_nothing_is_left_beside_the_file(finished):
    assert [entry.name for entry in finished.parent.iterdir()] == ["tubes.h5"]


def test_the_caller_s_thread_count_is_given_back_and_changes_no_bit(tubes):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = make_shard(tubes(), 0)
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        one = make_shard(tubes(), 0)
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(a.u, b.u) for a, b in zip(one.trajectories, two.trajectories))


def test_a_trajectory_starts_alike_whatever_the_shards_and_the_total(tubes):
    first = make_shard(tubes(), 1).trajectories[0]
    alone = make_shard(tubes(trajectories=4, shard_size=1), 3).trajectories[0]
    assert first.parameters == alone.parameters
    np.testing.assert_array_equal(first.u[0], alone.u[0])
    np.testing.assert_allclose(first.u, alone.u, rtol=1e-4, atol=1e-5)


def test_progress_counts_trajectories_to_the_end(tubes, tmp_path):
    seen = []
    make(tubes(), tmp_path / "tubes.h5", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 10), (3, 10), (6, 10), (9, 10), (10, 10)]


def test_a_finished_file_is_left_alone(tubes, finished, monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing is to be made")

    monkeypatch.setattr("sciml.generation.executors.make_shard", refuse)
    stamp, seen = finished.stat().st_mtime_ns, []
    assert is_made(tubes(), finished)
    assert make(tubes(), finished, progress=lambda done, total: seen.append((done, total))) == finished
    assert finished.stat().st_mtime_ns == stamp and seen == [(10, 10)]


def test_another_recipe_at_the_same_place_needs_overwrite(tubes, tmp_path):
    path = make(tubes(), tmp_path / "tubes.h5")
    content = path.read_bytes()
    with pytest.raises(GenerationError, match=r"tubes.h5 was made by another recipe \(seed: 0 there, 1 asked for\)"):
        make(tubes(seed=1), path)
    assert path.read_bytes() == content
    make(tubes(seed=1), path, overwrite=True)
    assert path.read_bytes() != content and is_made(tubes(seed=1), path)


@pytest.mark.parametrize("content", [b"", b"notes", b"\x89HDF\r\n\x1a\n"])
def test_a_file_of_other_origin_is_not_touched(tubes, tmp_path, content):
    path = tmp_path / "notes.h5"
    path.write_bytes(content)
    with pytest.raises(GenerationError, match="is not a generated dataset"):
        make(tubes(), path)
    assert path.read_bytes() == content


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(tubes, tmp_path, finished):
    path, seen = tmp_path / "tubes.h5", []
    with pytest.raises(GenerationInterrupted, match=r"2 of 4 shards of .* are kept. Run the same command again"):
        make(tubes(), path, progress=interrupt_after(2))
    assert not path.exists()
    make(tubes(), path, progress=lambda done, total: seen.append(done))
    assert seen == [6, 9, 10]
    assert path.read_bytes() == finished.read_bytes()


def test_unfinished_work_of_another_recipe_is_not_thrown_away(tubes, tmp_path):
    path = tmp_path / "tubes.h5"
    with pytest.raises(GenerationInterrupted):
        make(tubes(), path, progress=interrupt_after(2))
    with pytest.raises(GenerationError, match=r"unfinished work of another recipe .*frames: 3 there, 4 asked for"):
        make(tubes(frames=4), path)
    assert len(list(parts_of(path).glob("shard-*.h5"))) == 2
    make(tubes(frames=4), path, overwrite=True)
    assert open_dataset(path).lengths.tolist() == [4] * 10


def test_shards_of_other_software_are_made_again(tubes, tmp_path, monkeypatch, finished):
    path, seen = tmp_path / "tubes.h5", []
    with monkeypatch.context() as patch:
        patch.setattr("sciml.generation.store.software", lambda: {"torch": "1.0"})
        with pytest.raises(GenerationInterrupted):
            make(tubes(), path, progress=interrupt_after(2))
    make(tubes(), path, progress=lambda done, total: seen.append(done))
    assert seen[0] == 0 and path.read_bytes() == finished.read_bytes()


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "note"])
def test_a_damaged_shard_is_made_again(tubes, tmp_path, damage, finished):
    path, seen = tmp_path / "tubes.h5", []
    with pytest.raises(GenerationInterrupted):
        make(tubes(), path, progress=interrupt_after(3))
    shard = parts_of(path) / "shard-000001.h5"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    harm = {
        "flip": lambda: shard.write_bytes(content),
        "cut": lambda: shard.write_bytes(content[:100]),
        "remove": shard.unlink,
        "note": lambda: shard.with_suffix(".json").write_text("{"),
    }
    harm[damage]()
    make(tubes(), path, progress=lambda done, total: seen.append(done))
    assert seen == [6, 9, 10]
    assert path.read_bytes() == finished.read_bytes()


def test_a_broken_trajectory_is_named_and_never_written(breaking, tmp_path):
    with pytest.raises(GenerationError) as caught:
        make(breaking, tmp_path / "patterns.h5")
    message = str(caught.value)
    assert "Trajectory 0 of fitzhugh-nagumo-2d" in message and "threshold = 1e+12" in message
    assert "supersample=2" in message and not list(tmp_path.glob("**/*.h5"))


@contextlib.contextmanager
def largest_file(size):
    """No file can grow beyond ``size`` bytes meanwhile: to a program, a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("size", "kept"), [(5_000, "Nothing was written"), (100_000, "4 of 4 shards .* are kept")])
def test_a_full_disk_is_named_and_what_was_made_is_kept(tubes, tmp_path, finished, size, kept):
    with largest_file(size), pytest.raises(GenerationError, match=f"the disk is full. {kept}. Free some space"):
        make(tubes(), tmp_path / "tubes.h5")
    assert not list(tmp_path.glob("*.h5")) and not list(tmp_path.glob("**/*.tmp"))
    assert make(tubes(), tmp_path / "tubes.h5").read_bytes() == finished.read_bytes()


def test_what_cannot_fit_is_refused_before_the_work(tubes, tmp_path, monkeypatch):
    monkeypatch.setattr(make_module.shutil, "disk_usage", lambda _: make_module.shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(GenerationError, match="GB are free there"):
        make(tubes(), tmp_path / "tubes.h5")


def test_a_folder_that_is_a_file_is_named(tubes, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(GenerationError, match=r"Cannot write .*taken.*Nothing was written"):
        make(tubes(), tmp_path / "taken" / "tubes.h5")


def test_two_runs_at_once_are_refused(tubes, tmp_path):
    path = tmp_path / "tubes.h5"

    def second(done, total):
        if done == 3:
            with pytest.raises(GenerationError, match="Another process is at work"):
                make(tubes(), path)

    make(tubes(), path, progress=second)
    assert is_made(tubes(), path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers to be a whole number >= 1, got 0"),
        ({"workers": 2, "dask_address": "tcp://a"}, "Give one"),
    ],
)
def test_executors_are_checked_before_anything_is_written(tubes, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        make(tubes(), tmp_path / "tubes.h5", **settings)
    assert not list(tmp_path.iterdir())


def test_a_shard_of_another_file_is_refused_by_the_merge(tubes, tmp_path):
    with pytest.raises(GenerationInterrupted):
        make(tubes(), tmp_path / "a.h5", progress=interrupt_after(4))
    shards = sorted(parts_of(tmp_path / "a.h5").glob("shard-*.h5"))
    from sciml.datasets.shards import merge_shards

    with pytest.raises(DatasetError):
        merge_shards(tmp_path / "b.h5", [shards[0], *shards[2:]])
