"""One function for every layout: recognised by content, whatever the name; the same view of each; validated."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml.datasets.errors import DatasetError
from sciml.datasets.open import LAYOUTS, open_dataset
from sciml.datasets.validate import validate
from tests.datasets.builders import (
    SIZES,
    coded,
    write_grouped,
    write_h5,
    write_lagrangebench,
    write_pdebench,
    write_well,
)

FILES = Path(__file__).parents[1] / "data" / "layouts"


def written(folder: Path) -> dict[str, Path]:
    """One file of each layout in HDF5, all under names that say nothing."""
    frame = ("sample", "time", "channel", "x", "y")
    return {
        "pdebench": write_pdebench(folder / "1", ["tensor"], "x"),
        "the_well": write_well(folder / "2", [("a", 0, "btxy"), ("v", 1, "btxy")]),
        "pdegym": write_h5(folder / "3", {"velocity": coded(frame, {**SIZES, "channel": 3})}),
        "lagrangebench": write_lagrangebench(folder / "p", lengths={"train": [5]}) / "train.h5",
        "neuraloperator": write_h5(folder / "4", {"x": np.zeros((6, 4, 3)), "y": np.zeros((6, 4, 3))}),
    }


@pytest.mark.parametrize("layout", ["pdebench", "the_well", "pdegym", "lagrangebench", "neuraloperator"])
def test_a_layout_is_recognised_by_content(tmp_path, layout):
    assert open_dataset(written(tmp_path)[layout]).layout == layout


@pytest.mark.parametrize(
    "path", sorted(FILES.rglob("*.h5")) + sorted(FILES.rglob("*.hdf5")) + sorted(FILES.rglob("*.nc"))
)
def test_every_view_is_consistent(path):
    dataset = open_dataset(path)
    whole = dataset.read(len(dataset) - 1)
    space = dataset.shape if dataset.kind == "grid" else (int(dataset.nodes[-1]),)
    shape = (
        (len(whole), len(dataset.channels), *space)
        if dataset.kind == "grid"
        else (len(whole), *space, len(dataset.channels))
    )
    assert whole.shape == shape and whole.dtype == np.float32 and np.isfinite(whole).all()
    assert len(dataset.times_of(0)) == dataset.lengths[0] and (np.diff(dataset.times_of(0)) > 0).all()
    assert all(len(values) == len(dataset) for values in dataset.parameters.values())
    numbers = np.concatenate(list(dataset.splits.values()))
    assert len(set(numbers)) == len(numbers) and numbers.max() < len(dataset)
    assert validate(path).ok


def test_the_layout_can_be_given(tmp_path):
    path = write_pdebench(tmp_path / "a.hdf5", ["tensor"], "x")
    assert open_dataset(path, layout="pdebench").layout == "pdebench"
    with pytest.raises(DatasetError, match="does not look like the layout the_well; it holds: t-coordinate, tensor"):
        open_dataset(path, layout="the_well")
    with pytest.raises(ValueError, match="Expected layout to be one of native, pdebench"):
        open_dataset(path, layout="netcdf")
    assert "native" in LAYOUTS


def findings(report, severity):
    return [f"{finding.where}: {finding.what}" for finding in report.findings if finding.severity == severity]


def test_nan_is_found_at_its_place_and_not_at_open(tmp_path):
    path = write_pdebench(tmp_path / "a.hdf5", ["density", "pressure"], "xy")
    with h5py.File(path, "a") as file:
        file["pressure"][2, 3, 1, 2] = np.nan
        file["pressure"][2, 4, 0, 0] = np.inf
    assert np.isnan(open_dataset(path).read(2)[3, 1, 1, 2])
    report = validate(path)
    assert not report.ok and report.trajectories == 6
    expected = "trajectory 2, pressure: 2 values are NaN or infinite, first at frame 3, point (1, 2)."
    assert findings(report, "error") == [expected]


def test_frames_that_repeat_across_pieces_are_found(tmp_path, monkeypatch):
    path = write_pdebench(tmp_path / "a.hdf5", ["tensor"], "x")
    with h5py.File(path, "a") as file:
        file["tensor"][4, 3] = file["tensor"][4, 2]
    for piece in (1, 64, 1 << 26):
        monkeypatch.setattr(sys.modules[validate.__module__], "PIECE", piece)
        assert findings(validate(path), "warning") == ["trajectory 4, u: frame 3 equals the one before."]


def test_times_and_coordinates_that_go_back(tmp_path):
    path = write_pdebench(tmp_path / "a.hdf5", ["tensor"], "x")
    with h5py.File(path, "a") as file:
        file["t-coordinate"][2] = 0
        file["x-coordinate"][1] = 9
    errors = findings(validate(path), "error")
    assert any("times that do not increase, first at frame 2" in error for error in errors)
    assert any("axis x: has coordinates that are not monotone" in error for error in errors)


def test_an_uneven_grid_is_a_warning(tmp_path):
    path = write_pdebench(tmp_path / "a.hdf5", ["tensor"], "x")
    with h5py.File(path, "a") as file:
        file["x-coordinate"][0] = 0.01
    assert any("is not uniform" in warning for warning in findings(validate(path), "warning"))


def test_stored_statistics_that_are_wrong(tmp_path):
    path = write_well(tmp_path / "set" / "data" / "train" / "a.hdf5", [("a", 0, "btxy")])
    values = open_dataset(path).read(0)
    values = np.stack([open_dataset(path).read(i) for i in range(3)]).astype(float)
    good = {"mean": values.mean(), "std": values.std(ddof=1), "rms": 1, "mean_delta": 0, "std_delta": 1, "rms_delta": 1}
    for shift, wrong in ((0.0, False), (values.std(), True)):
        table = {**good, "mean": good["mean"] + shift}
        lines = [f"{name}:\n  a: {float(value)}" for name, value in table.items()]
        (tmp_path / "set" / "stats.yaml").write_text("\n".join(lines))
        warnings = findings(validate(path), "warning")
        assert any("stored mean" in warning for warning in warnings) == wrong


def test_every_group_is_checked(tmp_path):
    path = write_grouped(tmp_path / "a.h5", ["0000", "0001", "0002"], stored=("time", "x", "channel"), name="d")
    with h5py.File(path, "a") as file:
        del file["0001/data"]
        file["0001/data"] = np.zeros((5, 9, 2), "f4")
    report = validate(path)
    assert [finding.where for finding in report.findings if finding.severity == "error"] == ["0001/data"]


def test_what_cannot_be_opened_is_one_error_and_progress_is_told(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"")
    report = validate(tmp_path / "a.h5")
    assert not report.ok and len(report.findings) == 1 and "is empty" in report.findings[0].what
    seen = []
    validate(FILES / "pdebench" / "1D_diff-sorp_NA_NA.h5", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(i, 5) for i in range(1, 6)]
