"""Particles that move as they are told, during a rollout."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.solvers.stepper import Step

from .state import read_particles


class Prescribed(nn.Module):
    """Puts the prescribed particles of a simulator where given frames have them; the others are predicted.

    ::

        model = GNS(channels, box=box, radius=0.015, prescribed=(3,))
        solution = solve(Prescribed(model, frames, dt=dt), y0, ts, FixedStep(dt))

    Without it they keep their last velocity.

    Args:
        stepper: the simulator.
        frames: positions of all particles, of which the prescribed ones count, dt apart.
        dt: time between them.
        start: time of the first.

    Raises:
        ValueError: the simulator has no prescribed types, or dt is not positive.
    """

    def __init__(
        self, stepper: nn.Module, frames: Float[Tensor, "batch time node dim"], *, dt: float, start: float = 0.0
    ) -> None:
        super().__init__()
        if not getattr(getattr(stepper, "frame", None), "prescribed", ()):
            raise ValueError(
                f"Expected a simulator with prescribed types, got a {type(stepper).__name__} without. "
                "Make it with prescribed=(3,)."
            )
        if not dt > 0:
            raise ValueError(f"Expected dt > 0, the time between the frames, got {dt}.")
        self.stepper, self.frames, self.dt, self.start_time = stepper, frames, dt, start

    def select(self, rows: Tensor) -> Prescribed:
        """The same for some of the samples."""
        return Prescribed(self.stepper, self.frames[rows], dt=self.dt, start=self.start_time)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch node channel"]
    ) -> Step:
        """The state one frame later.

        Raises:
            ValueError: there is no frame for it, or as the simulator raises.
        """
        step: Step = self.stepper(t, dt, y)
        frame: Any = self.stepper.frame
        number = ((t + dt - self.start_time) / self.dt).round().long()
        if bool((number < 0).any()) or bool((number >= self.frames.shape[1]).any()):
            raise ValueError(
                f"Expected times up to {self.start_time + (self.frames.shape[1] - 1) * self.dt:.6g}, where the frames "
                f"of prescribed particles end, got {(t + dt).max().item():.6g}. Give more frames."
            )
        layout = frame.layout
        told = read_particles(y, layout, types=frame.types, prescribed=frame.prescribed).prescribed
        where = self.frames[torch.arange(len(y), device=y.device), number].to(step.y)
        newest = torch.where(told[..., None] & (dt != 0)[:, None, None], where, layout.newest(step.y))
        return Step(y=torch.cat([step.y[..., : layout.moving - layout.dim], newest, y[..., layout.moving :]], dim=-1))
