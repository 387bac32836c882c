"""Operators: learned (or fitted) steppers in physical units.

Each obeys one interface:

- an ``nn.Module``, made as ``Operator(channels, *, hyper-parameters)``; channels are ``Channel``s or names, and one
  that is ``static`` is an input only, handed on bit for bit;
- ``channels``: tuple of ``Channel``; ``normalization``: a ``Normalization``, set by training from the data set's
  statistics and stored in the ``state_dict``; ``config``: the constructor's arguments as JSON can hold them, so that
  ``type(op)(**op.config)`` followed by ``load_state_dict`` rebuilds the operator exactly;
- ``forward(t, dt, u) -> Step`` with t and dt of shape (batch,) and u of shape (batch, channel, *space) in physical
  units, as is ``Step.y``. dt is honoured: dt = 0 is the identity, but for operators that predict the state itself
  (``residual=False``, ``Poseidon``). The same call trains and is driven by ``solve``;
- every entry of the ``state_dict`` is a real tensor that safetensors can store, and every parameter is used.

Simulators of particles (``particles/``) keep the last positions in their state, (batch, node, channel), and know no dt
but that of their frames; see docs/simulators.md.

``sciml.operators.physical`` holds what they share, for writing another.
"""

from .fno import FNO
from .linear import LeastSquares, LinearDMD
from .particles import GINO, GIOROM, GNS, GridDecoder, MeshGraphNet, ReferenceDecoder
from .persistence import Persistence
from .poseidon import Poseidon, ScOTConfig
from .unet import UNet

__all__ = [
    "FNO",
    "GINO",
    "GIOROM",
    "GNS",
    "GridDecoder",
    "LeastSquares",
    "LinearDMD",
    "MeshGraphNet",
    "Persistence",
    "Poseidon",
    "ReferenceDecoder",
    "ScOTConfig",
    "UNet",
]
