"""Trained operators as files: weights, normalisation and meaning together.

A checkpoint is one ``.safetensors`` file (see ``tensor_file``). A loaded operator takes and returns physical units,
since the normalisation is part of its state; the header says what its channels are and what it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.datasets.channel import Channel
from sciml.tensor_file import CheckpointError, read_header, read_tensors, write_tensors

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class GridAxis:
    """A spatial axis of the training data; ``spacing`` in ``units``."""

    name: str
    points: int
    spacing: float
    units: str = ""
    boundary: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says of itself.

    Attributes:
        operator: name of its class.
        config: keyword arguments that rebuild it, JSON values; ``channels`` is filled in from below.
        channels: names, units and which are static, in the order of the channel axis.
        dt: time between frames of the training data, the scale of its lead times; None where they vary.
        time_units: unit of t and dt, "" where the data stated none.
        axes: the grid it was trained on, () where unknown.
        training: where the weights come from: settings, epochs, losses.
        version: of sciml, when it was written.
    """

    operator: str
    config: dict[str, Any]
    channels: tuple[Channel, ...]
    dt: float | None = None
    time_units: str = ""
    axes: tuple[GridAxis, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    version: str = ""


def save_operator(
    operator: nn.Module, path: str | Path, *, data: Any = None, training: Mapping[str, Any] | None = None
) -> Path:
    """Write an operator with everything that is needed to use it elsewhere.

    Args:
        operator: has ``channels``, ``config`` and, in its state, its normalisation. Of a wrapper without a ``config``,
            such as ``History`` or ``Constrained``, its ``stepper`` is what is written.
        path: the file, conventionally ``*.safetensors``; replaced whole if it exists.
        data: what it was trained on, for ``axes``, ``dt`` and ``time_units``; a ``Trajectories`` or ``Dataset``.
        training: provenance, JSON values.

    Returns:
        The path.

    Raises:
        ValueError: the operator has no ``channels`` or ``config``, or its state holds something else than tensors.
    """
    bare = unwrapped(operator)
    header = {"kind": "operator", "format": _FORMAT, **asdict(_describe(bare, data, training))}
    write_tensors(path, tensor_state(bare), header)
    return Path(path)


def load_operator(
    path: str | Path, *, operator_class: type[nn.Module] | None = None, device: str | torch.device = "cpu"
) -> nn.Module:
    """The operator of a checkpoint, in evaluation mode; it takes and returns physical units.

    The file may come from anyone: it can only choose among the public operators of ``sciml.operators``, and nothing in
    it is executed.

    Args:
        path: the file.
        operator_class: for an operator of your own: the class to build, which must be the one that was saved.
        device: where to put it.

    Raises:
        CheckpointError: no such file, a damaged one, an unknown operator, or weights that do not fit it.
    """
    checkpoint = read_checkpoint(path)
    operator_class = _operator_class(path, checkpoint.operator, operator_class)
    tensors = read_tensors(path).tensors
    _check_size(path, checkpoint, operator_class, tensors)
    operator = _build(path, checkpoint, operator_class)
    if any(tensors[name].dtype == torch.float64 != value.dtype for name, value in tensor_state(operator).items()):
        operator.double()
    load_tensor_state(operator, tensors, path)
    return operator.to(device).eval()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """What a checkpoint says of itself, without reading its weights; raises CheckpointError."""
    header = read_header(path)
    if header.get("kind") != "operator":
        raise CheckpointError(path, f"expected a checkpoint of an operator, found {header.get('kind')!r}.")
    if header.get("format") != _FORMAT:
        raise CheckpointError(path, f"expected format {_FORMAT}, found {header.get('format')!r}. Update sciml.")
    fields = {name: value for name, value in header.items() if name not in ("kind", "format")}
    try:
        fields["channels"] = tuple(Channel(**channel) for channel in fields["channels"])
        fields["axes"] = tuple(GridAxis(**axis) for axis in fields["axes"])
        checkpoint = Checkpoint(**fields)
        if not isinstance(checkpoint.config, dict) or not isinstance(checkpoint.operator, str):
            raise TypeError("config or operator is of the wrong type")
    except (KeyError, TypeError) as error:
        raise CheckpointError(path, f"the header is not that of a checkpoint ({error}).") from error
    return checkpoint


def tensor_state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of a module by name; raises ValueError for extra state that is no tensor."""
    state = {name: value for name, value in module.state_dict().items() if not name.endswith("_metadata")}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"Expected tensors in the state of {type(module).__name__}, got {type(value).__name__} in {name!r}. "
                "Make it a buffer."
            )
    return state


def load_tensor_state(module: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy ``tensors`` into a module of the same structure.

    Raises:
        CheckpointError: a tensor is missing, left over or of another shape; the module is untouched then.
    """
    check_tensors(module, tensors, path)
    module.load_state_dict(dict(tensors), strict=False)  # names were checked; some modules add entries of their own


def unwrapped(operator: nn.Module) -> nn.Module:
    """The operator that a checkpoint is made of.

    Raises:
        ValueError: neither it nor what it wraps has ``channels`` and ``config``.
    """
    bare = operator
    while not hasattr(bare, "config") and isinstance(getattr(bare, "stepper", None), nn.Module):
        bare = bare.stepper  # type: ignore[assignment]
    for name in ("channels", "config"):
        if not hasattr(bare, name):
            raise ValueError(
                f"Expected operator to have the attribute {name}, got a {type(bare).__name__} without it. "
                "An operator of your own needs it to be saved."
            )
    return bare


def check_tensors(module: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Refuse tensors that are not those of a module: CheckpointError."""
    expected = tensor_state(module)
    missing, left_over = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or left_over:
        raise CheckpointError(
            path, f"the tensors are not those of {type(module).__name__}: {_differences(missing, left_over)}."
        )
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape or tensors[name].is_complex() != tensor.is_complex():
            raise CheckpointError(
                path,
                f"expected {name} of shape {tuple(tensor.shape)}, {tensor.dtype}, for this {type(module).__name__}, "
                f"found {tuple(tensors[name].shape)}, {tensors[name].dtype}.",
            )


def public_operators() -> dict[str, type[nn.Module]]:
    """The operator classes that a checkpoint may name: the public ones of ``sciml.operators``."""
    import sciml.operators as face

    found = {name: getattr(face, name) for name in face.__all__}
    return {name: item for name, item in found.items() if isinstance(item, type) and issubclass(item, nn.Module)}


def _describe(operator: nn.Module, data: Any, training: Mapping[str, Any] | None) -> Checkpoint:
    from sciml import __version__

    config: dict[str, Any] = operator.config  # type: ignore[assignment]
    axes = tuple(
        GridAxis(axis.name, len(axis.coordinates), axis.spacing, axis.units, axis.boundary)
        for axis in getattr(data, "axes", ())
    )
    return Checkpoint(
        operator=type(operator).__name__,
        config={name: None if name == "channels" else value for name, value in config.items()},
        channels=tuple(operator.channels),  # type: ignore[arg-type]
        dt=getattr(data, "dt", None),
        time_units=getattr(data, "time_units", ""),
        axes=axes,
        training=dict(training or {}),
        version=__version__,
    )


def _operator_class(path: str | Path, name: str, given: type[nn.Module] | None) -> type[nn.Module]:
    if given is not None and given.__name__ != name:
        raise CheckpointError(path, f"expected a checkpoint of {given.__name__}, found one of {name}.")
    if given is not None:
        return given
    known = public_operators()
    if name not in known:
        raise CheckpointError(
            path,
            f"unknown operator {name!r}; sciml.operators has {', '.join(sorted(known)) or 'none'}. "
            "For an operator of your own, pass operator_class.",
        )
    return known[name]


def _check_size(
    path: str | Path, checkpoint: Checkpoint, operator_class: type[nn.Module], tensors: Mapping[str, Tensor]
) -> None:
    """Refuse a config that does not belong to the tensors, before it can ask for memory that the file does not need."""
    try:
        with torch.device("meta"):
            skeleton = _build(path, checkpoint, operator_class)
    except NotImplementedError:
        return  # an operator that computes with values as it is made; it is checked once built
    check_tensors(skeleton, tensors, path)


def _build(path: str | Path, checkpoint: Checkpoint, operator_class: type[nn.Module]) -> nn.Module:
    """The operator with the weights it is born with."""
    channels = {"channels": checkpoint.channels} if "channels" in checkpoint.config else {}
    state = torch.get_rng_state()
    try:
        return operator_class(**{**checkpoint.config, **channels})
    except NotImplementedError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise CheckpointError(path, f"its config does not build a {checkpoint.operator}: {error}") from error
    finally:
        torch.set_rng_state(state)  # loading a file draws nothing from the caller's random numbers


def _differences(missing: list[str], left_over: list[str]) -> str:
    def some(names: list[str]) -> str:
        return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

    parts = [f"missing {some(missing)}"] if missing else []
    return "; ".join(parts + ([f"unexpected {some(left_over)}"] if left_over else []))
