"""The reference implementation's values on small architectures."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sciml.operators.poseidon.architecture import ScOTConfig
from sciml.operators.poseidon.network import ScOT

DATA = Path(__file__).parents[3] / "data" / "poseidon"
NAMES = ("A_tiny", "B_four_stage")


def reference(name: str) -> dict[str, Any]:
    """A fixture: configuration, weights, inputs and what the reference made of them."""
    return torch.load(DATA / f"{name}.pt", weights_only=True)


def network(values: dict[str, Any], dtype: torch.dtype = torch.float64) -> ScOT:
    """The fixture's network, in evaluation mode."""
    found = ScOT(ScOTConfig.from_dict(values["config"]))
    found.load_state_dict(values["state_dict"])
    return found.eval().to(dtype)


def inputs(values: dict[str, Any], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Fields and lead times."""
    return values["pixel_values"].to(dtype), values["time"].to(dtype)


def tiny(**changes: Any) -> ScOTConfig:
    """A small architecture with all parts."""
    values = {
        "image_size": 16,
        "patch_size": 2,
        "num_channels": 2,
        "num_out_channels": 2,
        "embed_dim": 8,
        "depths": (2, 2),
        "num_heads": (2, 2),
        "skip_connections": (1, 0),
        "window_size": 4,
        "drop_path_rate": 0.0,
        "use_conditioning": True,
    }
    return ScOTConfig(**{**values, **changes})


def redrawn(net: ScOT, seed: int = 0) -> ScOT:
    """Weights of a size that lets every part matter: at first the norms are close to zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator).to(parameter)
    return net
