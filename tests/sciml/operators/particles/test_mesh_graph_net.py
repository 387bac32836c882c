"""Two sets of edges: those of the mesh, however long, and those between parts that come near each other."""

import pytest
import torch

from sciml.operators.particles import Mesh
from tests.sciml.operators.particles.clouds import NODES, made, mesh_graph_net, states


def sets_of(model, y, dt):
    return model._edges(model.frame.graph(model.frame.read(dt, y), torch.float32))


def test_world_edges_are_those_that_the_mesh_has_not():
    model = made(mesh_graph_net)
    _, dt, y = states(model)
    mesh, world = ({*zip(e.source.tolist(), e.target.tolist())} for e in sets_of(model, y, dt))
    assert len(mesh) == 3 * 2 * NODES and not mesh & world and all(a != b for a, b in world)
    x = model.newest(y).flatten(0, 1)
    sample = torch.arange(3).repeat_interleave(NODES)
    near = (torch.cdist(x, x) <= 0.3) & (sample[:, None] == sample) & ~torch.eye(len(x), dtype=torch.bool)
    assert world == {*zip(*(k.tolist() for k in near.nonzero(as_tuple=True)))} - mesh


def test_mesh_edges_know_their_length_at_rest():
    model = made(mesh_graph_net)
    _, dt, y = states(model)
    mesh, _ = sets_of(model, y, dt)
    rest = (model.rest[mesh.source % NODES] - model.rest[mesh.target % NODES]).norm(dim=-1)
    torch.testing.assert_close(mesh.features[:, -1] * 0.3, rest)


def test_neighbours_on_the_mesh_feel_each_other_at_any_distance():
    model = made(mesh_graph_net)
    t, dt, y = states(model, size=1)
    y[:, 0, 1:4:2] += 0.9  # out of reach of all others
    y.requires_grad_()
    model.newest(model(t, dt, y).y)[:, 1].sum().backward()
    assert y.grad[:, 0].abs().max() > 0


def test_bad_meshes_are_named():
    with pytest.raises(ValueError, match=r"between the 3 nodes of rest.* from 0 to 3"):
        Mesh(torch.tensor([[0, 3]]), torch.zeros(3, 2))
    model = made(mesh_graph_net)
    t, dt, y = states(model, nodes=5)
    with pytest.raises(ValueError, match=f"mesh's {NODES} nodes, got 5"):
        model(t, dt, y)
