"""Shared test set-up: shapes in signatures are checked, threads are kept off each other's cores."""

import importlib.util
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

# Before the first import of sciml: beartype checks every annotated call. The insides of the time loop are left out
# (state, solve, controllers): they are called dozens of times a step; checked, they made the suite ten times slower.
# So are products, sweeps and loops of linear systems: to see whether it is a Matrix, a check computes all that one has.
CHECKED = [
    "sciml.benchmark",
    "sciml.datasets",
    "sciml.history",
    "sciml.kernels.cosine_attention",
    "sciml.kernels.linear.goal",
    "sciml.kernels.linear.matrix",
    "sciml.kernels.linear.rows",
    "sciml.kernels.linear.schedule",
    "sciml.kernels.linear.stencil",
    "sciml.kernels.material_point",
    "sciml.kernels.native",
    "sciml.kernels.neighbors",
    "sciml.kernels.rotation_svd",
    "sciml.metrics",
    "sciml.normalization",
    "sciml.operators",
    "sciml.plots.film",
    "sciml.plots.splat",
    "sciml.scenes.mesh",
    "sciml.scenes.sampling",
    "sciml.solvers.equations",
    "sciml.solvers.finite_volume",
    "sciml.solvers.initial",
    "sciml.solvers.riemann",
    "sciml.solvers.solution",
    "sciml.solvers.step_doubling",
    "sciml.training",
]
if importlib.util.find_spec("beartype") is not None:
    install_import_hook(CHECKED, "beartype.beartype")

import torch

torch.set_num_threads(1)
