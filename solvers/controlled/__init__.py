"""Differential equations driven by observed paths: splines, log-signatures, controlled fields."""
