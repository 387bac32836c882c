"""Solves of small systems as one native function: each block of samples runs to its end without a tensor operation."""

from .solve import solve_native

__all__ = ["solve_native"]
