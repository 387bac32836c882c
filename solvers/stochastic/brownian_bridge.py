"""A Brownian path inside a cell, given what it does over the whole cell, at any time and in any order.

The cell is halved again and again. Given an interval's increment W and space-time Levy area H, those of its halves are
normal: with z and n standard normals of the interval, the midpoint takes W/2 + 3H/2 + sqrt(width/16) z, and the halves'
areas are H/4 - sqrt(width/64) z +- sqrt(width/48) n. So the path is a sum of known functions, one pair for each level
of halving, with z and n as coefficients: P. Levy's construction with piecewise parabolas instead of lines. All levels
are evaluated at once; no level waits for another.

Source: J. Foster, T. Lyons, H. Oberhauser, "An optimal polynomial approximation of Brownian motion", SIAM J. Numer.
Anal. 58 (2020); the law at a time inside the last interval follows by conditioning the joint normal law of W and H.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .splitmix import normal_pairs

_LARGEST = 2**16  # numbers drawn at once


@dataclass(frozen=True, slots=True)
class Bridge:
    """Refines cells of one width.

    Attributes:
        width: length of a cell.
        levels: halvings. Beyond the last, each time alone has the exact law, given the ends of its interval.
        dtype: of the drawn normals; sums are float64.
    """

    width: float
    levels: int
    dtype: torch.dtype

    def deviation(
        self,
        key: Int[Tensor, "batch *shape"],
        cell: Int[Tensor, " batch"],
        place: Float[Tensor, " batch"],
        integral: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """How far W and its integral from the cell's start differ from their means given the whole cell.

        Args:
            key: of each sample and channel.
            cell: which cell.
            place: where in it, in [0, 1).
            integral: False leaves the integral at zero.

        Returns:
            Both (batch, *shape), float64.
        """
        powers = _powers(self.levels + 1, place)
        scaled = place * powers
        position = scaled.frac()
        depth = int((position != 0).any(dim=1).sum())  # of places like 1/2 and 3/8 no deeper level is seen
        w = torch.zeros(key.shape, dtype=torch.float64, device=key.device)
        of_w = torch.zeros_like(w)
        # Heap order within the cell: unique for every interval, and no two cells share one.
        node = (cell << (self.levels + 2)) + scaled.to(torch.int64) + _powers(self.levels + 1, cell)
        group = max(_LARGEST // max(w.numel(), 1), 1)
        for first in range(0, depth, group):
            rows = slice(first, min(first + group, depth))
            for_w, for_integral = self._coefficients(position[rows], self.width / powers[rows], rows)
            normals = torch.cat(normal_pairs(key, _behind(node[rows], key), self.dtype)).to(torch.float64)
            w += sum_first(_behind(for_w, key) * normals)
            if integral:
                of_w += sum_first(_behind(for_integral, key) * normals)
        return w, of_w

    def _coefficients(self, position: Tensor, widths: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Of the levels' first and then of their second normals: in W, and in its integral."""
        halved = min(rows.stop, self.levels) - rows.start
        parts = [_halving(position[:halved], widths[:halved])]
        if rows.stop > self.levels:
            parts.append(_last(position[halved:], widths[halved:]))
        z, n, z_integral, n_integral = (torch.cat(part) for part in zip(*parts, strict=True))
        return torch.cat([z, n]), torch.cat([z_integral, n_integral])


def _halving(position: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What z and n of an interval move W and its integral by, at a position in it in [0, 1)."""
    right = position >= 0.5
    u = 2 * position - right.to(position.dtype)
    v = 1 - u
    z, n = (width / 16).sqrt(), (width / 48).sqrt()
    return (
        z * torch.where(right, v * (1 - 3 * u), u * (3 * u - 2)),
        n * torch.where(right, -6 * u * v, 6 * u * v),
        z * width / 2 * torch.where(right, u * v * v, -u * u * v),
        n * width / 2 * torch.where(right, v * v * (1 + 2 * u), u * u * (3 - 2 * u)),
    )


def _last(position: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same inside the last interval: the conditional law of (W, H) up to that position alone."""
    r, q = position, 1 - position
    arch = 1 - 3 * r * q
    w = (width * r * q * arch).sqrt()
    area_of_first = -0.5 * (width * r**5 * q / arch).sqrt()
    area_of_second = (width * r * q**3 / (12 * arch)).sqrt()
    length = r * width
    return w, torch.zeros_like(w), length * (area_of_first + w / 2), length * area_of_second


def _powers(count: int, like: Tensor) -> Tensor:
    """1, 2, 4, ... down the first axis."""
    exponents = torch.arange(count, device=like.device).reshape(-1, *[1] * like.dim())
    return (1 << exponents).to(like.dtype)


def _behind(value: Tensor, key: Tensor) -> Tensor:
    """Append the axes of a sample's shape."""
    return value.reshape(*value.shape, *[1] * (key.dim() - 1))


def sum_first(terms: Float[Tensor, "terms *shape"]) -> Float[Tensor, "*shape"]:
    """The sum over the first axis in an order that does not depend on the other axes' sizes, as torch.sum's may."""
    while len(terms) > 1:
        half = len(terms) // 2
        folded = terms[:half] + terms[half : 2 * half]
        terms = torch.cat([folded, terms[2 * half :]]) if len(terms) % 2 else folded
    return terms[0]
