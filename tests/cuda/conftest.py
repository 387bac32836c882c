"""Where the tests of this folder run: on the GPU, skipped where there is none."""

import os

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    """The GPU. ``SCIML_TEST_DEVICE=cpu`` puts the CPU in its place, to check the tests themselves without one."""
    asked = os.environ.get("SCIML_TEST_DEVICE", "cuda")
    if asked == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device("cuda", torch.cuda.current_device()) if asked == "cuda" else torch.device(asked)
