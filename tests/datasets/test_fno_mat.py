"""The .mat files of the first Fourier neural operators: reversed axes behind a user block, and MATLAB's own order."""

import numpy as np
import pytest

from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from tests.datasets.builders import coded, frames

MATLAB_AXES = {"u": ("sample", "x", "y", "time"), "a": ("sample", "x", "y")}


def write_mat73(path, arrays):
    """As MATLAB does: a user block of 512 bytes with a text header, axes reversed."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_("single")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" "))
    return path


def write_mat5(path, arrays):
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(path, arrays, do_compression=True)
    return path


@pytest.mark.parametrize("write", [write_mat73, write_mat5])
def test_navier_stokes(tmp_path, write):
    arrays = {
        "u": coded(MATLAB_AXES["u"]),
        "a": coded(MATLAB_AXES["a"]) + np.float32(0.5),
        "t": np.arange(1.0, 6.0)[None],
    }
    dataset = open_dataset(write(tmp_path / "ns_V1e-3_N5000_T50.mat", arrays))
    assert dataset.layout == "fno" and dataset.shape == (4, 3) and len(dataset) == 6
    assert [(c.name, c.static) for c in dataset.channels] == [("a", True), ("u", False)]
    whole = dataset.read(5)
    assert np.array_equal(whole[:, 1:], frames(5, "xy"))
    assert np.array_equal(whole[3, 0], coded(("sample", "x", "y"))[5] + 0.5)
    assert dataset.times.tolist() == [1, 2, 3, 4, 5]
    assert np.array_equal(dataset.read(2, slice(1, 4, 2), space_stride=2), dataset.read(2)[1:4:2, :, ::2, ::2])


@pytest.mark.parametrize("write", [write_mat73, write_mat5])
@pytest.mark.parametrize(("names", "space"), [(("a", "u"), "x"), (("coeff", "sol"), "xy")])
def test_steady_maps(tmp_path, write, names, space):
    field = coded(("sample", *space))
    dataset = open_dataset(write(tmp_path / "pair.mat", {names[0]: field + np.float32(0.5), names[1]: field}))
    whole = dataset.read(4)
    assert np.array_equal(whole[1], np.stack([field[4] + 0.5, field[4]])) and not whole[0, 1].any()


def test_bad_files_are_named(tmp_path):
    good = write_mat5(tmp_path / "a.mat", {"a": np.zeros((6, 4)), "u": np.zeros((6, 5))})
    with pytest.raises(DatasetError, match=r"u: has shape \(6, 5\) beside a of shape \(6, 4\)"):
        open_dataset(good)
    with pytest.raises(DatasetError, match=r"has \['u'\], expected a and u, or coeff and sol"):
        open_dataset(write_mat5(tmp_path / "b.mat", {"u": np.zeros((6, 5)), "other": 1}))
    (tmp_path / "c.mat").write_bytes(good.read_bytes()[:180])
    with pytest.raises(DatasetError, match=r"c.mat"):
        open_dataset(tmp_path / "c.mat")


def test_without_scipy_old_files_name_it(tmp_path, monkeypatch):
    path = write_mat5(tmp_path / "a.mat", {"a": np.zeros((6, 4)), "u": np.zeros((6, 4))})
    monkeypatch.setitem(__import__("sys").modules, "scipy.io", None)
    with pytest.raises(DatasetError, match=r"Install scipy, or save the file with -v7\.3"):
        open_dataset(path)
