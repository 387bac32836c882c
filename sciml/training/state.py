"""The state of a training on disk: everything that the rest of it depends on.

A killed run goes on from its last saved state to the very same weights, since what follows is a function of the state
alone: the order of the data, the noise and the learning rate are pure functions of the position (``order``,
``randomness``, ``schedule``).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor, optim

from sciml.tensor_file import CheckpointError, TensorFile, read_tensors, write_tensors

from .log import EpochRecord
from .sharding import part_like, whole

_FORMAT = 1


@dataclass
class Position:
    """Where a training is.

    Attributes:
        epoch: epochs that are over.
        step: steps done in the current one.
        steps: steps done in all.
        loss_sum: over the windows seen in the current epoch.
        seconds: spent on the current epoch.
        best_loss, best_epoch: of the best validation; 0 before the first.
        stale: epochs since then.
        history: records of the epochs that are over.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_epoch: int = 0
    stale: int = 0
    history: list[EpochRecord] = field(default_factory=list)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Position:
        """The position that ``dataclasses.asdict`` made JSON of."""
        return cls(**{**stored, "history": [EpochRecord(**record) for record in stored["history"]]})


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All of it.

    Attributes:
        position: in the training.
        operator: its parameters and buffers.
        optimizer: moments, named "parameter number/quantity".
        average: running mean of the weights, empty without.
        best: the operator's state at the best validation, empty before.
        scaler: of the gradients in 16-bit precision, empty without.
        settings: as JSON, to compare with those of the resumed run.
        windows: training windows there were.
        checks: what else must be the same when the training goes on, by name.
    """

    position: Position
    operator: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    scaler: Mapping[str, Any]
    settings: Mapping[str, Any]
    windows: int
    checks: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Into one file, whole or not at all."""
        tensors = {f"{group}/{name}": tensor for group in _GROUPS for name, tensor in getattr(self, group).items()}
        header = {name: getattr(self, name) for name in _HEADER} | {"position": asdict(self.position)}
        write_tensors(path, tensors, {"kind": "training", "format": _FORMAT, **header})

    @classmethod
    def read(cls, path: Path) -> TrainingState:
        """From a file; raises CheckpointError for one that is damaged or something else."""
        file = read_tensors(path)
        if (file.header.get("kind"), file.header.get("format")) != ("training", _FORMAT):
            raise CheckpointError(path, f"expected the state of a training, format {_FORMAT}, found something else.")
        try:
            header = {name: file.header.get(name, {}) if name == "checks" else file.header[name] for name in _HEADER}
            position = Position.from_json(file.header["position"])
        except (KeyError, TypeError) as error:
            raise CheckpointError(path, f"the header is not that of a training ({error}).") from error
        tensors: dict[str, Any] = {group: _group(file, group) for group in _GROUPS}
        return cls(position=position, **tensors, **header)


_GROUPS = ("operator", "optimizer", "average", "best")
_HEADER = tuple(item.name for item in fields(TrainingState) if item.name not in (*_GROUPS, "position"))


class StateFolder:
    """The states of one training: the newest and, should that be damaged, the one before.

    Args:
        path: of the folder, made at the first save.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def paths(self) -> list[Path]:
        """The stored states, oldest first."""
        return sorted(self.path.glob("state-*.safetensors"))

    def save(self, state: TrainingState) -> None:
        """Write a state, then drop all but two."""
        state.write(self.path / f"state-{state.position.steps:012d}.safetensors")
        for old in self.paths()[:-2]:
            old.unlink()

    def newest(self) -> Path | None:
        """The newest good state, None where there is none at all.

        A damaged one is renamed to ``*.damaged``, with a warning, and the one before taken. What a killed process left
        half-written is removed.

        Raises:
            CheckpointError: there are states, and all are damaged.
        """
        for partial in self.path.glob(".state-*.partial"):
            partial.unlink()
        problem: CheckpointError | None = None
        for path in reversed(self.paths()):
            try:
                TrainingState.read(path)
            except CheckpointError as error:
                problem = error
                path.rename(path.with_name(f"{path.name}.damaged"))
                warnings.warn(f"{error} Going back to the state before it.", stacklevel=2)
            else:
                return path
        if problem is not None:
            raise CheckpointError(self.path, f"no state in it can be read ({problem}). Delete it to start anew.")
        return None


def optimizer_tensors(optimizer: optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an optimiser, named "parameter number/quantity"; brought together from all processes."""
    state = optimizer.state_dict()["state"]
    return {f"{number}/{name}": whole(value) for number, values in state.items() for name, value in values.items()}


def load_optimizer_tensors(optimizer: optim.Optimizer, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put stored moments into an optimiser of the same parameters; raises CheckpointError where they do not fit."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition("/")
        if not number.isdigit() or int(number) >= len(parameters):
            raise CheckpointError(
                path, f"it has optimiser state for a parameter {number}; there are {len(parameters)}."
            )
        shape = parameters[int(number)].shape
        if tensor.dim() > 0 and tensor.shape != shape:
            raise CheckpointError(
                path, f"expected optimiser state {key} of shape {tuple(shape)}, found {tuple(tensor.shape)}."
            )
        state.setdefault(int(number), {})[name] = (
            tensor if tensor.dim() == 0 else part_like(parameters[int(number)], tensor)
        )
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _group(file: TensorFile, group: str) -> dict[str, Tensor]:
    start = f"{group}/"
    return {name.removeprefix(start): tensor for name, tensor in file.tensors.items() if name.startswith(start)}
