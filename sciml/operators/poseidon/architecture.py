"""What a scalable operator transformer is made of, under the names of the published ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

ACTIVATIONS = ("gelu", "relu", "silu", "swish", "gelu_new")
_LISTS = ("depths", "num_heads", "skip_connections", "channel_slice_list_normalized_loss")


@dataclass(frozen=True, slots=True)
class ScOTConfig:
    """The scalable operator transformer's architecture. Defaults are those of the reference, which a file may rely on.

    Attributes:
        image_size: points along each axis that the network works on, one number or one for each axis.
        patch_size: points of a patch, along each axis.
        num_channels, num_out_channels: of the input and of the prediction.
        embed_dim: features on the finest level; doubled on every coarser one.
        depths, num_heads, skip_connections: attention blocks, heads and blocks in the skip connection of each level.
        window_size: tokens of an attention window, along each axis.
        mlp_ratio: features inside the two layers of a block, over those outside.
        qkv_bias: whether queries and values have a bias; keys never do.
        hidden_dropout_prob, attention_probs_dropout_prob, drop_path_rate: rates of dropout in training.
        hidden_act: of ``ACTIVATIONS``; "gelu" is the exact one.
        use_absolute_embeddings: a learned vector is added to each token, for this ``image_size`` alone.
        initializer_range: standard deviation of the first weights.
        layer_norm_eps: in the norms of blocks; those of embedding and resampling have 1e-5.
        p: exponent of the loss, 1 or 2.
        channel_slice_list_normalized_loss: boundaries of the groups of channels whose relative errors are averaged.
        residual_model: blocks of the skip connections, "convnext" or "resnet".
        use_conditioning: whether the norms depend on the lead time.
        learn_residual: the prediction is added to the input; takes ``use_conditioning``.
        dim: axes of space; the published models have 2.
        periodic: ours: windows, convolutions and shifts wrap around. The published models pad with zeros.
    """

    image_size: int | tuple[int, ...] = 224
    patch_size: int = 4
    num_channels: int = 3
    num_out_channels: int = 1
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    skip_connections: tuple[int, ...] = (1, 1, 1)
    window_size: int = 7
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    drop_path_rate: float = 0.1
    hidden_act: str = "gelu"
    use_absolute_embeddings: bool = False
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    p: int = 1
    channel_slice_list_normalized_loss: tuple[int, ...] | None = None
    residual_model: str = "convnext"
    use_conditioning: bool = False
    learn_residual: bool = False
    dim: int = 2
    periodic: bool = False

    def __post_init__(self) -> None:
        levels = len(self.depths)
        if self.dim not in (1, 2, 3):
            raise ValueError(f"Expected dim 1, 2 or 3, got {self.dim}.")
        if isinstance(self.image_size, tuple) and len(self.image_size) != self.dim:
            raise ValueError(f"Expected image_size for {self.dim} axes, got {self.image_size}.")
        if not levels or len(self.num_heads) != levels:
            raise ValueError(f"Expected a number of heads for each depth, got {self.depths} and {self.num_heads}.")
        for level, heads in enumerate(self.num_heads):
            if heads < 1 or self.width(level) % heads:
                raise ValueError(
                    f"Expected heads that divide the {self.width(level)} features of level {level}, got {heads}."
                )
        for name in ("patch_size", "num_channels", "num_out_channels", "window_size", "embed_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} >= 1, got {getattr(self, name)}.")
        if min(self.size) < self.patch_size:
            raise ValueError(f"Expected image_size >= patch_size={self.patch_size}, got {self.image_size}.")
        if self.p not in (1, 2):
            raise ValueError(f"Expected p 1 or 2, got {self.p}.")
        if self.residual_model not in ("convnext", "resnet"):
            raise ValueError(f"Expected residual_model 'convnext' or 'resnet', got {self.residual_model!r}.")
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(f"Expected hidden_act of {', '.join(ACTIVATIONS)}, got {self.hidden_act!r}.")
        if self.adds_input and self.num_out_channels > self.num_channels:
            raise ValueError(
                f"Expected at most num_channels={self.num_channels} outputs with learn_residual, "
                f"got {self.num_out_channels}."
            )

    @classmethod
    def preset(cls, size: str, **changes: Any) -> ScOTConfig:
        """Poseidon-T, -S, -B or -L, for other channels, grids or dimensions where ``changes`` says so.

        M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024. S has no public weights: it is
        what the paper trains from scratch.

        Raises:
            ValueError: there is no such size, or a change does not fit.
        """
        if size.upper() not in _SIZES:
            raise ValueError(f"Expected size {', '.join(_SIZES)}, got {size!r}.")
        embed_dim, depth = _SIZES[size.upper()]
        return cls(**{**_PUBLIC, "embed_dim": embed_dim, "depths": (depth,) * 4, **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ScOTConfig:
        """An architecture of a ``config.json``; unknown entries are ignored, missing ones take the reference's values.

        Raises:
            ValueError: an entry is of the wrong kind or out of its range.
        """
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        for name in _LISTS:
            if known.get(name) is not None:
                known[name] = tuple(int(value) for value in _sequence(name, known[name]))
        if isinstance(known.get("image_size"), list | tuple):
            known["image_size"] = _one_if_equal(tuple(int(value) for value in known["image_size"]))
        for field in fields(cls):
            if field.name in known and field.type in ("int", "float", "bool", "str"):
                known[field.name] = _converted(field.name, field.type, known[field.name])
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def width(self, level: int) -> int:
        """Features on a level."""
        return self.embed_dim * 2**level

    @property
    def size(self) -> tuple[int, ...]:
        """Points along each axis."""
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size,) * self.dim

    @property
    def adds_input(self) -> bool:
        """Whether the prediction is added to the input; without conditioning the reference leaves that out."""
        return self.learn_residual and self.use_conditioning

    def skips(self, level: int) -> int:
        """Blocks in the skip connection of a level."""
        return self.skip_connections[level] if level < len(self.skip_connections) else 0


_SIZES = {"T": (48, 4), "S": (48, 8), "B": (96, 8), "L": (192, 8)}
_PUBLIC: dict[str, Any] = {
    "image_size": 128,
    "num_channels": 4,
    "num_out_channels": 4,
    "num_heads": (3, 6, 12, 24),
    "skip_connections": (2, 2, 2, 0),
    "window_size": 16,
    "drop_path_rate": 0.0,
    "channel_slice_list_normalized_loss": (0, 1, 3, 4),
    "use_conditioning": True,
}


def _sequence(name: str, value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"Expected {name} as a list, got {value!r}.")
    return value


def _one_if_equal(sizes: tuple[int, ...]) -> int | tuple[int, ...]:
    return sizes[0] if len(set(sizes)) == 1 else sizes


def _converted(name: str, kind: str, value: Any) -> Any:
    wanted: type = {"int": int, "float": float, "bool": bool, "str": str}[kind]
    if isinstance(value, bool) != (wanted is bool) and not (wanted is int and isinstance(value, bool)):
        raise ValueError(f"Expected {name} as {kind}, got {value!r}.")
    if not isinstance(value, int | float | str) or isinstance(value, str) != (wanted is str) or wanted(value) != value:
        raise ValueError(f"Expected {name} as {kind}, got {value!r}.")
    return wanted(value)
