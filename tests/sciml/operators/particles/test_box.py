"""Nearest images, and gradients that infinite periods do not spoil."""

import pytest
import torch

from sciml.operators.particles import Box
from sciml.operators.particles.box import box_of, parse_box
from tests.sciml.operators.particles.clouds import falling, made, mesh_graph_net, states

MIXED = Box((0, -1), (2, 1), (True, False))


def test_differences_are_to_the_nearest_image_of_periodic_axes():
    a, b = torch.tensor([[1.9, 0.9], [0.2, -0.9]]), torch.tensor([[0.1, -0.9], [1.9, 0.9]])
    torch.testing.assert_close(MIXED.difference(a, b), torch.tensor([[-0.2, 1.8], [0.3, -1.8]]))
    torch.testing.assert_close(MIXED.wrap(torch.tensor([[-0.5, 3.0]])), torch.tensor([[1.5, 3.0]]))


def test_gradients_pass_through():
    x = torch.tensor([[1.9, 0.9]], requires_grad=True)
    (MIXED.wrap(x) + MIXED.nearest(x)).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 2.0))


def test_a_box_of_walls_along_some_axes():
    model = made(mesh_graph_net, box=MIXED)
    t, dt, y = states(model)
    y.requires_grad_()
    model(t, dt, y).y.sin().sum().backward()
    assert bool(y.grad.isfinite().all()) and model.frame.features == 2 + 2 + 1


def test_the_box_of_data_and_of_json():
    assert box_of(falling(1).axes) == Box((0.0, 0.0), (1.0, 1.0))
    assert parse_box(MIXED.as_dict(), 2) == MIXED


@pytest.mark.parametrize("bad", [((0, 0), (1,)), ((0, 1), (1, 1)), ((0,), (float("inf"),)), ((0,), (1,), (True, True))])
def test_bad_boxes_are_named(bad):
    with pytest.raises(ValueError, match=r"Expected (low|a box)"):
        Box(*bad)
    with pytest.raises(ValueError, match="box of 3 axes"):
        parse_box(MIXED, 3)
