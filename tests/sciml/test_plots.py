import math

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from sciml import plots
from sciml.plots.fields import colours_of, error_colours, middle_plane, spread

TS = torch.linspace(0, 1, 6)


def _rollout(*space):
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(6, 2, *space, generator=generator)
    return truth, truth + 0.1 * torch.randn(truth.shape, generator=generator)


def _texts(figure):
    """Every text that is drawn, after a draw that lays the figure out."""
    FigureCanvasAgg(figure).draw()
    return {text.get_text() for text in figure.findobj(match=lambda part: hasattr(part, "get_text"))}


@pytest.mark.parametrize("space", [(16,), (8, 12), (6, 8, 4)], ids=["1d", "2d", "3d"])
def test_fields_show_every_row_and_time(space):
    texts = _texts(plots.fields(*_rollout(*space), TS, channel=1, name="vorticity", unit="1/s"))
    assert {"t = 0", "t = 1", "vorticity [1/s]", "truth", "prediction"} <= texts


def test_fields_draw_the_values_they_were_given():
    truth, prediction = _rollout(8, 12)
    figure = plots.fields(truth, prediction, TS, channel=1, frames=[2])
    images = [axes.images[0].get_array().data for axes in figure.axes[:3]]
    for image, expected in zip(images, (truth, prediction, prediction - truth)):
        np.testing.assert_allclose(image, expected[2, 1].T, rtol=1e-6)


def test_space_time_labels_its_axes():
    assert {"x", "t", "u [m/s]", "u error [m/s]"} <= _texts(plots.space_time(*_rollout(16), TS, unit="m/s"))
    with pytest.raises(ValueError, match="Use fields in 2D and 3D"):
        plots.space_time(*_rollout(4, 4), TS)


def test_limits_are_symmetric_for_both_signs_and_tight_for_one():
    _, signed = colours_of(np.array([-1.0, 3.0, math.nan]))
    _, positive = colours_of(np.array([1.0, 3.0, math.inf]))
    _, error = error_colours(np.array([-2.0, 1.0]))
    assert (signed.vmin, signed.vmax) == (-3, 3)
    assert (positive.vmin, positive.vmax) == (1, 3)
    assert (error.vmin, error.vmax) == (-2, 2)


def test_a_blown_up_rollout_is_drawn(tmp_path):
    truth, prediction = _rollout(8, 8)
    prediction[3:] = math.nan
    plots.fields(truth, prediction, TS).savefig(tmp_path / "fields.png")
    plots.fields(truth, prediction * math.nan, TS).savefig(tmp_path / "nothing.png")
    assert (tmp_path / "nothing.png").stat().st_size > 0


def test_spread_holds_the_first_and_last_frame():
    assert spread(101) == [0, 25, 50, 75, 100]
    assert spread(2) == [0, 1]
    assert spread(1) == [0]


def test_the_middle_plane_of_a_volume_is_its_z():
    values = np.arange(2 * 3 * 3 * 5.0).reshape(2, 3, 3, 5)
    np.testing.assert_array_equal(middle_plane(values), values[..., 2])


@pytest.mark.parametrize("dim", [2, 3])
def test_particles_are_coloured_by_their_distance(dim):
    truth = torch.rand(6, 30, dim)
    figure = plots.particles(truth, truth + 0.3 / math.sqrt(dim), TS, unit="m", frames=[5])
    np.testing.assert_allclose(figure.axes[1].collections[0].get_array(), 0.3, rtol=1e-5)
    assert "distance from truth [m]" in _texts(figure)


def test_error_band_holds_the_median():
    errors = {"A": torch.tensor([[1.0, 2.0], [3.0, 4.0], [2.0, 9.0]]), "B": torch.ones(1, 2)}
    figure = plots.error_over_time(errors, TS[:2], metric="VRMSE", time_unit="s", threshold=0.5)
    assert figure.axes[0].lines[0].get_ydata().tolist() == [2.0, 4.0]
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (1.0, 9.0)
    assert {"A", "B", "time [s]", "VRMSE"} <= _texts(figure)


def test_spectra_leave_the_mean_out():
    k = torch.arange(5.0)
    figure = plots.spectra(k, k + 1, {"FNO": 2 * k + 1}, unit="m^2", resolved=4)
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert {"truth", "FNO", "grid limit"} <= _texts(figure)


def test_pareto_front_is_what_nothing_beats():
    points = [plots.AccuracyCost(*row) for row in (("a", 1.0, 1.0), ("b", 2.0, 0.5), ("c", 2.0, 0.7), ("d", 3.0, 0.6))]
    assert [point.name for point in plots.pareto_front(points)] == ["a", "b"]


def test_accuracy_cost_names_what_it_cannot_draw():
    points = [plots.AccuracyCost("a", 1.0, 1.0), plots.AccuracyCost("lost", 1.0, math.inf)]
    assert {"a (front)", "not drawn: lost"} <= _texts(plots.accuracy_cost(points))
    with pytest.raises(ValueError, match="finite, positive cost and error"):
        plots.accuracy_cost(points[1:])


def test_training_curve_marks_the_lowest():
    figure = plots.training_curve({"validation": [3.0, 1.0, 2.0]}, best="validation")
    assert "best validation: 1 at 2" in _texts(figure)


@pytest.mark.parametrize("space", [(16,), (8, 12), (6, 8, 4)], ids=["1d", "2d", "3d"])
def test_animation_has_a_frame_for_each_time(tmp_path, space):
    path = plots.animate(tmp_path / "rollout.gif", *_rollout(*space), TS, frames_per_second=5)
    with Image.open(path) as movie:
        assert (movie.n_frames, movie.info["duration"]) == (6, 200)
    assert [file.name for file in tmp_path.iterdir()] == ["rollout.gif"]


def test_errors_name_the_way_out(tmp_path):
    truth, prediction = _rollout(8)
    with pytest.raises(ValueError, match=r"Expected a path ending in .gif"):
        plots.animate(tmp_path / "rollout.mp4", truth, prediction, TS)
    with pytest.raises(ValueError, match="Choose one sample of a batch"):
        plots.fields(torch.ones(2, 2), torch.ones(2, 2), TS[:2])
