"""Controlled differential equations: a state driven by a path.

Source: P. Kidger, J. Morrill, J. Foster, T. Lyons, "Neural controlled differential equations for irregular time
series", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ..state import State, map_state
from .splines import Path


class ControlledField(nn.Module):
    """The vector field dz/dt = F(t, z) dX/dt of dz = F(t, z) dX, for any stepper.

    Where the path's derivative jumps (``path.smoothness == 0``), solve with ``stops=Stops(jumps=path.ts)``: no step
    straddles a jump then, and the order of the stepper is kept.

    Args:
        path: X, with one sample for each of the batch.
        field: F, ``(t, z) -> `` a matrix per sample, of shape (batch, *state, channel) for z of shape (batch, *state);
            structured as z is.
    """

    def __init__(self, path: Path, field: Callable[..., State]) -> None:
        super().__init__()
        self.path, self.field = path, field

    def forward(self, t: Float[Tensor, " batch"], z: State, *args: Any) -> State:
        """The time derivative; further arguments go to the field.

        Raises:
            ValueError: the field's result has not one column for each channel of the path.
        """
        control = self.path.derivative(t)

        def leaf(matrix: Tensor, state: Tensor) -> Tensor:
            expected = (*state.shape, control.shape[1])
            if matrix.shape != expected:
                raise ValueError(
                    f"Expected field(t, z) of shape {expected}, one column for each channel of the path, got "
                    f"{tuple(matrix.shape)}."
                )
            # Not a batched matrix product, whose bits depend on the size of the batch.
            return (matrix * control.reshape(len(control), *(1,) * (state.dim() - 1), -1)).sum(dim=-1)

        return map_state(leaf, self.field(t, z, *args), z)

    def select(self, rows: Tensor) -> ControlledField:
        """The field of these samples alone."""
        return ControlledField(self.path.select(rows), self.field)
