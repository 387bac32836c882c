"""From a folder or a repository of the hub to a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from sciml.checkpoint import check_tensors
from sciml.datasets.channel import Channel
from sciml.hub import HubMixin, weights_file
from sciml.operators.physical import ChannelLike
from sciml.tensor_file import CheckpointError

from .architecture import ScOTConfig
from .network import ScOT
from .pretrained import (
    WEIGHTS,
    Pretrained,
    fill_of,
    load_weights,
    network_order,
    read_weights,
    wanted_channels,
    warn_replaced,
)

if TYPE_CHECKING:
    from .operator import Poseidon

    Model = TypeVar("Model", bound=Poseidon)


def read_pretrained(
    model_class: type[Model],
    name_or_path: str | Path,
    *,
    channels: Sequence[ChannelLike] | int | None,
    out_channels: Sequence[str] | int | None,
    image_size: int | tuple[int, ...] | None,
    options: Mapping[str, Any],
    hub: Mapping[str, Any],
) -> Model:
    """See ``Poseidon.from_pretrained``, which this is the inside of."""
    path = Path(name_or_path)
    if not path.is_dir() and (path.is_absolute() or len(path.parts) > 2 or str(name_or_path).startswith((".", "~"))):
        raise CheckpointError(path, "no such folder.")
    if path.is_dir():
        _check_config(path)
    wanted: dict[str, Any] = {"channels": channels, "out_channels": out_channels, "image_size": image_size}
    wanted["options"] = {name: value for name, value in options.items() if value is not None}
    try:
        return HubMixin.from_pretrained.__func__(model_class, str(name_or_path), wanted=wanted, **hub)  # type: ignore[attr-defined]
    except FileNotFoundError as error:
        raise CheckpointError(name_or_path, "not in the local cache, and the hub cannot be reached.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(name_or_path, f"its config.json is not JSON ({error}).") from error


def _check_config(folder: Path) -> None:
    """Refuse a folder whose configuration huggingface_hub would stumble over."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(folder, "expected a config.json beside the weights, found none.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(folder, f"its config.json is not JSON ({error}).") from error
    if not isinstance(found, dict):
        raise CheckpointError(folder, f"expected a JSON object in config.json, found a {type(found).__name__}.")


def build_pretrained(
    model_class: type[Model],
    model_id: str,
    values: Mapping[str, Any] | None,
    *,
    wanted: Mapping[str, Any] | None = None,
    **hub: Any,
) -> Model:
    """The model of a configuration that has been read, and of the weights beside it."""
    pretrained = Pretrained.from_dict(model_id, values)
    wanted = wanted or {}
    if wanted.get("image_size") is not None:
        pretrained = replace(pretrained, architecture=replace(pretrained.architecture, image_size=wanted["image_size"]))
    try:
        path = weights_file(model_id, WEIGHTS, **hub)
    except FileNotFoundError as error:
        raise CheckpointError(model_id, str(error).removeprefix(f"{model_id}: ")) from error
    pretrained = replace(pretrained, options={**pretrained.options, **wanted.get("options", {})})
    channels = wanted_channels(pretrained.channels, wanted.get("channels"), wanted.get("out_channels"))
    if pretrained.options.get("fill") and [c.name for c in channels] != [c.name for c in pretrained.channels]:
        names = ", ".join(channel.name for channel in pretrained.channels)
        raise ValueError(f"Expected the channels {names}, which {model_id} completes, or none. Start from its source.")
    model, replaced = _filled(model_class, pretrained, channels, path)
    warn_replaced(model_id, replaced)
    return model.eval()


def _filled(
    model_class: type[Model], pretrained: Pretrained, channels: tuple[Channel, ...], path: Path
) -> tuple[Model, list[str]]:
    """The model for these channels with the weights of a file, and what of them was drawn anew."""
    tensors = read_weights(path)
    _check_size(pretrained.architecture, tensors, path)
    fill = fill_of(pretrained, channels)
    options = {**pretrained.options, **({"fill": fill} if fill else {})}
    state = torch.get_rng_state()
    try:
        model = model_class(channels, architecture=pretrained.architecture, **options)
    except (TypeError, ValueError) as error:
        raise CheckpointError(path.parent, f"its config.json does not build a model: {error}") from error
    if any(tensor.dtype == torch.float64 for tensor in tensors.values()):
        model.double()
    known = [pretrained.channels[k] for k in network_order(pretrained.channels)]
    own = known if fill else [channels[k] for k in network_order(channels)]
    replaced = load_weights(model.network, tensors, path, known, own)
    if not replaced:
        torch.set_rng_state(state)  # reading a file draws nothing from the caller's random numbers
    try:
        _set_scales(model, pretrained)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(path.parent, f"the scales in its config.json do not fit its channels: {error}") from error
    return model, replaced


def _check_size(architecture: ScOTConfig, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse a config that does not belong to the tensors, before it can ask for memory that the file does not need."""
    try:
        with torch.device("meta"):
            skeleton = ScOT(architecture)
    except (RuntimeError, OverflowError) as error:
        raise CheckpointError(path.parent, f"its config.json does not build a network: {error}") from error
    check_tensors(skeleton, tensors, path)


def _set_scales(model: Poseidon, pretrained: Pretrained) -> None:
    """The scales that the model was trained with, where it has some for every channel; others come from the data."""
    names = [channel.name for channel in pretrained.channels]
    if pretrained.scales is None or any(channel.name not in names for channel in model.channels):
        return
    scales = dict(pretrained.scales)
    for name in ("mean", "std", "delta_std"):
        scales[name] = [scales[name][names.index(channel.name)] for channel in model.channels]
    model.normalization.set(**scales)
