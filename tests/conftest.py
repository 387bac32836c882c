"""Shared test set-up: shapes in signatures are checked, threads are kept off each other's cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

# Before the first import of sciml: every function annotated with jaxtyping is checked by beartype as it is called.
install_import_hook("sciml", "beartype.beartype")

import torch

torch.set_num_threads(1)
