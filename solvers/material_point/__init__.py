"""The material point method: elastic and elastoplastic solids, sand and fluids as points that move through a grid."""

from sciml.kernels.material_point.contact import ADHERING_SLIP, NO_SLIP, SLIP, STICKY, Contact

from .elasticity import FixedCorotated, Hencky, NeoHookean, StVenantKirchhoff, Volumetric
from .failure import SimulationError
from .material import Fluid, Material, Solid, stiffness_for
from .materials import jelly, plasticine, sand, water
from .method import MaterialPointMethod
from .obstacle import Obstacle
from .plasticity import DruckerPrager, HerschelBulkley, VonMises
from .state import MaterialPoints, material_points

__all__ = [
    "ADHERING_SLIP",
    "NO_SLIP",
    "SLIP",
    "STICKY",
    "Contact",
    "DruckerPrager",
    "FixedCorotated",
    "Fluid",
    "Hencky",
    "HerschelBulkley",
    "Material",
    "MaterialPointMethod",
    "MaterialPoints",
    "NeoHookean",
    "Obstacle",
    "SimulationError",
    "Solid",
    "StVenantKirchhoff",
    "Volumetric",
    "VonMises",
    "jelly",
    "material_points",
    "plasticine",
    "sand",
    "stiffness_for",
    "water",
]
