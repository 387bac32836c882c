"""Neighbours of points in one to three dimensions, by a list of occupied cells; batched, periodic or not."""

from .connectivity import Components, check_connected, check_occupied, components
from .nearest import Nearest, nearest_neighbors
from .radius import Neighbors, radius_neighbors
from .sampling import farthest_points, radius_for

__all__ = [
    "Components",
    "Nearest",
    "Neighbors",
    "check_connected",
    "check_occupied",
    "components",
    "farthest_points",
    "nearest_neighbors",
    "radius_for",
    "radius_neighbors",
]
