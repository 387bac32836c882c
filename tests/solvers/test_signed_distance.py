"""Shapes turned: the distances are those of the shape before."""

import math

import pytest
import torch

from sciml.solvers.signed_distance import box, capsule, turned


def test_a_quarter_turn_counter_clockwise() -> None:
    flat = box((0.0, -0.1), (1.0, 0.1))
    upright = turned(flat, math.pi / 2, (0.0, 0.0))
    points = torch.tensor([[0.0, 0.5], [0.5, 0.0], [0.0, -0.5], [0.05, 0.9]], dtype=torch.float64)
    assert (upright(points) < 0).tolist() == [True, False, False, True]
    torch.testing.assert_close(upright(points), flat(torch.stack([points[:, 1], -points[:, 0]], dim=1)))


def test_a_turn_in_space_follows_the_right_hand() -> None:
    rod = capsule((0.2, 0.0, 0.0), (1.0, 0.0, 0.0), 0.1)
    to_y = turned(rod, (0.0, 0.0, math.pi / 2), (0.0, 0.0, 0.0))
    points = torch.tensor([[0.0, 0.6, 0.0], [0.0, -0.6, 0.0]], dtype=torch.float64)
    assert (to_y(points) < 0).tolist() == [True, False]


def test_a_rotation_of_other_dimensions_is_refused() -> None:
    with pytest.raises(ValueError, match="one angle in 2D"):
        turned(box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 0.3, (0.0, 0.0, 0.0))
