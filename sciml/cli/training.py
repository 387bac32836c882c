"""What ``sciml train`` trains, on what, and how, from its options."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from sciml.benchmark.candidates import CANDIDATES
from sciml.checkpoint import load_operator
from sciml.cli.console import errors, output
from sciml.datasets.channel import Channel
from sciml.datasets.frames import AllPairs
from sciml.datasets.windows import Trajectories
from sciml.operators import Poseidon, ScOTConfig
from sciml.operators.poseidon import ReplacedWeights
from sciml.training import (
    Cosine,
    FitSettings,
    GroupedRelativeLoss,
    Mixture,
    PoseidonGroups,
    Warmup,
    finetuning,
    mean_absolute,
    mean_square,
    relative_l1,
    relative_l2,
    scratch,
)
from sciml.training.loss import Loss
from sciml.training.schedule import Schedule

TRAINED = tuple(name for name, candidate in CANDIDATES.items() if candidate.trained)
LOSSES: dict[str, Callable[[Sequence[Channel]], Loss]] = {
    "mse": lambda channels: mean_square,
    "mae": lambda channels: mean_absolute,
    "relative-l1": lambda channels: relative_l1,
    "relative-l2": lambda channels: relative_l2,
    "grouped": lambda channels: GroupedRelativeLoss.by_field(channels),
}
_SIZES = {f"poseidon-{size.lower()}": size for size in ("T", "S", "B", "L")}


def check_names(model: str | None, loss: str | None, freeze: str | None) -> None:
    """Refuse names that the command does not know, before any file is opened."""
    for option, value, known in (
        ("--model", model, TRAINED),
        ("--loss", loss, tuple(LOSSES)),
        ("--freeze", freeze, ("latent",)),
    ):
        if value is not None and value not in known:
            raise ValueError(f"Expected {option} to be one of {', '.join(known)}; got {value!r}.")


def windows_for(
    data: Sequence[Path],
    split: str,
    *,
    frames: int,
    pairs: AllPairs | None,
    parameters: Sequence[str],
    temperature: float | None,
) -> Trajectories | Mixture:
    """A split of the files, as windows or pairs of frames; with a temperature each file is a part of a mixture."""
    if pairs is not None and min(pairs.lead_times, pairs.stride) < 1:
        raise ValueError(
            f"Expected --pairs and --pairs-stride of at least 1, got {pairs.lead_times} and {pairs.stride}."
        )
    if pairs is not None and frames != 2:
        raise ValueError("Expected --unroll 1 and --pushforward 0 with --pairs, which have two frames.")

    def opened(paths: Any) -> Trajectories:
        window = None if pairs is not None else frames
        return Trajectories(paths, split=split, window=window, lead_times=pairs, parameters=parameters)

    if temperature is None:
        return opened(data)
    return Mixture([opened(path) for path in data], temperature=temperature)


def operator_for(model: str | None, source: str | None, windows: Trajectories | Mixture) -> tuple[nn.Module, bool]:
    """The operator to train, and whether it got new embedding and recovery weights for the channels of the data."""
    if windows.kind != "grid":
        raise ValueError(f"Expected fields on a grid, which the operators of this command step, got {windows.kind}.")
    if source is None:
        return CANDIDATES[model or "unet"].build(windows), False
    path = _weights_of(source)
    if path is not None and path.suffix == ".safetensors":
        operator, replaced = load_operator(path), False
    else:
        operator, replaced = _pretrained(source if path is None else str(path), windows)
    _check_size(model, source, operator)
    return operator, replaced


def settings_for(
    operator: nn.Module,
    *,
    pretrained: bool,
    replaced: bool,
    channels: Sequence[Channel],
    loss: str | None,
    rates: tuple[float | None, float | None],
    given: Mapping[str, Any],
) -> FitSettings:
    """The published recipe of a Poseidon, the defaults of another operator; and over them what was given.

    Args:
        operator: that is trained.
        pretrained: whether it has weights from elsewhere.
        replaced: whether embedding and recovery are new, or learn alone, and so at a higher rate.
        channels: of the data.
        loss: one of ``LOSSES``.
        rates: of embedding and recovery, and of the norms that know the lead time.
        given: fields of ``FitSettings``; None for those left alone.
    """
    settings = FitSettings()
    if isinstance(operator, Poseidon):
        large = operator.network.config.embed_dim >= ScOTConfig.preset("L").embed_dim
        grouped = channels if loss in (None, "grouped") else None  # another loss needs no groups of channels
        recipe = finetuning("L" if large else "T", grouped, replaced=replaced) if pretrained else scratch(grouped)
        settings = replace(recipe, schedule=_for_any_length(recipe))
    changes = {name: value for name, value in given.items() if value is not None}
    if loss is not None:
        changes["loss"] = _loss(loss, channels)
    if any(rate is not None for rate in rates):
        groups = settings.groups if isinstance(settings.groups, PoseidonGroups) else PoseidonGroups()
        embedding, time = rates
        changes["groups"] = PoseidonGroups(
            groups.lr_embedding if embedding is None else embedding, groups.lr_time if time is None else time
        )
    return replace(settings, **changes)


def given_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the command that are fields of ``FitSettings``, the loss and the groups excepted."""
    renamed = {"ema": "ema_decay", "workers": "num_workers"}
    named = {renamed.get(name, name): value for name, value in options.items()}
    return {field.name: named[field.name] for field in fields(FitSettings) if field.name in named.keys() - {"loss"}}


def save_published(operator: nn.Module, folder: Path) -> None:
    """A Poseidon in the published layout too, from which it can be finetuned to other channels."""
    if isinstance(operator, Poseidon):
        operator.save_pretrained(folder)
        output.print(f"published layout: {folder}", highlight=False)


def checkpoint_blocks(operator: nn.Module) -> None:
    """Compute a Poseidon's blocks again in the backward pass, to save memory."""
    if not isinstance(operator, Poseidon):
        raise ValueError(f"Expected a Poseidon for --checkpointing, got a {type(operator).__name__}.")
    operator.network.checkpointing = True


def is_first_process() -> bool:
    """Under torchrun, the one that speaks and writes."""
    return int(os.environ.get("RANK", "0")) == 0


def _for_any_length(recipe: FitSettings) -> Schedule:
    """The schedule of a recipe with the warm-up as a part of the training, however long that is to be."""
    schedule = recipe.schedule
    return Cosine(warmup=schedule.epochs / recipe.epochs) if isinstance(schedule, Warmup) else schedule


def _loss(name: str, channels: Sequence[Channel]) -> Loss:
    return LOSSES[name](channels)


def _weights_of(source: str) -> Path | None:
    """The folder or file on this machine that ``--from`` means; None for a name of the hub."""
    path = Path(source)
    if path.suffix == ".safetensors":
        return path
    for folder in (path, path / "pretrained"):
        if (folder / "config.json").is_file():
            return folder
    return path / "operator.safetensors" if (path / "operator.safetensors").is_file() else None


def _pretrained(source: str, windows: Trajectories | Mixture) -> tuple[Poseidon, bool]:
    """Pretrained weights for the channels and the grid of the data."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        operator = Poseidon.from_pretrained(source, channels=windows.channels, image_size=windows.shape)
    if operator.boundary is None and all(axis.boundary == "periodic" for axis in windows.axes):
        operator.boundary = "periodic"
    for warning in caught:
        if is_first_process():
            errors.print(f"note: {warning.message}", markup=False, highlight=False)
    return operator, any(issubclass(warning.category, ReplacedWeights) for warning in caught)


def _check_size(model: str | None, source: str, operator: nn.Module) -> None:
    """Refuse weights of another kind or size than ``--model`` says."""
    if model is None:
        return
    name = type(operator).__name__.lower()
    if isinstance(operator, Poseidon):
        found = operator.network.config
        alike = [n for n, s in _SIZES.items() if _size(ScOTConfig.preset(s)) == _size(found)]
        name = alike[0] if alike else f"a Poseidon of embed_dim {found.embed_dim} and depths {found.depths}"
    if name != model:
        raise ValueError(f"Expected --from with weights of {model}, got {name} in {source}. Leave out --model.")


def _size(architecture: ScOTConfig) -> tuple[int, tuple[int, ...]]:
    return architecture.embed_dim, architecture.depths
