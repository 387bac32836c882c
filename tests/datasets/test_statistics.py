"""Streaming statistics against the definition, against The Well's, and where naive sums fail."""

from pathlib import Path

import numpy as np
import pytest

from sciml.datasets.errors import DatasetError
from sciml.datasets.memory import dataset_from_arrays
from sciml.datasets.moments import MOMENTS, Moments, TrajectoryMoments, compute_statistics
from sciml.datasets.native import open_native
from sciml.datasets.open import open_dataset
from sciml.datasets.writer import write_dataset
from tests.datasets import flows

WELL = Path(__file__).parents[1] / "data/layouts/well/shear_layer_mini"


def test_moments_are_those_of_all_values_at_once_however_they_are_cut() -> None:
    values = np.random.default_rng(0).normal([[3.0], [-2.0]], [[1.0], [5.0]], (2, 1000))
    for cuts in ([], [1], [10, 11, 700]):
        moments, other = Moments(2), Moments(2)
        first, *rest = np.split(values, cuts, axis=1)
        moments.add(first)
        for block in rest:
            other.add(block)
        moments.merge(other)
        assert moments.count == 1000
        np.testing.assert_allclose(moments.mean, values.mean(axis=1), rtol=1e-13)
        np.testing.assert_allclose(moments.std, values.std(axis=1, ddof=1), rtol=1e-13)
        np.testing.assert_allclose(moments.rms, np.sqrt((values**2).mean(axis=1)), rtol=1e-13)


def test_a_large_mean_does_not_swallow_a_small_deviation() -> None:
    rng = np.random.default_rng(0)
    deviations = rng.normal(size=(100, 1, 1000))
    moments = Moments(1)
    for block in deviations:
        moments.add(1e9 + block)
    # float64 holds 1e9 + x to 1e-7; the sum of squares minus the squared mean would leave no digit.
    assert moments.std[0] == pytest.approx(deviations.std(ddof=1), rel=1e-6)


def test_statistics_of_values_and_of_consecutive_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    u = np.random.default_rng(0).normal(size=(4, 9, 2, 6)).astype("f4")
    dataset = dataset_from_arrays(u, np.arange(9.0))
    exact, deltas = u.astype("f8"), np.diff(u.astype("f8"), axis=1)
    for block_bytes in (1 << 26, 1, 8 * 12 * 4):
        monkeypatch.setattr("sciml.datasets.moments.BLOCK_BYTES", block_bytes)
        found = compute_statistics(dataset)
        axes = (0, 1, 3)
        np.testing.assert_allclose(found.mean, exact.mean(axes), rtol=1e-12)
        np.testing.assert_allclose(found.std, exact.std(axes, ddof=1), rtol=1e-12)
        np.testing.assert_allclose(found.rms, np.sqrt((exact**2).mean(axes)), rtol=1e-12)
        np.testing.assert_allclose(found.mean_delta, deltas.mean(axes), rtol=1e-10)
        np.testing.assert_allclose(found.std_delta, deltas.std(axes, ddof=1), rtol=1e-12)
        np.testing.assert_allclose(found.rms_delta, np.sqrt((deltas**2).mean(axes)), rtol=1e-12)
        assert found.count == 4 * 9 * 6


def test_the_training_split_counts_alone_and_progress_is_told() -> None:
    u = np.random.default_rng(0).normal(size=(4, 3, 1, 5))
    dataset = dataset_from_arrays(u, np.arange(3.0), splits={"train": np.array([0, 2]), "test": np.array([1, 3])})
    told: list[tuple[int, int]] = []
    found = compute_statistics(dataset, progress=lambda done, total: told.append((done, total)))
    assert found.mean[0] == pytest.approx(u[[0, 2]].mean()) and told == [(1, 2), (2, 2)]
    assert compute_statistics(dataset, [1]).mean[0] == pytest.approx(u[1].mean())


def test_masked_cells_are_left_out_even_where_they_are_nan(tmp_path: Path) -> None:
    mask = np.zeros((8, 6), bool)
    mask[:, 0] = True
    written = flows.trajectories(2)
    for trajectory in written:
        trajectory.u[..., mask] = np.nan
        trajectory.static[..., mask] = np.nan
    opened = open_native(write_dataset(tmp_path / "flow.h5", flows.header(mask=mask), written))
    found = compute_statistics(opened, [0, 1])
    kept = np.concatenate([t.u[:, 0][:, ~mask].ravel() for t in written]).astype("f8")
    assert found.mean[0] == pytest.approx(kept.mean()) and found.std[0] == pytest.approx(kept.std(ddof=1))
    assert found.count == kept.size


def test_nan_that_counts_is_refused_by_name() -> None:
    u = np.zeros((2, 3, 2, 4))
    u[1, 2, 1, 0] = np.nan
    with pytest.raises(DatasetError, match=r"u1: holds NaN or infinity in trajectory 1"):
        compute_statistics(dataset_from_arrays(u, np.arange(3.0)))


def test_displacements_in_a_periodic_box_are_the_shortest(tmp_path: Path) -> None:
    header, written = flows.particles(1)
    drift = (written[0].u[:1] + 0.3 * np.arange(4.0)[:, None, None] * np.array([1.0, 0.0])).astype("f4")
    drift[..., 0] %= 1.0  # leaves at one side, comes back at the other
    moving = type(written[0])(drift, written[0].static)
    opened = open_native(write_dataset(tmp_path / "p.h5", header, [moving]))
    found = compute_statistics(opened)
    np.testing.assert_allclose(found.mean_delta[:2], [0.3, 0.0], atol=1e-6)
    assert found.std_delta[0] < 1e-6
    assert opened.statistics is not None
    np.testing.assert_allclose(opened.statistics.std_delta, found.std_delta, atol=1e-12)


def test_the_definitions_are_those_of_the_well() -> None:
    opened = open_dataset(WELL / "data/train")
    stored = open_dataset(WELL).statistics
    assert stored is not None
    part = compute_statistics(opened)
    # The fixture keeps one of the two training files, so the test is on what the definitions say of both numbers:
    # std is unbiased, and rms**2 = mean**2 + std**2 (n - 1) / n, with n cells of four trajectories.
    n = 4 * 12 * 24 * 16
    moving = [i for i, channel in enumerate(opened.channels) if not channel.static]
    for statistics, count in ((stored, n), (part, part.count)):
        expected = statistics.mean**2 + statistics.std**2 * (count - 1) / count
        np.testing.assert_allclose((statistics.rms**2)[moving], expected[moving], rtol=1e-7)
    assert set(MOMENTS) == {"mean", "std", "rms", "mean_delta", "std_delta", "rms_delta"}


def test_merging_files_is_reading_them_as_one() -> None:
    u = np.random.default_rng(0).normal(size=(6, 4, 1, 5))
    parts = []
    for members in ([0, 1], [2, 3, 4, 5]):
        moments = TrajectoryMoments(1)
        for number in members:
            moments.add(u[number])
        parts.append(moments)
    merged, whole = parts[0].merged(parts[1]).result(), compute_statistics(dataset_from_arrays(u, np.arange(4.0)))
    for name in MOMENTS:
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-12)
