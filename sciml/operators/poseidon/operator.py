"""Poseidon: the scalable operator transformer as a stepper in physical units, whose time step is the lead time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.hub import HubMixin
from sciml.normalization import Normalization, shaped
from sciml.operators.physical import (
    ChannelLike,
    channel_dicts,
    check_field,
    dynamic_channels,
    parse_channels,
    replace_channels,
    take,
)
from sciml.solvers.stepper import Step

from .architecture import ScOTConfig
from .loading import build_pretrained, read_pretrained
from .network import ScOT
from .pretrained import network_order, to_dict, write_folder
from .spectral import check_periodic

_FRAMES = 20  # of the training data in a lead time of 1, as in the published models' data of fluids


class Poseidon(
    nn.Module,
    HubMixin,
    library_name="sciml",
    tags=["scientific-machine-learning", "partial-differential-equations"],
    paper_url="https://arxiv.org/abs/2405.19101",
):
    """A scalable operator transformer, pretrained or new, as a stepper on fields over a regular grid.

    ``Poseidon.from_pretrained("camlab-ethz/Poseidon-T")`` (-B, -L, or a folder) reads the published weights. One step
    of any ``dt`` it was trained for is one evaluation, so that ``solve`` rolls it out directly, autoregressively, or
    adaptively under ``StepDoubling``.

    Args:
        channels: of the state, as ``Channel``, name or dict; static ones are inputs only.
        architecture: of the network, such as ``ScOTConfig.preset("T")``; its channels become those of the state.
        time_scale: the physical time that is a lead time of 1; None for 20 steps of the training data.
        boundary: of the domain: "periodic", "open", or None where it is not known. A field of another size than the
            architecture's is resampled by its Fourier series, which is refused where the field is not periodic.
        native: whether to run on the field's own grid instead, whatever its size.
        fill: (position, value) of inputs of the network that the state lacks, in normalised units.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        architecture: ScOTConfig | Mapping[str, Any] | None = None,
        time_scale: float | None = None,
        boundary: str | None = None,
        native: bool = False,
        fill: Sequence[Sequence[int | float]] = (),
    ) -> None:
        super().__init__()
        self.channels = parse_channels(channels)
        _check_options(time_scale, boundary)
        self.time_scale, self.boundary = time_scale, boundary
        self.fill = {int(position): float(value) for position, value in fill}
        self._dynamic = dynamic_channels(self.channels)
        self._order = network_order(self.channels)
        self.normalization = Normalization(len(self.channels))
        self.network = ScOT(self._fitting(architecture), native=native)

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {
            "channels": channel_dicts(self.channels),
            "architecture": self.network.config.to_dict(),
            "time_scale": self.time_scale,
            "boundary": self.boundary,
            "native": self.network.native,
            "fill": [[position, value] for position, value in self.fill.items()],
        }

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], u: Float[Tensor, "batch channel *space"]
    ) -> Step:
        """The state after dt, in the units of ``u``. The dynamics are taken as autonomous: t is not read.

        Raises:
            ValueError: u has other axes or channels, or has to be resampled and is not periodic.
        """
        check_field(u, dt, self.channels, self.network.config.dim)
        if not self.network.native and tuple(u.shape[2:]) != self.network.config.size:
            check_periodic(u, self.boundary)
        lead = self.lead(dt)
        predicted = self.network(self._inputs(u), lead.to(self._dtype))
        outputs = [k for k in range(predicted.shape[1]) if k not in self.fill]
        scaled = take(predicted, outputs).to(u.dtype)
        mean, std = (
            shaped(take(values, self._dynamic, dim=0), u).to(u.dtype)
            for values in (self.normalization.mean, self.normalization.std)
        )
        return Step(y=replace_channels(u, mean + std * scaled, self._dynamic))

    def lead(self, dt: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The lead time of a physical time step."""
        return dt / (_FRAMES * self.normalization.dt if self.time_scale is None else self.time_scale)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        channels: Sequence[ChannelLike] | int | None = None,
        out_channels: Sequence[str] | int | None = None,
        image_size: int | tuple[int, ...] | None = None,
        time_scale: float | None = None,
        boundary: str | None = None,
        native: bool | None = None,
        **hub: Any,
    ) -> Poseidon:
        """A pretrained model, in evaluation mode: of the published layout, or one that ``save_pretrained`` wrote.

        Other channels get new embedding and recovery weights, with the architecture's first values, those that the
        model knows by name excepted; a ``ReplacedWeights`` warning says which. A state of velocities alone is
        completed for a published model by density 1 and pressure 0, as it was trained on incompressible flow.

        Args:
            pretrained_model_name_or_path: a folder, or a repository of the hub, such as "camlab-ethz/Poseidon-T".
            channels: of the state, such as ``train.channels``, or their number; by default those of the model.
            out_channels: names of those that are predicted, or how many; the others become static.
            image_size: points that the network works on, if not the model's own.
            time_scale, boundary, native: as for a new model; None for what the model has.
            hub: options of ``huggingface_hub``: revision, token, cache_dir, local_files_only, force_download.

        Raises:
            CheckpointError: a file is missing, damaged, or of another layout.
            ValueError: the channels do not fit each other, or an argument is out of its range.
        """
        _check_options(time_scale, boundary)
        return read_pretrained(
            cls,
            pretrained_model_name_or_path,
            channels=channels,
            out_channels=out_channels,
            image_size=image_size,
            options={"time_scale": time_scale, "boundary": boundary, "native": native},
            hub=hub,
        )

    def save_pretrained(self, save_directory: str | Path, **hub: Any) -> Any:
        """Write ``config.json`` and ``model.safetensors`` in the published layout, which the reference reads.

        Normalisation, channels and time scale stand in the configuration under "sciml".

        Args:
            save_directory: the folder.
            hub: options of ``huggingface_hub.ModelHubMixin.save_pretrained``, such as ``push_to_hub=True``.
        """
        if hub:
            return super().save_pretrained(save_directory, **hub)
        return self._save_pretrained(Path(save_directory))

    def _save_pretrained(self, save_directory: Path) -> None:
        scales = None
        if bool(self.normalization.is_set):
            names = ("mean", "std", "delta_std", "dt")
            scales = {name: getattr(self.normalization, name).tolist() for name in names}
        own = {name: value for name, value in self.config.items() if name not in ("channels", "architecture")}
        described = {"channels": channel_dicts(self.channels), "scales": scales, "options": own}
        config = to_dict(self.network.config, described, self._dtype)
        write_folder(save_directory, config, self.network.state_dict())

    @classmethod
    def _from_pretrained(cls, *, model_id: str, config: Mapping[str, Any] | None = None, **rest: Any) -> Poseidon:
        """What huggingface_hub calls once it has read the configuration."""
        return build_pretrained(cls, model_id, config, **rest)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    def _inputs(self, u: Tensor) -> Tensor:
        """Normalised, the channels that change first, with those that the network expects beside."""
        x = self.normalization.encode(u).to(self._dtype)
        if self._order != sorted(self._order):
            x = torch.cat([x.narrow(1, k, 1) for k in self._order], dim=1)
        if not self.fill:
            return x
        columns = iter(x.split(1, dim=1))
        total = x.shape[1] + len(self.fill)
        return torch.cat(
            [torch.full_like(x[:, :1], self.fill[k]) if k in self.fill else next(columns) for k in range(total)], dim=1
        )

    def _fitting(self, architecture: ScOTConfig | Mapping[str, Any] | None) -> ScOTConfig:
        """The architecture with as many channels as the state and the fill have."""
        config = ScOTConfig.preset("T") if architecture is None else architecture
        values = config.to_dict() if isinstance(config, ScOTConfig) else dict(config)
        inputs = len(self.channels) + len(self.fill)
        outputs = len(self._dynamic) + len(self.fill)
        groups = values.get("channel_slice_list_normalized_loss")
        if groups and groups[-1] != outputs:
            groups = None
        changes = {"num_channels": inputs, "num_out_channels": outputs, "channel_slice_list_normalized_loss": groups}
        fitting = ScOTConfig.from_dict({**values, **changes})
        if any(position not in range(inputs) for position in self.fill):
            raise ValueError(f"Expected fill at positions below {inputs}, got {sorted(self.fill)}.")
        return fitting


def _check_options(time_scale: float | None, boundary: str | None) -> None:
    if time_scale is not None and not time_scale > 0:
        raise ValueError(f"Expected time_scale > 0, got {time_scale}.")
    if boundary not in ("periodic", "open", None):
        raise ValueError(f"Expected boundary 'periodic', 'open' or None, got {boundary!r}.")
