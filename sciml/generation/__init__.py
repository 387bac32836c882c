"""Datasets made here: families of trajectories, and the engine that writes them."""
