"""What a training does, in one immutable record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from .groups import ParameterGroups
from .loss import Loss, mean_square
from .schedule import Cosine, Schedule

# What a resumed run may change: how long to train and how to run, but nothing that would falsify the steps done.
_FREE = (
    "epochs",
    "patience",
    "device",
    "strategy",
    "num_workers",
    "save_steps",
    "save_seconds",
    "tensorboard",
    "quiet",
    "resume",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FitSettings:
    """The knobs of ``fit``.

    Attributes:
        epochs: passes over the training windows.
        batch_size: windows in one optimiser step, over all processes and micro-batches together.
        accumulate: micro-batches that each process splits its part of a batch into, to save memory.
        lr: highest learning rate of AdamW; the schedule multiplies it.
        schedule: ``Cosine(warmup, floor)``, ``Warmup(epochs, then)``, ``Constant()``, ``StepDecay(every, factor)`` or
            any ``Schedule``.
        weight_decay: of AdamW, on tensors of two or more axes (biases and norms are left alone).
        betas, eps: of AdamW.
        groups: parameters with learning rates and weight decays of their own, such as ``PoseidonGroups(...)``; None for
            the rule above.
        clip_norm: bound on the norm of the gradient, None for none.
        loss: (prediction, target) -> (batch,), in normalised units, over the channels that are not static.
        unroll: steps that the operator takes from its own output, each with its loss; None for as many as the windows
            hold. In windows with more frames than that, the start is drawn anew each time.
        pushforward: steps taken before these without a gradient, so that it learns from inputs as it makes them.
            Brandstetter, Worrall, Welling, "Message Passing Neural PDE Solvers", 2022, section 3.1.
        noise: standard deviation of Gaussian noise on the first state, in units of each channel's std; static channels
            get none. Sanchez-Gonzalez et al., "Learning to Simulate Complex Physics with Graph Networks", 2020.
        ema_decay: of the running mean of the weights that is validated and kept, None for the weights themselves.
        patience: epochs without a better validation after which to stop, None for never.
        rollout: also roll each validation window out with ``solve``, and let that loss choose the best weights.
        precision: "32-true" computes in the operator's own dtype.
        seed: of the order of the data, the noise, and everything else that is drawn.
        device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1".
        strategy: of several processes: "ddp" keeps the weights in each, "fsdp" divides them, and what the optimiser
            remembers, among all.
        num_workers: processes that load data.
        save_steps, save_seconds: how often the state is saved within an epoch, None for never; at its end it always is.
        tensorboard: also write TensorBoard events, which needs the extra ``sciml[logging]``.
        quiet: print nothing.
        resume: go on from the state in ``out``; False refuses an ``out`` that has one.
    """

    epochs: int = 50
    batch_size: int = 16
    accumulate: int = 1
    lr: float = 1e-3
    schedule: Schedule = field(default_factory=Cosine)
    weight_decay: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    groups: ParameterGroups | None = None
    clip_norm: float | None = 1.0
    loss: Loss = mean_square
    unroll: int | None = None
    pushforward: int = 0
    noise: float = 0.0
    ema_decay: float | None = None
    patience: int | None = None
    rollout: bool = False
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: int = 0
    device: str = "auto"
    strategy: Literal["ddp", "fsdp"] = "ddp"
    num_workers: int = 0
    save_steps: int | None = None
    save_seconds: float | None = 600.0
    tensorboard: bool = False
    quiet: bool = False
    resume: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "unroll", "patience", "save_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"Expected {name} >= 1, got {value}.")
        for name in ("pushforward", "noise", "weight_decay", "num_workers", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Expected {name} >= 0, got {getattr(self, name)}.")
        for name in ("lr", "eps", "clip_norm", "save_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Expected {name} > 0, got {value}.")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"Expected 0 < ema_decay < 1, got {self.ema_decay}. None switches it off.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"Expected betas between 0 and 1, got {self.betas}.")
        if self.strategy not in ("ddp", "fsdp"):
            raise ValueError(f"Expected strategy 'ddp' or 'fsdp', got {self.strategy!r}.")
        if self.precision not in ("32-true", "64-true", "bf16-mixed", "16-mixed"):
            raise ValueError(
                f"Expected precision '32-true', '64-true', 'bf16-mixed' or '16-mixed', got {self.precision!r}."
            )

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values; objects by their repr, functions by their name."""
        return {item.name: _json_value(getattr(self, item.name)) for item in fields(self)}

    def check_resumable(self, stored: Mapping[str, Any]) -> None:
        """Refuse to go on from a state of other settings.

        Raises:
            ValueError: names each setting that differs.
        """
        mine, before = self.as_json(), {**FitSettings().as_json(), **stored}  # older runs knew fewer settings
        differing = [name for name in mine if name not in _FREE and mine[name] != before[name]]
        if differing:
            listed = ", ".join(f"{name}={before[name]!r} (now {mine[name]!r})" for name in differing)
            raise ValueError(
                f"Expected the settings that the run in `out` was started with: {listed}. "
                "Use those, or another `out` for a new run."
            )


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__qualname__", None) or repr(value)
