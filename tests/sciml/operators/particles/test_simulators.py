"""What every simulator of particles owes: one sweep over all of them."""

import copy
import json

import pytest
import torch
from safetensors.torch import load, save

from sciml.checkpoint import load_operator, save_operator
from sciml.operators.particles import GNS, Prescribed, particle_channels
from sciml.operators.particles.state import reference_channels
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling
from tests.sciml.operators.particles.clouds import ALL, CLOUDS, box, made, solid, states

every = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())
every_cloud = pytest.mark.parametrize("make", CLOUDS.values(), ids=CLOUDS.keys())
every_dim = pytest.mark.parametrize("dim", [2, 3])


def close(a, b, tolerance=2e-6):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@every
@every_dim
def test_a_step_shifts_the_window_and_keeps_constants(make, dim):
    model = made(make, dim)
    t, dt, y = states(model)
    new = model(t, dt, y).y
    moving = model.frame.layout.moving
    assert new.shape == y.shape and new.dtype == y.dtype
    assert torch.equal(new[..., : moving - dim], y[..., dim:moving]) and torch.equal(new[..., moving:], y[..., moving:])
    assert (model.newest(new) - model.newest(y)).abs().max() > 1e-4


@every
def test_zero_output_is_the_mean_acceleration(make):
    """x' = x + v + a, with a the mean of the data where the network says 0."""
    model = made(make)
    t, dt, y = states(model)
    for parameter in model.parameters():
        parameter.data.zero_()
    frames = y[..., : model.frame.layout.moving].unflatten(-1, (-1, 2))
    expected = 2 * frames[..., -1, :] - frames[..., -2, :] - 0.002
    close(model.newest(model(t, dt, y).y), expected)


@every
def test_a_step_of_zero_is_the_identity(make):
    model = made(make)
    t, dt, y = states(model)
    dt = dt * torch.tensor([0.0, 1.0, 0.0])
    new = model(t, dt, y).y
    assert torch.equal(new[0], y[0]) and torch.equal(new[2], y[2]) and not torch.equal(new[1], y[1])


@every
def test_another_step_is_refused(make):
    model = made(make)
    t, dt, y = states(model)
    with pytest.raises(ValueError, match=r"steps of dt=0\.5.*got 0\.25\. Use FixedStep\(0\.5\)"):
        model(t, dt / 2, y)
    with pytest.raises(ValueError, match="FixedStep"):
        StepDoubling(model)(t, dt, y)


@every_cloud
@every_dim
def test_the_order_of_particles_does_not_matter(make, dim):
    model = made(make, dim)
    t, dt, y = states(model)
    order = torch.randperm(y.shape[1])
    close(model(t, dt, y[:, order]).y, model(t, dt, y).y[:, order])


@every
@every_dim
def test_far_from_walls_the_place_does_not_matter(make, dim):
    model = made(make, dim, radius=0.2).double()
    t, dt, y = states(model, dtype=torch.float64)
    shift = torch.zeros_like(y)
    shift[..., : model.frame.layout.moving] = torch.tensor([0.037, -0.021, 0.013][:dim]).repeat(
        model.frame.layout.window
    )
    close(model(t, dt, y + shift).y - shift, model(t, dt, y).y, 1e-10)


@every
def test_near_a_wall_the_place_matters(make):
    model = made(make)
    t, dt, y = states(model)
    shift = torch.zeros_like(y)
    shift[..., : model.frame.layout.moving] = -0.2
    assert (model(t, dt, y + shift).y - shift - model(t, dt, y).y).abs().max() > 1e-5


@every_cloud
def test_in_a_periodic_box_no_place_matters(make):
    """By whole cells of the latent grid, and across the edge."""
    model = made(make, box=box(2, periodic=True)).double()
    t, dt, y = states(model, dtype=torch.float64)
    step = model.network.grid.spacing if make is CLOUDS["giorom"] else (0.1, 0.1)
    moving = model.frame.layout.moving
    shift = (torch.tensor([5 * step[0], -4 * step[1]], dtype=y.dtype)).repeat(model.frame.layout.window)
    moved = torch.cat([y[..., :moving] + shift, y[..., moving:]], dim=-1)
    wrapped = model.frame.box.wrap(moved[..., :moving].unflatten(-1, (-1, 2))).flatten(2)
    new = model.newest(model(t, dt, torch.cat([wrapped, y[..., moving:]], dim=-1)).y)
    close(new, model.frame.box.wrap(model.newest(model(t, dt, y).y) + shift[:2]), 1e-10)
    low, high = model.frame.box.corners(new)
    assert bool(((new >= low) & (new < high)).all())


@every
def test_batched_equals_one_by_one(make):
    model = made(make)
    t, dt, y = states(model)
    alone = torch.cat([model(t[k : k + 1], dt[k : k + 1], y[k : k + 1]).y for k in range(len(y))])
    close(model(t, dt, y).y, alone)


@every
def test_nothing_leaks_between_samples(make):
    model = made(make)
    t, dt, y = states(model)
    y.requires_grad_()
    model(t, dt, y).y[0].sin().sum().backward()
    assert y.grad[0].abs().max() > 0 and not y.grad[1:].any()


@every_cloud
def test_places_without_a_particle_change_nothing(make):
    model = made(make)
    t, dt, y = states(model)
    kind = model.frame.layout.type_at
    padding = torch.full((3, 4, y.shape[2]), float("nan"))
    padding[..., kind] = -1
    padded = model(t, dt, torch.cat([y[:, :5], padding, y[:, 5:]], dim=1)).y
    close(torch.cat([padded[:, :5], padded[:, 9:]], dim=1), model(t, dt, y).y)
    assert bool(padded[:, 5:9, :kind].isnan().all())


@every
def test_inputs_matter(make):
    model = made(make)
    t, dt, y = states(model)
    layout = model.frame.layout
    for channel in (*layout.inputs, layout.type_at):
        other = y.clone()
        other[..., channel] = 7.0
        assert (model.newest(model(t, dt, other).y) - model.newest(model(t, dt, y).y)).abs().max() > 1e-5


def test_forces_depend_on_distances_at_rest_and_not_on_where_that_was():
    model = made(solid)
    t, dt, y = states(model, dtype=torch.float64)
    at, new = list(model.frame.layout.reference), model.newest(model(t, dt, y).y)
    for change, matters in ((lambda x: x + 0.3, False), (lambda x: 1.1 * x, True)):
        other = y.clone()
        other[..., at] = change(other[..., at])
        assert ((model.newest(model(t, dt, other).y) - new).abs().max() > 1e-5) == matters
    far, further = y.clone(), y.clone()
    for state, factor in ((far, 1e3), (further, 1e4)):
        state[..., at] *= factor
    close(model.newest(model(t, dt, far).y), model.newest(model(t, dt, further).y), 1e-10)


def test_half_a_reference_is_refused():
    with pytest.raises(ValueError, match="reference_y"):
        GNS(particle_channels(2, static=reference_channels(2)[:1]), box=box(2), radius=0.3)


@every
def test_prescribed_particles_keep_their_velocity_or_follow_the_truth(make):
    model = made(make, prescribed=(1,))
    t, dt, y = states(model)
    told = y[..., model.frame.layout.type_at] == 1
    new, frames = model(t, dt, y).y, y[..., : model.frame.layout.moving].unflatten(-1, (-1, 2))
    close(model.newest(new)[told], (2 * frames[..., -1, :] - frames[..., -2, :])[told])
    truth = torch.rand(3, 4, y.shape[1], 2)
    follower = Prescribed(model, truth, dt=0.5)
    ys = solve(follower, y, torch.tensor([0.0, 0.5, 1.0]), FixedStep(0.5)).ys
    for k in (1, 2):
        assert torch.equal(model.newest(ys)[:, k][told], truth[:, k][told])
    close(model.newest(ys)[:, 1][~told], model.newest(new)[~told])


@every
@every_dim
def test_every_parameter_gets_a_gradient(make, dim):
    model = made(make, dim)
    t, dt, y = states(model)
    model(t, dt, y).y.sin().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert without == []


@every
def test_the_gradient_in_the_state_is_the_slope(make):
    model = made(make).double()
    t, dt, y = states(model, size=1, dtype=torch.float64)
    direction = torch.zeros_like(y)
    direction[..., : model.frame.layout.moving] = 1e-3 * torch.randn(y[..., : model.frame.layout.moving].shape).double()
    loss = lambda state: model.newest(model(t, dt, state).y).sin().sum()  # noqa: E731
    y.requires_grad_()
    (slope,) = torch.autograd.grad(loss(y), y)
    h = 1e-6  # short of the kinks of ReLU
    measured = (loss(y + h * direction) - loss(y - h * direction)) / (2 * h)
    torch.testing.assert_close((slope * direction).sum(), measured, rtol=1e-4, atol=1e-9)


@every
def test_checkpoints_rebuild_it(make, tmp_path):
    model = made(make)
    t, dt, y = states(model)
    rebuilt = type(model)(**json.loads(json.dumps(model.config)))
    rebuilt.load_state_dict(load(save(model.state_dict())))
    loaded = load_operator(save_operator(model, tmp_path / "model.safetensors"))
    model.eval()
    for other in (rebuilt.eval(), loaded, copy.deepcopy(model)):
        assert torch.equal(other(t, dt, y).y, model(t, dt, y).y) and other.config == model.config


@every
def test_precisions(make):
    model = made(make)
    t, dt, y = states(model)
    single = model(t, dt, y).y
    mixed = model(t.double(), dt.double(), y.double()).y
    assert mixed.dtype == torch.float64
    close(mixed.float(), single, 1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(t, dt, y).y
    assert half.dtype == torch.float32
    assert (half - single).abs().max() < 0.1 * (single - y).abs().max()


@every
def test_a_rollout_is_repeated_steps(make):
    model = made(make)
    t, dt, y = states(model)
    with torch.no_grad():
        ys = solve(model, y, torch.tensor([0.0, 0.5, 1.0]), FixedStep(0.5)).ys
        expected = model(t, dt, model(t, dt, y).y).y
    close(ys[:, 2], expected)
    assert model.newest(ys).shape == (3, 3, y.shape[1], 2)


@every
def test_bad_states_are_named(make):
    model = made(make)
    t, dt, y = states(model)
    with pytest.raises(ValueError, match=r"shape \(batch, node, .*got \(3, 14, 3\).*pack"):
        model(t, dt, y[..., :3])
    bad = y.clone()
    bad[1, 4, 0] = float("nan")
    with pytest.raises(ValueError, match=r"finite positions.*particle 4 of sample 1"):
        model(t, dt, bad)
    bad = y.clone()
    bad[..., model.frame.layout.type_at] = 12
    with pytest.raises(ValueError, match=r"types from -1 .* to 8, got 12"):
        model(t, dt, bad)
    with pytest.raises(ValueError, match=r"frames of shape \(batch, .*frames\[:, :"):
        model.pack(torch.zeros(1, 9, 3, 2), torch.zeros(1, 3, 2))
    with pytest.raises(ValueError, match=r"static of [24] channels .*viscosity.*got 0"):
        model.pack(torch.zeros(1, model.frame.layout.window, 3, 2))


@every_cloud
def test_a_disconnected_graph_is_named(make):
    model = made(make)
    _, _, y = states(model)
    model.frame.check_connected(y)
    y[2, 3, : model.frame.layout.moving] += 0.9
    with pytest.raises(ValueError, match=r"disconnected.*batch 2"):
        model.frame.check_connected(y)


@every_cloud
def test_particles_stop_at_walls_if_told_to(make):
    model = made(make, contain=True)
    t, dt, y = states(model)
    y[..., : model.frame.layout.moving] += torch.tensor([0.6, 0.0] * model.frame.layout.window)
    loose = model.newest(made(make)(t, dt, y).y)
    assert bool((loose > 1).any())
    close(model.newest(model(t, dt, y).y), loose.clamp(max=torch.tensor([1.0, 2.0]), min=torch.zeros(2)))
