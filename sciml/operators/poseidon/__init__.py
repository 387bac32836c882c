"""Poseidon: a foundation model for PDEs, its architecture and its published weights."""

from .architecture import ScOTConfig
from .network import ScOT
from .operator import Poseidon
from .pretrained import ReplacedWeights

__all__ = ["Poseidon", "ReplacedWeights", "ScOT", "ScOTConfig"]
