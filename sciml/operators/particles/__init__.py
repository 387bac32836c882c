"""Learned simulators of particles: steppers of states that hold the last positions."""

from .box import Box, box_of
from .decoding import DenseView, decoder_channels
from .dense_pairs import DensePairs
from .gino import GINO
from .giorom import GIOROM
from .giorom_config import (
    PUBLISHED_2D,
    PUBLISHED_3D,
    PUBLISHED_3D_LARGE,
    PUBLISHED_3D_SMALL,
    GIOROMConfig,
)
from .gns import GNS
from .grid_decoder import GridDecoder
from .mesh_graph_net import Mesh, MeshGraphNet
from .normalization import MotionNormalization, MotionScales
from .prescribed import Prescribed
from .reference_decoder import ReferenceDecoder
from .sampling import FarthestSampling, UniformSampling, sparse_radius
from .state import particle_channels
from .statistics import particle_statistics
from .windows import ParticleWindows

__all__ = [
    "GINO",
    "GIOROM",
    "GNS",
    "PUBLISHED_2D",
    "PUBLISHED_3D",
    "PUBLISHED_3D_LARGE",
    "PUBLISHED_3D_SMALL",
    "Box",
    "DensePairs",
    "DenseView",
    "FarthestSampling",
    "GIOROMConfig",
    "GridDecoder",
    "Mesh",
    "MeshGraphNet",
    "MotionNormalization",
    "MotionScales",
    "ParticleWindows",
    "Prescribed",
    "ReferenceDecoder",
    "UniformSampling",
    "box_of",
    "decoder_channels",
    "particle_channels",
    "particle_statistics",
    "sparse_radius",
]
