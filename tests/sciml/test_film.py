"""Pictures of points: what is in front is seen, where the view says; films in their formats."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sciml.datasets.memory import dataset_from_particles
from sciml.plots.film import Film
from sciml.plots.splat import View, splat
from sciml.plots.trajectory import draw_trajectory

SQUARE = View((0.0, 0.0), (1.0, 1.0), width=100)
CUBE = View((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), width=160)
RED, BLUE = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def test_a_disk_is_where_it_should_be() -> None:
    image = splat(np.array([[0.25, 0.75]]), RED[None], 0.1, SQUARE)
    rows, columns = np.nonzero(image[..., 1] < 100)
    size = SQUARE.size
    assert columns.mean() / size[0] == pytest.approx(0.265, abs=0.02)  # the box fills 94 % of the width
    assert rows.mean() / size[1] == pytest.approx(0.265, abs=0.02)
    assert len(rows) == pytest.approx(np.pi * (0.1 * SQUARE.scale) ** 2, rel=0.15)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_ball_hides_the_other(order: tuple[int, int]) -> None:
    eye = CUBE.frame[2]
    points = np.array([0.5 - 0.3 * eye, 0.5 + 0.3 * eye])[list(order)]
    image = splat(points, np.stack([RED, BLUE])[list(order)], 0.08, CUBE).astype(int)
    middle = image[image.shape[0] // 2, image.shape[1] // 2]
    assert middle[2] > middle[0] + 50


@pytest.mark.parametrize("up", [0, 1, 2, -1])
def test_up_is_up_and_the_box_is_in_the_picture(up: int) -> None:
    view = View((0.0, 0.0, 0.0), (1.0, 2.0, 1.5), up=up)
    np.testing.assert_allclose(view.frame @ view.frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view.frame) == pytest.approx(1.0)  # not a mirror image
    axis = np.zeros(3)
    axis[up] = 1.0
    assert abs(view.frame[0] @ axis) < 1e-12 and view.frame[1] @ axis > 0.5
    pixels, size = view.project(view.corners), view.size
    assert (pixels[:, :2] > 0).all() and (pixels[:, 0] < size[0]).all() and (pixels[:, 1] < size[1]).all()


def test_points_outside_and_not_finite_are_left_out() -> None:
    points = np.array([[np.nan, 0.5], [50.0, 0.5], [0.5, -70.0]])
    empty = splat(np.empty((0, 2)), np.empty((0, 3)), 0.1, SQUARE)
    np.testing.assert_array_equal(splat(points, np.stack([RED] * 3), 0.1, SQUARE), empty)


def test_a_hundred_thousand_points_take_a_moment() -> None:
    points = np.random.default_rng(0).random((100_000, 3))
    start = time.process_time()
    image = splat(points, np.full((100_000, 3), 0.5), 0.008, View((0.0,) * 3, (1.0,) * 3))
    assert time.process_time() - start < 10
    assert image.std() > 10


def film(**colours: object) -> Film:
    x = np.random.default_rng(0).random((8, 50, 2)) * 0.1 + np.linspace(0.1, 0.8, 8)[:, None, None]
    return Film(x, (np.arange(8) * 0.1).tolist(), SQUARE, radius=0.03, **colours)  # type: ignore[arg-type]


def test_films_in_their_formats(tmp_path: Path) -> None:
    moving = film(kinds=np.arange(50) % 2, release=np.where(np.arange(50) < 25, 0.0, 0.35))
    with Image.open(moving.save_gif(tmp_path / "film.gif")) as image:
        assert image.n_frames == 8 and image.size == SQUARE.size
    with Image.open(moving.save_strip(tmp_path / "film.png")) as image:
        assert image.size == (3 * SQUARE.size[0], 2 * SQUARE.size[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.gif", "film.png"]


def test_mp4_where_ffmpeg_is(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    speeds = np.random.default_rng(1).random((8, 50))
    path = film(speeds=speeds).save_mp4(tmp_path / "film.mp4")
    assert path is not None and path.read_bytes()[4:8] == b"ftyp"


def test_points_that_are_not_in_yet_are_not_seen() -> None:
    late = film(kinds=np.zeros(50, int), release=np.full(50, 0.35))
    before, after = (np.asarray(late.picture(frame))[20:-20, 20:-20] for frame in (0, 5))  # without time and box
    assert (before == 255).all() and (after < 255).any()


def test_colours_are_needed() -> None:
    with pytest.raises(ValueError, match="kinds or speeds"):
        film()


@pytest.mark.parametrize("dim", [2, 3])
def test_a_trajectory_of_particles_as_a_gif(dim: int, tmp_path: Path) -> None:
    walks = np.random.default_rng(0).random((1, 30, dim)) * 0.2 + np.linspace(0.1, 0.7, 5)[:, None, None]
    dataset = dataset_from_particles([walks], bounds=[[0.0, 1.0]] * dim, dt=0.1)
    with Image.open(draw_trajectory(dataset, 0, tmp_path / "walk.gif")) as image:
        assert image.n_frames == 5
