"""Relaxation sweeps over a batch of linear systems, in natural order or by colours.

One sweep of successive over-relaxation is x <- x + (D / omega + L)^-1 (b - A x), with D the diagonal and L the entries
to unknowns that come earlier; backward, the entries to later ones. Young, "Iterative Solution of Large Linear Systems",
1971. Here unknowns that depend on none of each other are updated at once; the C++ twin visits one after another, which
is the same but for rounding.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from . import native
from .matrix import Matrix, check_batch
from .schedule import Schedule


@torch.no_grad()
def sweep(
    matrix: Matrix,
    b: Float[Tensor, "batch *shape"],
    x: Float[Tensor, "batch *shape"],
    omega: Float[Tensor, " batch"],
    *,
    backward: bool = False,
    colours: bool = False,
    times: int = 1,
) -> Float[Tensor, "batch *shape"]:
    """x after ``times`` sweeps; without a gradient.

    Args:
        matrix: of the systems.
        b: right-hand sides.
        x: where to start.
        omega: relaxation of each sample.
        backward: from the last unknown to the first.
        colours: visit the unknowns colour by colour (red-black) instead of in natural order.
        times: sweeps.

    Raises:
        ValueError: shapes that do not fit.
    """
    check_batch(matrix, omega, b, x)
    if native.serves(matrix, b, x, colours=colours):
        return native.sweep(matrix, b, x, omega, backward=backward, colours=colours, times=times)
    return sweep_reference(matrix, b, x, omega, backward=backward, colours=colours, times=times)


@torch.no_grad()
def sweep_reference(
    matrix: Matrix,
    b: Tensor,
    x: Tensor,
    omega: Tensor,
    *,
    backward: bool = False,
    colours: bool = False,
    times: int = 1,
) -> Tensor:
    """The torch twin of ``sweep``."""
    sweeper = Sweeper(matrix, colours=colours)
    y, right = sweeper.taken(x), sweeper.taken(b)
    for _ in range(times):
        sweeper.sweep(right, y, omega, backward=backward)
    return sweeper.given(y)


@torch.no_grad()
def precondition(
    matrix: Matrix, r: Float[Tensor, "batch *shape"], omega: Float[Tensor, " batch"], *, colours: bool = False
) -> Float[Tensor, "batch *shape"]:
    """M^-1 r with the SSOR matrix M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + U), without a gradient.

    Axelsson, "Iterative Solution Methods", 1994, section 7.2.

    Raises:
        ValueError: shapes that do not fit.
    """
    check_batch(matrix, omega, r)
    if native.serves(matrix, r, colours=colours):
        return native.precondition(matrix, r, omega, colours=colours)
    return precondition_reference(matrix, r, omega, colours=colours)


@torch.no_grad()
def precondition_reference(matrix: Matrix, r: Tensor, omega: Tensor, *, colours: bool = False) -> Tensor:
    """The torch twin of ``precondition``."""
    sweeper = Sweeper(matrix, colours=colours)
    return sweeper.given(sweeper.precondition(sweeper.taken(r), omega))


class Sweeper:
    """A matrix with its unknowns in the order of a schedule, so that each of its sets is one slice.

    Args:
        matrix: of the systems.
        colours: whether the schedule is one of colours.
    """

    def __init__(self, matrix: Matrix, *, colours: bool = False) -> None:
        couplings = matrix.couplings()
        pattern = couplings.pattern
        schedule: Schedule = pattern.colours if colours else pattern.wavefronts
        self.shape, order = matrix.shape, schedule.order
        self.order, self.place = order, torch.empty_like(order)
        self.place[order] = torch.arange(len(order), device=order.device)
        self.neighbours = self.place[pattern.neighbours[:, order]]
        self.values, self.diagonal = couplings.values[:, :, order], couplings.diagonal[:, order]
        ends = torch.tensor(schedule.sizes).cumsum(0).tolist()
        self.sets = [slice(begin, end) for begin, end in zip([0, *ends], ends)]

    def taken(self, x: Tensor) -> Tensor:
        """A field (batch, *shape) in this order, as a copy (batch, n)."""
        return x.flatten(1)[:, self.order]

    def given(self, x: Tensor) -> Tensor:
        """The field of what is in this order."""
        return x[:, self.place].reshape(len(x), *self.shape)

    def residual(self, b: Tensor, x: Tensor) -> Tensor:
        """b - A x."""
        return b - self.diagonal * x - (self.values * x[:, self.neighbours]).sum(dim=1)

    def sweep(self, b: Tensor, x: Tensor, omega: Tensor, *, backward: bool = False) -> None:
        """One sweep, in place on x."""
        omega = omega.to(x)[:, None]
        for rows in reversed(self.sets) if backward else self.sets:
            others = (self.values[:, :, rows] * x[:, self.neighbours[:, rows]]).sum(dim=1)
            fresh = (b[:, rows] - others) / self.diagonal[:, rows]
            x[:, rows] += omega * (fresh - x[:, rows])

    def precondition(self, r: Tensor, omega: Tensor) -> Tensor:
        """M^-1 r: a sweep forward and one back, from nothing."""
        z = torch.zeros_like(r)
        self.sweep(r, z, omega)
        self.sweep(r, z, omega, backward=True)
        return z
