"""Whole solves as compiled programs."""

from .solve import solve_compiled

__all__ = ["solve_compiled"]
