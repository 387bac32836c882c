"""Learned simulators of particles: steppers of states that hold the last positions."""

from .box import Box, box_of
from .giorom import GIOROM
from .giorom_config import (
    PUBLISHED_2D,
    PUBLISHED_3D,
    PUBLISHED_3D_LARGE,
    PUBLISHED_3D_SMALL,
    GIOROMConfig,
)
from .gns import GNS
from .normalization import MotionNormalization, MotionStatistics
from .sampling import FarthestSampling, UniformSampling, sparse_radius
from .state import particle_channels
from .statistics import particle_statistics
from .windows import ParticleWindows

__all__ = [
    "GIOROM",
    "GNS",
    "PUBLISHED_2D",
    "PUBLISHED_3D",
    "PUBLISHED_3D_LARGE",
    "PUBLISHED_3D_SMALL",
    "Box",
    "FarthestSampling",
    "GIOROMConfig",
    "MotionNormalization",
    "MotionStatistics",
    "ParticleWindows",
    "UniformSampling",
    "box_of",
    "particle_channels",
    "particle_statistics",
    "sparse_radius",
]
