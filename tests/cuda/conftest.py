"""Tests of what a GPU computes; without one they are skipped."""

import os

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    """The GPU. With SCIML_TEST_DEVICE=cpu the CPU, by which the tests themselves are checked where there is none."""
    name = os.environ.get("SCIML_TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else torch.device(name)
