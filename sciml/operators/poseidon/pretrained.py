"""Published and saved weights: reading, checking, giving them to a model of other variables, and writing."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sciml.checkpoint import load_tensor_state
from sciml.datasets.atomic import replacing
from sciml.datasets.channel import Channel
from sciml.operators.physical import ChannelLike, channel_dicts, dynamic_channels, parse_channels
from sciml.tensor_file import CheckpointError

from .architecture import ScOTConfig
from .network import ScOT

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# What the published models take: their data's units, and lead times in units of the fluids' 20 frames.
PUBLIC_CHANNELS = (
    Channel("density"),
    Channel("velocity_x", field="velocity", component="x"),
    Channel("velocity_y", field="velocity", component="y"),
    Channel("pressure"),
)
PUBLIC_MEAN, PUBLIC_STD = (0.80, 0.0, 0.0, 0.0), (0.31, 0.391, 0.356, 0.185)
# Incompressible flow is given to them with density 1 and pressure 0.
PUBLIC_FILL = {"density": (1.0 - PUBLIC_MEAN[0]) / PUBLIC_STD[0], "pressure": 0.0}
# Tensors that follow from the architecture, which some versions of the reference save.
_DERIVED = ("relative_coords_table", "relative_position_index")
_EMBEDDING, _MIXUP = "embeddings.patch_embeddings.projection.weight", "patch_recovery.mixup.weight"
_RECOVERY, _RECOVERY_BIAS = "patch_recovery.projection.weight", "patch_recovery.projection.bias"


class ReplacedWeights(UserWarning):
    """Weights that were drawn anew since the pretrained ones are for other variables."""


@dataclass(frozen=True)
class Pretrained:
    """What stands beside a file of weights.

    Attributes:
        architecture: of the network.
        channels: of its state.
        scales: arguments of ``Normalization.set``, or None.
        options: further arguments of ``Poseidon``.
        fillable: normalised values by which the network stands for channels that a state may lack.
    """

    architecture: ScOTConfig
    channels: tuple[Channel, ...]
    scales: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    fillable: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, path: str | Path, values: Mapping[str, Any] | None) -> Pretrained:
        """What a ``config.json`` says; raises CheckpointError."""
        if values is None:
            raise CheckpointError(path, "expected a config.json beside the weights, found none.")
        try:
            architecture = ScOTConfig.from_dict(values)
            own = values.get("sciml")
            if own is not None:
                return cls(architecture, parse_channels(own["channels"]), own["scales"], dict(own["options"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(path, f"its config.json is not that of a scOT: {error}") from error
        if (architecture.num_channels, architecture.num_out_channels) == (4, 4):
            scales = {"mean": PUBLIC_MEAN, "std": PUBLIC_STD, "delta_std": PUBLIC_STD, "dt": 1.0}
            return cls(architecture, PUBLIC_CHANNELS, scales, {"time_scale": 1.0}, PUBLIC_FILL)
        inputs, outputs = architecture.num_channels, architecture.num_out_channels
        channels = tuple(Channel(f"channel_{k}", static=k >= outputs) for k in range(max(inputs, outputs)))
        return cls(architecture, channels, None, {"time_scale": 1.0})


def to_dict(architecture: ScOTConfig, own: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """A ``config.json`` that the reference reads, with what only we know under "sciml"."""
    levels = len(architecture.depths)
    return {
        "architectures": ["ScOT"],
        "model_type": "swinv2",
        **architecture.to_dict(),
        "hidden_size": architecture.width(levels - 1),
        "num_layers": levels,
        "pretrained_window_sizes": [0] * max(levels, 4),
        "torch_dtype": str(dtype).removeprefix("torch."),
        "sciml": dict(own),
    }


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, without those that follow from the architecture.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else than tensors by name.
    """
    if not path.is_file():
        raise CheckpointError(path, "no such file.")
    try:
        if path.suffix == ".safetensors":
            tensors: Any = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, zip, pickle and the system each raise their own
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(path, f"not a whole file of weights ({reason}). Download it again.") from error
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(path, "expected tensors by name, found something else.")
    return {name: value for name, value in tensors.items() if not name.endswith(_DERIVED)}


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """``config.json`` and ``model.safetensors``, each whole or not at all."""
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with replacing(folder / WEIGHTS[0]) as path:
        path.touch()
        mode = path.stat().st_mode
        save_file(stored, path, metadata={"format": "pt"})
        path.chmod(mode)  # safetensors makes files that only their owner can read, whatever the umask
    with replacing(folder / "config.json") as path:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def wanted_channels(
    stored: Sequence[Channel], channels: Sequence[ChannelLike] | int | None, out_channels: Sequence[str] | int | None
) -> tuple[Channel, ...]:
    """The channels of the model to be made: those stored, or others, of which the outputs alone are not static."""
    if isinstance(channels, int) and channels == len(stored):
        channels = None
    elif isinstance(channels, int):
        channels = [f"channel_{k}" for k in range(channels)]
    wanted = tuple(stored) if channels is None else parse_channels(channels)
    if out_channels is None:
        return wanted
    names = [channel.name for channel in wanted]
    predicted = names[:out_channels] if isinstance(out_channels, int) else list(out_channels)
    unknown = [name for name in predicted if name not in names]
    if unknown or not predicted or (isinstance(out_channels, int) and out_channels > len(names)):
        raise ValueError(f"Expected out_channels among the channels {', '.join(names)}, got {out_channels!r}.")
    return parse_channels(_as_static(channel, channel.name not in predicted) for channel in wanted)


def fill_of(pretrained: Pretrained, wanted: Sequence[Channel]) -> list[tuple[int, float]]:
    """Positions and values of the inputs that ``wanted`` lacks, if they have values of their own; else nothing."""
    known, names = [channel.name for channel in pretrained.channels], [channel.name for channel in wanted]
    if not set(names) < set(known) or [name for name in known if name in names] != names:
        return []
    lacking = [(k, name) for k, name in enumerate(known) if name not in names]
    if any(name not in pretrained.fillable for _, name in lacking) or any(channel.static for channel in wanted):
        return []
    return [(k, pretrained.fillable[name]) for k, name in lacking]


def load_weights(
    network: ScOT, tensors: dict[str, Tensor], path: Path, known: Sequence[Channel], wanted: Sequence[Channel]
) -> list[str]:
    """Give the network the weights; what belongs to channels that they do not know keeps its first values.

    Args:
        network: with the weights it was born with.
        tensors: those of the file.
        path: the file, for errors.
        known, wanted: the channels of the file and of the network, in the network's order: those that change first.

    Returns:
        What was drawn anew, in words.

    Raises:
        CheckpointError: the tensors are not those of the network.
    """
    state, same = network.state_dict(), [channel.name for channel in known] == [channel.name for channel in wanted]
    same = same and len(dynamic_channels(known)) == len(dynamic_channels(wanted))
    replaced: list[str] = []
    if not same:
        tensors, replaced = _for_channels(tensors, state, known, wanted)
    load_tensor_state(network, tensors, path)
    return replaced


def _for_channels(
    tensors: dict[str, Tensor],
    state: Mapping[str, Tensor],
    known: Sequence[Channel],
    wanted: Sequence[Channel],
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors with embedding and recovery for the wanted channels: known ones by name, the others new."""
    inputs = _pairs(known, wanted)
    outputs = _pairs(_changing(known), _changing(wanted))
    changed = dict(tensors)
    changed[_EMBEDDING] = _merged(tensors[_EMBEDDING], state[_EMBEDDING], {1: inputs})
    changed[_RECOVERY] = _merged(tensors[_RECOVERY], state[_RECOVERY], {1: outputs})
    changed[_RECOVERY_BIAS] = _merged(tensors[_RECOVERY_BIAS], state[_RECOVERY_BIAS], {0: outputs})
    changed[_MIXUP] = _merged(tensors[_MIXUP], state[_MIXUP], {0: outputs, 1: outputs})
    new = [channel.name for channel in wanted if channel.name not in {other.name for other in known}]
    kept = f", the rest of them kept ({', '.join(wanted[k].name for _, k in inputs)})" if inputs else ""
    names = ", ".join((_EMBEDDING, _RECOVERY, _RECOVERY_BIAS, _MIXUP))
    return changed, [f"{names}: new for {', '.join(new) or 'other outputs'}{kept}"]


def _merged(old: Tensor, new: Tensor, pairs: Mapping[int, list[tuple[int, int]]]) -> Tensor:
    """``new`` with the entries of ``old`` where axis for axis the channels are the same ones: (place there, here)."""
    merged = new.detach().clone()
    for combination in itertools.product(*pairs.values()):
        source: list[slice | int] = [slice(None)] * old.dim()
        target = list(source)
        for axis, (there, here) in zip(pairs, combination):
            source[axis], target[axis] = there, here
        merged[tuple(target)] = old[tuple(source)].to(merged.dtype)
    return merged


def _pairs(known: Sequence[Channel], wanted: Sequence[Channel]) -> list[tuple[int, int]]:
    names = {channel.name: k for k, channel in enumerate(known)}
    return [(names[channel.name], k) for k, channel in enumerate(wanted) if channel.name in names]


def _changing(channels: Sequence[Channel]) -> list[Channel]:
    return [channel for channel in channels if not channel.static]


def network_order(channels: Sequence[Channel]) -> list[int]:
    """The channels as the network takes them: first those that change, which it predicts."""
    return sorted(range(len(channels)), key=lambda k: channels[k].static)


def _as_static(channel: Channel, static: bool) -> dict[str, Any]:
    return {**channel_dicts([channel])[0], "static": static}


def warn_replaced(path: str | Path, replaced: Sequence[str]) -> None:
    """Say what was drawn anew, if anything was."""
    if replaced:
        warnings.warn(f"{path}: {'; '.join(replaced)}. Finetune before use.", ReplacedWeights, stacklevel=3)
