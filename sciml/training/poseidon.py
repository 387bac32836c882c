"""Poseidon's groups of parameters, and its training with a frozen latent.

M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024, appendix C.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from torch import nn

from sciml.operators.poseidon.norm import ConditionalLayerNorm

from .groups import ParameterGroup

_OUTSIDE = ("embeddings", "patch_recovery")  # of the latent: where channels become tokens, and tokens channels


@dataclass(frozen=True, slots=True)
class PoseidonGroups:
    """The groups that Poseidon is trained with, of up to three learning rates.

    Embedding and recovery, their biases and the embedding's norm included, learn at ``lr_embedding`` and decay; the
    norms that know the lead time learn at ``lr_time`` and do not decay; neither do biases and plain norms; all else
    decays. The reference takes for a bias whatever has "bias" in its name, and so does not decay the weights of the
    position bias network either: ``reference=True`` does the same, by default they decay like other weights.

    Attributes:
        lr_embedding: None for no group of its own: then embedding and recovery are divided like all else.
        lr_time: None for no group of its own: then these norms learn at the rate of all else.
        reference: as published.
    """

    lr_embedding: float | None = None
    lr_time: float | None = None
    reference: bool = False

    def __post_init__(self) -> None:
        for name in ("lr_embedding", "lr_time"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Expected {name} > 0 or None, got {value}.")

    def __call__(self, operator: nn.Module) -> tuple[ParameterGroup, ...]:
        """The groups embedding, standard, time and no decay; some may be empty.

        Raises:
            ValueError: the operator is no Poseidon.
        """
        _check_poseidon(operator)
        norms = _inside(operator, (nn.LayerNorm, ConditionalLayerNorm))
        timed = _inside(operator, (ConditionalLayerNorm,))
        members: dict[str, list[str]] = {"embedding": [], "standard": [], "time": [], "no decay": []}
        for name, _ in operator.named_parameters():
            if self.lr_embedding is not None and any(part in name for part in _OUTSIDE):
                members["embedding"].append(name)
            elif not name.startswith(norms) and not self._is_bias(name):
                members["standard"].append(name)
            elif self.lr_time is not None and name.startswith(timed):
                members["time"].append(name)
            else:
                members["no decay"].append(name)
        return (
            ParameterGroup(tuple(members["embedding"]), lr=self.lr_embedding),
            ParameterGroup(tuple(members["standard"])),
            ParameterGroup(tuple(members["time"]), lr=self.lr_time, weight_decay=0.0),
            ParameterGroup(tuple(members["no decay"]), weight_decay=0.0),
        )

    def _is_bias(self, name: str) -> bool:
        return "bias" in name if self.reference else name.rpartition(".")[2] == "bias"


class Frozen:
    """Parameters that do not learn until ``undo``; leaving its ``with`` block undoes too.

    Attributes:
        names: of those that were frozen by this, not those that were before.
    """

    def __init__(self, operator: nn.Module, names: tuple[str, ...]) -> None:
        self.names = names
        parameters = dict(operator.named_parameters())
        self._parameters = [parameters[name] for name in names]
        for parameter in self._parameters:
            parameter.requires_grad_(False)

    def undo(self) -> None:
        """Let them learn again."""
        for parameter in self._parameters:
            parameter.requires_grad_(True)

    def __enter__(self) -> Frozen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def freeze_latent(operator: nn.Module) -> Frozen:
    """Let embedding and recovery learn alone, less than 0.5 % of a Poseidon's parameters.

    A resumed training has to be frozen again before ``fit``::

        with freeze_latent(model):
            fit(model, train, out="runs/frozen")

    Raises:
        ValueError: the operator is no Poseidon.
    """
    _check_poseidon(operator)
    return Frozen(
        operator,
        tuple(
            name
            for name, parameter in operator.named_parameters()
            if parameter.requires_grad and not any(part in name for part in _OUTSIDE)
        ),
    )


def _check_poseidon(operator: nn.Module) -> None:
    found = [name for name, _ in operator.named_parameters()]
    if not all(any(part in name for name in found) for part in _OUTSIDE):
        raise ValueError(
            f"Expected a Poseidon, with parameters of embeddings and patch_recovery, got a {type(operator).__name__}."
        )


def _inside(operator: nn.Module, kinds: tuple[type[nn.Module], ...]) -> tuple[str, ...]:
    """What the names of parameters within modules of these kinds begin with."""
    return tuple(f"{name}." for name, module in operator.named_modules() if isinstance(module, kinds))
