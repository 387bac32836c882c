"""Reading: canonical axes from any stored order, parts equal to the whole, nothing read that was not asked for."""

import pickle
from itertools import permutations

import numpy as np
import pytest

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.dataset import Dataset
from sciml.datasets.hdf5 import H5Array
from sciml.datasets.open import open_dataset
from sciml.datasets.sources import InMemory, SteadyAnswer
from sciml.datasets.variable import Variable
from tests.datasets.builders import SIZES, coded, frames, write_lagrangebench, write_pdebench, write_well

AXES = (Axis("x", np.arange(4.0)), Axis("y", np.arange(3.0)))


def grid_dataset(path, *variables):
    return Dataset(path, "test", variables, AXES, np.arange(5.0), np.full(6, 5))


@pytest.mark.parametrize("stored", list(permutations(("sample", "time", "x", "y", "channel"))))
def test_any_stored_order_reads_as_time_channel_space(tmp_path, stored):
    variable = Variable((Channel("a"), Channel("b")), stored, InMemory(coded(stored)))
    dataset = grid_dataset(tmp_path, variable)
    assert np.array_equal(dataset.read(3), frames(3, "xy", channels=2))
    assert np.array_equal(dataset.read(3, slice(1, 5, 3))[:, 1], frames(3, "xy", channels=2)[1:5:3, 1])


def several(tmp_path):
    tensor = coded(("sample", "time", "x", "y"))[..., None, None] + 0.1 * np.arange(4).reshape(2, 2)
    return grid_dataset(
        tmp_path,
        Variable(
            tuple(Channel(n) for n in ("xx", "xy", "yx", "yy")),
            ("sample", "time", "x", "y", "channel", "channel"),
            InMemory(tensor),
        ),
        Variable((Channel("still", static=True),), ("sample", "x"), InMemory(coded(("sample", "x")))),
        Variable((Channel("level"),), ("time",), InMemory(coded(("time",)))),
    )


def test_axes_that_do_not_vary_are_repeated_and_tensors_flattened_row_major(tmp_path):
    whole = several(tmp_path).read(2)
    assert whole.shape == (5, 6, 4, 3)
    assert whole[4, 1, 3, 2] == 24_320.1
    assert (whole[:, 4] == 20_000 + 100 * np.arange(4).reshape(1, 4, 1)).all()
    assert (whole[:, 5] == 1_000 * np.arange(5).reshape(5, 1, 1)).all()


@pytest.mark.parametrize("names", [["xy"], ["level", "xx"], ["yy", "still", "xy"], ["xy", "xy"]])
@pytest.mark.parametrize(
    "window", [slice(None), slice(1, 4), slice(0, 5, 2), slice(-2, None), slice(3, 2), slice(4, 99)]
)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_part_is_that_part_of_the_whole(tmp_path, names, window, stride):
    dataset = several(tmp_path)
    channels = [[c.name for c in dataset.channels].index(name) for name in names]
    part = dataset.read(1, window, names=names, space_stride=stride)
    assert np.array_equal(part, dataset.read(1)[window][:, channels, ::stride, ::stride])


@pytest.mark.parametrize(
    ("stored", "read"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i4", "f4"), ("?", "f4"), (">f4", "f4")]
)
def test_dtype_is_the_widest_float_float32_at_least(tmp_path, stored, read):
    values = np.arange(4).reshape(1, 1, 4, 1).astype(stored)
    dataset = grid_dataset(tmp_path, Variable((Channel("a"),), ("sample", "time", "x", "y"), InMemory(values)))
    block = dataset.read(0, slice(0, 1))
    assert block.dtype == np.dtype(read) and block.dtype.isnative
    assert np.array_equal(block[0, 0, :, 0], values[0, 0, :, 0].astype(read))


def test_only_the_selection_is_read(tmp_path):
    asked = []

    class Spy:
        def __call__(self, trajectory, selection):
            asked.append(selection)
            return coded(("sample", "time", "x", "y"))[selection]

    never = Variable((Channel("b"),), ("sample", "time", "x", "y"), InMemory(np.empty(0)))
    dataset = grid_dataset(tmp_path, Variable((Channel("a"),), ("sample", "time", "x", "y"), Spy()), never)
    dataset.read(4, slice(1, 3), names=["a"], space_stride=2)
    assert asked == [(4, slice(1, 3, 1), slice(None, None, 2), slice(None, None, 2))]


def test_bad_requests_are_named(tmp_path):
    dataset = several(tmp_path)
    with pytest.raises(IndexError, match=r"0\.\.5, got 6"):
        dataset.read(6)
    with pytest.raises(IndexError):
        dataset.read(-1)
    with pytest.raises(KeyError, match="nope"):
        dataset.read(0, names=["nope"])
    with pytest.raises(ValueError, match="positive step"):
        dataset.read(0, slice(None, None, -1))
    with pytest.raises(ValueError, match="space_stride"):
        dataset.read(0, space_stride=0)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_steady_answer_is_nothing_then_the_answer(axis):
    values = coded(("sample", "x", "y"))
    source = SteadyAnswer(InMemory(values), axis)
    for window in (slice(0, 2, 1), slice(0, 1, 1), slice(1, 2, 1), slice(0, 2, 2)):
        block = source(2, (*(2, slice(None), slice(None))[:axis], window, *(2, slice(None), slice(None))[axis:]))
        whole = np.stack([0 * values[2], values[2]], axis=axis - 1)
        assert np.array_equal(block, whole[(slice(None),) * (axis - 1) + (window,)])


def test_a_dataset_travels_to_another_process_by_pickle(tmp_path):
    dataset = open_dataset(write_pdebench(tmp_path / "a.hdf5", ["tensor"], "x"))
    dataset.read(0)
    assert np.array_equal(pickle.loads(pickle.dumps(dataset)).read(5), frames(5, "x"))


def test_xarray_view_reads_what_read_reads(tmp_path):
    dataset = open_dataset(write_well(tmp_path / "w.hdf5", [("a", 0, "btxy"), ("s", 0, "xy"), ("v", 1, "btxy")]))
    view = dataset.to_xarray()
    assert view["v_y"].dims == ("trajectory", "time", "x", "y") and view["s"].dims == ("trajectory", "x", "y")
    whole = np.stack([dataset.read(i) for i in range(3)])
    for number, channel in enumerate(dataset.channels):
        values = view[channel.name].values
        expected = whole[:, 0, number] if channel.static else whole[:, :, number]
        assert np.array_equal(values, expected) and values.dtype == np.float32
    picked = view["a"].isel(trajectory=[2, 0], time=slice(None, None, -2), x=1)
    assert np.array_equal(picked.values, whole[[2, 0], ::-2, 0, 1])
    assert view["nu"].values.tolist() == [0.01] * 3 and view["x"].attrs["boundary"] == "periodic"


def test_xarray_view_is_lazy(tmp_path):
    asked = []

    class Spy:
        def __call__(self, trajectory, selection):
            asked.append((trajectory, *selection))
            return coded(("sample", "time", "x", "y"))[selection]

    view = grid_dataset(tmp_path, Variable((Channel("a"),), ("sample", "time", "x", "y"), Spy())).to_xarray()
    asked.clear()
    assert view["a"].isel(trajectory=3, time=2, x=1, y=2).item() == 32_120
    assert asked == [(3, 3, slice(2, 3, 1), slice(1, 2, 1), slice(2, 3, 1))]


def test_xarray_view_pads_shorter_trajectories(tmp_path):
    view = open_dataset(write_lagrangebench(tmp_path / "p", lengths={"train": [5, 3]})).to_xarray()
    positions = view["position_y"].values
    assert positions.shape == (2, 5, 4)
    assert np.isnan(positions[1, 3:]).all() and np.isnan(positions[1, :, 3]).all()
    assert np.array_equal(positions[1, :3, :3], coded(("time", "node"), {**SIZES, "time": 3, "node": 3}) + 1)


def test_a_group_of_another_shape_is_named_when_read(tmp_path):
    import h5py

    path = tmp_path / "g.h5"
    with h5py.File(path, "w") as file:
        file["0/data"], file["1/data"] = np.zeros((2, 3)), np.zeros((2, 4))
    source = H5Array(path, "data", ("0", "1"), (2, 3))
    assert source(0, (slice(None), 1)).shape == (2,)
    with pytest.raises(ValueError, match=r"1/data: has shape \(2, 4\), expected \(2, 3\)"):
        source(1, (slice(None), 1))
