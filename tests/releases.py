"""What tests need of a release of torch."""

import pytest
import torch

needs_loops = pytest.mark.skipif(
    torch.__version__ < "2.13",  # compares versions, not letters
    reason="needs torch 2.13: compiled loops of older releases may not write into buffers",
)
