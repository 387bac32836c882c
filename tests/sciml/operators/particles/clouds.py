"""Small simulators and small clouds for these tests alone."""

import numpy as np
import torch

from sciml.datasets.memory import dataset_from_particles
from sciml.datasets.windows import Trajectories
from sciml.operators.particles import GIOROM, GNS, Box, GIOROMConfig, Mesh, MeshGraphNet, MotionScales
from sciml.operators.particles import particle_channels as channels_of
from sciml.operators.particles.state import reference_channels

NODES = 14
STATIC = ("particle_type", "viscosity")
SMALL = GIOROMConfig(
    steps=1, width=16, layers=1, transformer_width=16, heads=2, token=8, to_grid=(8, 8), from_grid=(8,)
)


def box(dim, periodic=False):
    return Box((0.0,) * dim, (1.0, 2.0, 1.5)[:dim], (periodic,) * dim)


def gns(dim, **arguments):
    return GNS(
        channels_of(dim, static=STATIC), **{"box": box(dim), "radius": 0.3, "steps": 2, "width": 16, **arguments}
    )


def giorom(dim, **arguments):
    return GIOROM(
        channels_of(dim, static=STATIC), **{"box": box(dim), "radius": 0.3, "architecture": SMALL, **arguments}
    )


def mesh_graph_net(dim, **arguments):
    ring = torch.arange(NODES)
    rest = torch.stack([ring.cos(), ring.sin()], dim=-1)
    mesh = Mesh(torch.stack([ring, ring.roll(1)], dim=-1), rest)
    return MeshGraphNet(
        channels_of(dim, 2, static=STATIC),
        **{"box": box(dim), "radius": 0.3, "mesh": mesh, "steps": 2, "width": 16, **arguments},
    )


def solid(dim, **arguments):
    """A simulator that is told where its particles are at rest."""
    channels = channels_of(dim, static=(*STATIC, *reference_channels(dim)))
    return GNS(channels, **{"box": box(dim), "radius": 0.3, "steps": 2, "width": 16, **arguments})


CLOUDS = {"gns": gns, "giorom": giorom, "solid": solid}  # of particles that have no order
ALL = {**CLOUDS, "mesh": mesh_graph_net}


def made(make, dim=2, **arguments):
    """With weights and scales that are neither 0 nor 1."""
    torch.manual_seed(0)
    model = make(dim, **arguments)
    one = np.ones(dim)
    statistics = MotionScales(0.001 * one, 0.01 * one, -0.002 * one, 0.005 * one, np.array([3.0]), np.array([2.0]))
    model.normalization.set(statistics, 0.5)
    return model


def states(model, size=3, *, seed=1, nodes=NODES, dtype=torch.float32):
    """Clouds in the middle of the box, and their t and dt."""
    layout = model.frame.layout
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 + 0.4 * torch.rand(size, 1, nodes, layout.dim, generator=generator)
    walk = 0.01 * torch.randn(size, layout.window, nodes, layout.dim, generator=generator).cumsum(dim=1)
    kinds = torch.randint(0, 3, (size, nodes, 1), generator=generator).float()
    inputs = 3 + torch.randn(size, nodes, 1, generator=generator)
    rest = [x[:, 0] + 0.1 * torch.rand(x[:, 0].shape, generator=generator)] if layout.reference else []
    y = model.pack((x + walk).to(dtype), torch.cat([kinds, inputs, *rest], dim=-1).to(dtype))
    return torch.zeros(size, dtype=dtype), torch.full((size,), 0.5, dtype=dtype), y


def falling(count, *, frames=10, nodes=10, rising=False, seed=0):
    """Trajectories of particles that fall freely and do not meet, as data; with ``rising`` every second one rises."""
    random = np.random.default_rng(seed)
    t = np.arange(frames)[:, None, None]
    kinds = np.arange(nodes) % 2 if rising else np.zeros(nodes, dtype=int)
    gravity = np.stack([0 * kinds, 2e-3 * (2 * kinds - 1)], axis=-1)
    trajectories = []
    for _ in range(count):
        x, v = random.uniform(0.3, 0.7, (1, nodes, 2)), random.normal(0, 5e-3, (1, nodes, 2))
        trajectories.append((x + v * t + gravity / 2 * t**2).astype("f4"))
    return dataset_from_particles(trajectories, types=[kinds] * count, dt=0.1, bounds=[[0.0, 1.0]] * 2)


def falling_windows(count=6, window=7, **arguments):
    return Trajectories(falling(count, **arguments), window=window)
