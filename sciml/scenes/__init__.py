"""Scenes of fluids, sand and solids: bodies in a box, simulated by the material point method.

scene = Scene([Body(sphere((0.5, 0.6), 0.2), jelly())])
simulate(scene, "run.h5")
"""

from sciml.kernels.material_point.contact import ADHERING_SLIP, NO_SLIP, SLIP, STICKY, Contact
from sciml.solvers.material_point import Obstacle, SimulationError, jelly, plasticine, sand, water
from sciml.solvers.signed_distance import box, capsule, complement, half_space, intersection, sphere, turned, union

from .body import Body, Emitter
from .materials import (
    MATERIALS,
    bingham,
    drucker_prager,
    fixed_corotated,
    fluid,
    hencky,
    herschel_bulkley,
    material_named,
    neo_hookean,
    st_venant_kirchhoff,
    von_mises,
)
from .mesh import Mesh, read_mesh
from .sampling import BlueNoise, Regular
from .scene import Scene
from .simulate import Run, SimulationStopped, simulate
from .toml_scene import read_scene

__all__ = [
    "ADHERING_SLIP",
    "MATERIALS",
    "NO_SLIP",
    "SLIP",
    "STICKY",
    "BlueNoise",
    "Body",
    "Contact",
    "Emitter",
    "Mesh",
    "Obstacle",
    "Regular",
    "Run",
    "Scene",
    "SimulationError",
    "SimulationStopped",
    "bingham",
    "box",
    "capsule",
    "complement",
    "drucker_prager",
    "fixed_corotated",
    "fluid",
    "half_space",
    "hencky",
    "herschel_bulkley",
    "intersection",
    "jelly",
    "material_named",
    "neo_hookean",
    "plasticine",
    "read_mesh",
    "read_scene",
    "sand",
    "simulate",
    "sphere",
    "st_venant_kirchhoff",
    "turned",
    "union",
    "von_mises",
    "water",
]
