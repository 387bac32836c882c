"""Windows: what is in an item, how many there are, many files, worker processes, statistics, refusals."""

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sciml.datasets import frame_reader
from sciml.datasets.channel import Channel
from sciml.datasets.convert import convert
from sciml.datasets.dataset import Dataset
from sciml.datasets.frames import AllPairs, SlidingWindow, WholeTrajectory
from sciml.datasets.handles import close_all
from sciml.datasets.moments import MOMENTS, compute_statistics
from sciml.datasets.open import open_dataset
from sciml.datasets.windows import Trajectories, Window
from sciml.datasets.writer import write_dataset
from tests.datasets import flows

LAYOUTS = Path(__file__).parents[1] / "data/layouts"
FILES = (
    "pdebench/1D_Burgers_Sols_Nu0.01.hdf5",
    "pdebench/1D_diff-sorp_NA_NA.h5",
    "pdegym/NS-Sines.nc",
    "well/shear_layer_mini",
    "lagrangebench/3D_LJ_3_1214every1",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "flow.h5", flows.header(), flows.trajectories())


def test_a_window_is_frames_at_its_stride(path: Path) -> None:
    windows, written = Trajectories(path, window=2, stride=3), flows.trajectories()
    # Six trajectories of 5 frames start at 0 or 1; the last, of 4, at 0 alone.
    assert len(windows) == 6 * 2 + 1
    item = windows[3]
    assert isinstance(item, Window) and item.t.dtype == torch.float64 and item.u.dtype == torch.float32
    place, frames = windows.locate(3)
    assert (place.trajectory, frames) == (1, slice(1, 5, 3))
    torch.testing.assert_close(item.t, torch.tensor([0.1, 0.4], dtype=torch.float64))
    np.testing.assert_array_equal(item.u[:, :3], written[1].u[[1, 4]])
    np.testing.assert_array_equal(item.u[1, 3:], written[1].static)
    assert windows.dt == pytest.approx(0.3)


def test_whole_trajectories_keep_their_lengths(path: Path) -> None:
    whole = Trajectories(path)
    assert len(whole) == 7 and [len(whole[i].u) for i in (0, 6, -1)] == [5, 4, 4]
    with pytest.raises(IndexError):
        whole[7]


@pytest.mark.parametrize(
    ("stride", "identity", "expected"), [(1, False, 4 + 3), (2, False, 2 + 1), (1, True, 5 + 4 + 3)]
)
def test_lead_times_are_all_pairs(path: Path, stride: int, identity: bool, expected: int) -> None:
    pairs = Trajectories(path, max_trajectories=6, seed=1, lead_times=AllPairs(2, stride, identity))
    lengths = [int(pairs.datasets[0].lengths[place.trajectory]) for place in pairs._places]
    first = expected if lengths[0] == 5 else None
    seen = [pairs[i].t for i in range(first or 0)]
    leads = {(round(float(t[0]), 3), round(float(t[1]), 3)) for t in seen}
    assert len(leads) == expected
    assert all(t[1] >= t[0] if identity else t[1] > t[0] for t in seen)
    assert max(float(t[1] - t[0]) for t in seen) == pytest.approx(0.2 * stride)
    assert all(pairs[i].u.shape[0] == 2 for i in range(expected))


def test_poseidons_36_pairs_of_a_21_frame_trajectory() -> None:
    plan = AllPairs(lead_times=7, stride=2, identity=True)
    assert plan.count(15) == 36
    ends = {(f.start, f.stop - 1) for f in (plan.frames(15, i) for i in range(36))}
    assert ends == {(a, b) for a in range(0, 15, 2) for b in range(a, 15, 2)}


def test_plans_count_what_they_hand_out() -> None:
    for plan in (WholeTrajectory(2), SlidingWindow(3, 2), AllPairs(4), AllPairs(3, 2, True)):
        for length in range(1, 12):
            found = [range(length)[plan.frames(length, i)] for i in range(plan.count(length))]
            assert len({tuple(frames) for frames in found}) == len(found)
            assert all(frames[-1] < length for frames in found)


@pytest.mark.parametrize("name", FILES)
def test_every_layout_gives_what_its_dataset_reads(name: str) -> None:
    dataset = open_dataset(LAYOUTS / name)
    names = [channel.name for channel in dataset.channels]
    for chosen, stride in ((None, 1), (names[::-1], 1), (names[-1:], 2)):
        stride = stride if dataset.kind == "grid" else 1
        windows = Trajectories(dataset, window=3, stride=1, names=chosen, space_stride=stride, dtype=torch.float64)
        for index in (0, len(windows) // 2, len(windows) - 1):
            place, frames = windows.locate(index)
            expected = dataset.read(place.trajectory, frames, names=chosen, space_stride=stride)
            np.testing.assert_array_equal(windows[index].u, expected)
            assert windows[index].u.shape[2 if dataset.kind == "grid" else 3 :] == windows.shape


@pytest.mark.parametrize("compression", [0, 1])
def test_mapped_and_chunked_files_read_alike(tmp_path: Path, compression: int) -> None:
    path = write_dataset(tmp_path / "f.h5", flows.header(), flows.trajectories(), compression=compression)
    windows = Trajectories(path, window=2)
    expected = flows.trajectories()[0].u[1:3]
    np.testing.assert_array_equal(windows[1].u[:, :3], expected)
    arrays = [copy.array for copy in windows._readers[0]._copies[0]]
    assert all(isinstance(array, np.ndarray) for array in arrays) == (compression == 0)
    close_all()  # as when another part of the program needs the files closed
    np.testing.assert_array_equal(windows[1].u[:, :3], expected)


def test_an_item_is_the_readers_own(path: Path) -> None:
    windows = Trajectories(path, window=2)
    windows[0].u.zero_()
    assert windows[0].u.abs().sum() > 0


def test_a_large_read_asks_for_memory_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Trajectories(path, window=2)
    expected = windows[2].u
    monkeypatch.setattr(frame_reader, "LARGE_READ_BYTES", 1)
    torch.testing.assert_close(windows[2].u, expected, rtol=0, atol=0)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_worker_processes_read_what_the_parent_reads(path: Path, context: str) -> None:
    windows = Trajectories(path, window=2, parameters=("nu",))
    here = torch.stack([windows[i].u for i in range(len(windows))])  # opens the file in the parent first
    workers = 2 if context == "fork" else 1  # a spawned one imports torch anew
    loader = DataLoader(
        windows, batch_size=4, num_workers=workers, multiprocessing_context=multiprocessing.get_context(context)
    )
    batches = list(loader)
    assert isinstance(batches[0], Window) and batches[0].u.shape[:2] == (4, 2)
    torch.testing.assert_close(torch.cat([batch.u for batch in batches]), here, rtol=0, atol=0)


def test_items_fetched_together_are_those_fetched_alone(path: Path) -> None:
    windows, order = Trajectories(path, window=2), [5, 0, 3, 5]
    for item, index in zip(windows.__getitems__(order), order):
        torch.testing.assert_close(item.u, windows[index].u, rtol=0, atol=0)


def test_it_pickles_small_and_without_handles(path: Path) -> None:
    windows = Trajectories(path, window=2)
    expected = windows[1].u
    text = pickle.dumps(windows)
    assert len(text) < 20_000
    torch.testing.assert_close(pickle.loads(text)[1].u, expected, rtol=0, atol=0)


def test_parameters_become_constant_channels_with_units_and_statistics(path: Path) -> None:
    windows = Trajectories(path, window=2, names=["velocity_y"], parameters=("nu",))
    assert windows.channels == (flows.CHANNELS[2], Channel("nu", "m2 s-1", static=True))
    item = windows[4 * 3 + 1]
    assert item.u.shape == (2, 2, 8, 6)
    torch.testing.assert_close(item.u[:, 1], torch.full((2, 8, 6), 0.3))
    train = np.array([0.0, 0.1, 0.4, 0.5])
    assert windows.statistics.mean[1] == pytest.approx(train.mean())
    assert windows.statistics.std[1] == pytest.approx(train.std(ddof=1)) and windows.statistics.std_delta[1] == 0


def test_several_files_are_one(tmp_path: Path) -> None:
    paths = []
    for seed in (0, 1):
        written = flows.trajectories(4, seed=seed)
        paths.append(write_dataset(tmp_path / f"{seed}.h5", flows.header(), written, statistics=seed == 0))
    both = Trajectories(paths, window=5)
    assert len(both) == 3 + 3
    np.testing.assert_array_equal(both[4].u[:, :3], flows.trajectories(4, seed=1)[1].u)
    # One file's statistics are stored, the other's computed: together they are those of all training trajectories.
    values = np.concatenate([t.u[:, 1].ravel() for s in (0, 1) for t in flows.trajectories(4, seed=s)[:2]]).astype("f8")
    assert both.statistics.mean[1] == pytest.approx(values.mean(), rel=1e-12)
    assert both.statistics.std[1] == pytest.approx(values.std(ddof=1), rel=1e-12)


def test_files_that_differ_are_refused_by_their_difference(tmp_path: Path, path: Path) -> None:
    small = write_dataset(
        tmp_path / "small.h5",
        flows.header(axes=(*flows.header().axes[:1], type(flows.header().axes[0])("y", np.arange(5.0)))),
        flows.trajectories(2, shape=(8, 5)),
    )
    with pytest.raises(ValueError, match=r"same shape; .*flow.h5 has \(8, 6\), .*small.h5 has \(8, 5\)"):
        Trajectories([path, small])
    with pytest.raises(ValueError, match="same channels"):
        Trajectories([open_dataset(path), _with_units(open_dataset(path))])


def _with_units(dataset: Dataset) -> Dataset:
    return Trajectories.from_arrays(
        np.zeros((1, 2, 4, *dataset.shape)), np.arange(2.0), channels=[c.name for c in dataset.channels]
    ).datasets[0]


def test_splits_of_the_file_or_a_fallback_that_is_noted(tmp_path: Path, path: Path) -> None:
    assert len(Trajectories(path, split="train")) == 4 and len(Trajectories(path, split="valid")) == 2
    with pytest.raises(ValueError, match=r"\['train', 'valid'\], got 'test'"):
        Trajectories(path, split="test")
    unsplit = [type(t)(t.u, t.static, t.parameters) for t in flows.trajectories(20)]
    bare = write_dataset(tmp_path / "bare.h5", flows.header(), unsplit)
    parts = {name: Trajectories(bare, split=name) for name in ("train", "valid", "test")}
    assert [len(part) for part in parts.values()] == [16, 2, 2]
    assert len({place for part in parts.values() for place in part._places}) == 20
    assert "80/10/10" in parts["train"].notes[-1]
    # The statistics are those of that training split, not of everything.
    members = [place.trajectory for place in parts["train"]._places]
    stored = parts["train"].datasets[0].statistics
    assert stored is not None  # written with all trajectories, for no split was known
    expected = compute_statistics(open_dataset(bare), members)
    for name in MOMENTS:
        np.testing.assert_allclose(getattr(parts["test"].statistics, name), getattr(expected, name), rtol=1e-9)


def test_a_random_choice_of_trajectories_is_reproducible(path: Path) -> None:
    chosen = [place.trajectory for place in Trajectories(path, max_trajectories=3, seed=5)._places]
    assert len(chosen) == 3 and chosen == sorted(set(chosen))
    assert chosen == [place.trajectory for place in Trajectories(path, max_trajectories=3, seed=5)._places]


def test_a_rewritten_file_is_read_anew(tmp_path: Path, path: Path) -> None:
    before = Trajectories(path, window=2)[0].u
    write_dataset(path, flows.header(), flows.trajectories(seed=9))
    assert not torch.equal(Trajectories(path, window=2)[0].u, before)


def test_arrays_in_memory() -> None:
    u = torch.randn(3, 5, 2, 8, dtype=torch.float64)
    windows = Trajectories.from_arrays(u, torch.linspace(0, 1, 5), channels=["a", Channel("b", "m")], window=2)
    assert len(windows) == 12 and windows[0].u.dtype == torch.float64 and windows.shape == (8,)
    torch.testing.assert_close(windows[5].u, u[1, 1:3])
    assert windows.statistics.mean[1] == pytest.approx(u[:, :, 1].mean().item())
    with pytest.raises(ValueError, match="times of shape"):
        Trajectories.from_arrays(u, torch.zeros(4))
    with pytest.raises(ValueError, match="Add the channel axis"):
        Trajectories.from_arrays(torch.zeros(2, 3), torch.zeros(3))


def test_particles_have_nodes_before_channels(tmp_path: Path) -> None:
    header, written = flows.particles()
    windows = Trajectories(write_dataset(tmp_path / "p.h5", header, written), window=2)
    assert windows.kind == "particles" and windows.shape == ()
    np.testing.assert_array_equal(windows[3].u[..., :2], written[1].u[:2])


def test_a_mask_comes_with_the_item(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((8, 6)) > 0.5
    path = write_dataset(tmp_path / "m.h5", flows.header(mask=mask), flows.trajectories(2))
    found = Trajectories(path, window=2).mask(0)
    assert found is not None
    np.testing.assert_array_equal(found, np.broadcast_to(mask, (2, 8, 6)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "window >= 1"),
        ({"window": 6}, "at most 5 frames"),
        ({"window": 2, "lead_times": 3}, "got both"),
        ({"names": ["pressure"]}, "out of .*density.*got 'pressure'"),
        ({"parameters": ["Re"]}, "got 'Re'"),
        ({"split": "holdout"}, "got 'holdout'"),
        ({"dtype": torch.int32}, "float16, float32"),
    ],
)
def test_arguments_that_cannot_be_met_are_refused(path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trajectories(path, **arguments)  # type: ignore[arg-type]


def test_a_converted_file_gives_the_same_windows(tmp_path: Path) -> None:
    source = LAYOUTS / "well/shear_layer_mini"
    convert(source, tmp_path / "native.h5")
    ours, theirs = Trajectories(tmp_path / "native.h5", window=3), Trajectories(source, window=3)
    assert len(ours) == len(theirs)
    for index in range(0, len(ours), 7):
        torch.testing.assert_close(ours[index].u, theirs[index].u, rtol=0, atol=0)
