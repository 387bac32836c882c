"""Brownian paths that are functions: of a seed, a sample's number and time, and of nothing else."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .brownian_bridge import Bridge, sum_first
from .splitmix import normal_pairs, split

_LARGEST_LEVELS = 30
_TABLE = 2**16  # numbers of cells in advance that are drawn at once
_REMEMBERED = 4  # a step and its two halves have four ends, less the one that the next begins with


@dataclass(frozen=True, slots=True)
class BrownianIncrement:
    """What a path does from t to t + dt.

    Attributes:
        w: W(t + dt) - W(t), (batch, *shape).
        area: space-time Levy area, the mean over the step of W's distance from its chord, (batch, *shape): normal of
            variance |dt|/12, independent of ``w``. None where it was not asked for.
    """

    w: Float[Tensor, "batch *shape"]
    area: Float[Tensor, "batch *shape"] | None = None

    @property
    def mean(self) -> Float[Tensor, "batch *shape"]:
        """The mean of W(r) - W(t) over the step, I_(1,0)/dt.

        Raises:
            ValueError: the increment has no area.
        """
        if self.area is None:
            raise ValueError("The increment has no area. Ask for it: path(t, dt, area=True).")
        return self.area + 0.5 * self.w

    def to(self, dtype: torch.dtype) -> BrownianIncrement:
        """The increment in another dtype."""
        if self.w.dtype == dtype:
            return self
        return BrownianIncrement(self.w.to(dtype), None if self.area is None else self.area.to(dtype))


class BrownianPath:
    """Independent Brownian motions, one for each sample and channel, that can be asked about any time in any order.

    A query is answered from the seed by hashing (SplitMix64), so that nothing is stored, rejected steps lose nothing,
    a backward pass meets the same path, and a sample's path does not depend on the batch it is in. Time is divided
    into cells; W over a whole cell costs one draw, which is made for many cells at once, and inside a cell the path is
    refined by halving. Choose the cell as long as the steps: ``cell=dt`` for fixed steps, and for adaptive ones about
    the longest step. Increments add up: W(s, u) = W(s, t) + W(t, u), to rounding.

    A time within some hundred roundings of a cell's boundary is taken for the boundary. Two times that lie in one
    interval of length cell / 2^levels are each of the exact law, but not jointly.

    Args:
        seed: any integer.
        shape: (batch, *channels), as the noise that the diffusion multiplies.
        cell: length of a cell, in units of time.
        origin: a time at which a cell begins.
        levels: halvings inside a cell.
        samples: number of each sample, (batch,), by default 0, 1, ...: with it one sample's path is drawn alone.
        dtype: of the increments, by default torch's default dtype. Another one gives the same path, to its rounding.
        device: where they are drawn.

    Raises:
        ValueError: shape has no batch axis, cell is not positive, or samples or levels do not fit.
    """

    def __init__(
        self,
        seed: int,
        shape: tuple[int, ...],
        cell: float,
        *,
        origin: float = 0.0,
        levels: int = 20,
        samples: Int[Tensor, " batch"] | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        if len(shape) == 0:
            raise ValueError("Expected shape (batch, *channels), got (). A single motion is of shape (1,).")
        if not (cell > 0 and math.isfinite(cell)):
            raise ValueError(f"Expected cell > 0, got {cell}. It is a length of time, such as the step.")
        if not 0 <= levels <= _LARGEST_LEVELS:
            raise ValueError(f"Expected levels from 0 to {_LARGEST_LEVELS}, got {levels}. A shorter cell refines more.")
        device = torch.device("cpu") if device is None else device
        samples = torch.arange(shape[0], device=device) if samples is None else samples
        if samples.shape != shape[:1] or samples.dtype != torch.int64:
            raise ValueError(f"Expected int64 samples of shape ({shape[0]},), got {samples.dtype} {(*samples.shape,)}.")
        self.cell, self.origin, self.levels = float(cell), float(origin), levels
        self.dtype = torch.get_default_dtype() if dtype is None else dtype
        self._keys = _keys(seed, samples.to(device), tuple(shape[1:]))  # (3, batch, *channels)
        self._tables: dict[int, _Table] = {}
        self._points: list[_Point] = []

    @property
    def shape(self) -> torch.Size:
        """(batch, *channels)."""
        return self._keys.shape[1:]

    @property
    def device(self) -> torch.device:
        """Where increments are drawn."""
        return self._keys.device

    def select(self, rows: Tensor) -> BrownianPath:
        """The paths of these samples alone."""
        selected = copy.copy(self)
        selected._keys = self._keys[:, rows]
        selected._tables = {stream: table.select(rows) for stream, table in self._tables.items()}
        selected._points = [point.select(rows) for point in self._points]
        return selected

    def keys_of_cells(self) -> tuple[Tensor, Tensor]:
        """Where the numbers behind W and behind the area of whole cells begin, each (batch, *channels)."""
        return self._keys[_W].contiguous(), self._keys[_H].contiguous()

    def at_boundaries(self, times: Tensor) -> Tensor:
        """Whether times are at the ends of cells."""
        return self._locate(times)[1] == 0

    def to(self, device: torch.device | str) -> BrownianPath:
        """The same paths, drawn on another device."""
        moved = copy.copy(self)
        moved._keys, moved._tables, moved._points = self._keys.to(device), {}, []
        return moved

    def __call__(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], *, area: bool = False
    ) -> BrownianIncrement:
        """The increment over each sample's step; dt may be negative or zero.

        Raises:
            ValueError: t or dt is of another batch.
        """
        if t.shape != self.shape[:1] or dt.shape != t.shape:
            raise ValueError(
                f"Expected t and dt of shape ({self.shape[0]},) for a path of shape {tuple(self.shape)}, "
                f"got {tuple(t.shape)} and {tuple(dt.shape)}."
            )
        cell = self._common_cell(t, dt)
        if cell is None:
            return self._between(t, dt, area)
        w = self._row(_W, cell[0])
        return BrownianIncrement(w if cell[1] else -w, self._row(_H, cell[0]) if area else None)

    def _common_cell(self, t: Tensor, dt: Tensor) -> tuple[int, bool] | None:
        """The one cell that every sample crosses, and whether forwards; None where it is not so simple."""
        if t.numel() == 0:
            return None
        extremes = (*t.aminmax(), *dt.aminmax())
        if t.is_cuda:  # one synchronisation instead of four
            earliest, latest, shortest, longest = torch.stack([value.double() for value in extremes]).tolist()
        else:
            earliest, latest, shortest, longest = (value.item() for value in extremes)
        if earliest != latest or shortest != longest:
            return None
        slack = _slack(t.dtype)
        here, there = (self._boundary(time, slack) for time in (earliest, earliest + shortest))
        if here is None or there is None or abs(there - here) != 1:
            return None
        return min(here, there), there > here

    def _boundary(self, time: float, slack: float) -> int | None:
        """The boundary of cells that a time is at."""
        place = (time - self.origin) / self.cell
        nearest = round(place) if math.isfinite(place) else 0
        return nearest if abs(place - nearest) * self.cell <= slack * max(abs(time), self.cell) else None

    def _row(self, stream: int, cell: int) -> Tensor:
        """W or the area over one cell, read from a table of the cells around it."""
        size = min(max(_TABLE // max(self._keys[0].numel(), 1), 2), 64) // 2 * 2
        base = cell // size * size
        table = self._tables.get(stream)
        if table is None or table.base != base:
            table = self._tables[stream] = self._draw_table(stream, base, size)
        return (table.odd if cell % 2 else table.even)[(cell - base) // 2]

    @torch.inference_mode(False)  # what is kept for later calls may meet gradients
    def _draw_table(self, stream: int, base: int, size: int) -> _Table:
        pairs = torch.arange(base // 2, base // 2 + size // 2, device=self.device)
        return _Table(base, *self._over_cells(stream, pairs.reshape(-1, *[1] * len(self.shape))))

    def _over_cells(self, stream: int, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """W or the area over the cells 2 pair and 2 pair + 1."""
        deviation = (self.cell / (1 if stream == _W else 12)) ** 0.5
        even, odd = normal_pairs(self._keys[stream], pairs, self.dtype)
        return even.mul_(deviation), odd.mul_(deviation)

    def _over_cell(self, stream: int, cell: Tensor) -> Tensor:
        """W or the area over each sample's cell (..., batch), in float64."""
        cell = cell.reshape(*cell.shape, *[1] * (len(self.shape) - 1))
        even, odd = self._over_cells(stream, cell >> 1)
        return torch.where((cell & 1).bool(), odd, even).to(torch.float64)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _between(self, t: Tensor, dt: Tensor, area: bool) -> BrownianIncrement:
        """The increment over any step."""
        ends = torch.stack([torch.minimum(t, t + dt), torch.maximum(t, t + dt)])
        cell, place = self._locate(ends)
        first, last = (self._point(cell[end], place[end], area) for end in (0, 1))
        cells_w, cells_integral = self._over_whole_cells(cell[0], cell[1] - cell[0], area)
        increment = cells_w + last.w - first.w
        signed = torch.where(self._wide(dt) < 0, -increment, increment).to(self.dtype)
        if not area:
            return BrownianIncrement(signed)
        length = self._wide(((cell[1] - cell[0]) + (place[1] - place[0])) * self.cell)
        integral = cells_integral + self._wide(place[1] * self.cell) * cells_w + last.integral
        mean = (integral - first.integral - length * first.w) / torch.where(length > 0, length, 1.0)
        levy = torch.where(length > 0, mean - 0.5 * increment, 0.0)
        return BrownianIncrement(signed, levy.to(self.dtype))

    def _locate(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """The cell of each time, and where in the cell in [0, 1)."""
        exact = times.to(torch.float64)
        place = (exact - self.origin) / self.cell
        nearest = place.round()
        slack = _slack(times.dtype) * exact.abs().clamp(min=self.cell)
        place = torch.where((place - nearest).abs() * self.cell <= slack, nearest, place)
        cell = place.floor()
        return cell.to(torch.int64), place - cell

    def _point(self, cell: Tensor, place: Tensor, area: bool) -> _Point:
        """What the path does from the start of each sample's cell to its place there.

        A step begins where the last one ended, or again where that one began: the last few answers are kept.
        """
        known = self._recall(cell, place, area)
        if known is not None:
            return known
        w = torch.zeros(self.shape, dtype=torch.float64, device=self.device)
        integral = torch.zeros_like(w)
        if bool((place != 0).any()):
            w, integral = self._inside(cell, place, area)
        point = _Point(cell, place, w, integral, area)
        self._points = [point, *self._points[: _REMEMBERED - 1]]
        return point

    def _inside(self, cell: Tensor, place: Tensor, area: bool) -> tuple[Tensor, Tensor]:
        """W and, if asked for, its integral from the cell's start, (batch, *channels)."""
        bridge = Bridge(self.cell, self.levels, self.dtype)
        w, integral = bridge.deviation(self._keys[_NODES], cell, place, area)
        w_cell, area_cell = self._over_cell(_W, cell), self._over_cell(_H, cell)
        r = self._wide(place)
        w = w + r * w_cell + 6 * r * (1 - r) * area_cell
        return w, integral + self.cell * r * r * (0.5 * w_cell + (3 - 2 * r) * area_cell)

    def _recall(self, cell: Tensor, place: Tensor, area: bool) -> _Point | None:
        """The answer, if the last ones hold it for every sample."""
        missing = torch.ones_like(cell, dtype=torch.bool)
        w = integral = torch.zeros(self.shape, dtype=torch.float64, device=self.device)
        for point in self._points:
            if area and not point.area:
                continue
            same = (point.cell == cell) & (point.place == place)
            w = torch.where(self._wide(same), point.w, w)
            integral = torch.where(self._wide(same), point.integral, integral)
            missing = missing & ~same
        return None if bool(missing.any()) else _Point(cell, place, w, integral, area)

    def _over_whole_cells(self, first: Tensor, count: Tensor, area: bool) -> tuple[Tensor, Tensor]:
        """W and, if asked for, its integral over ``count`` cells from ``first`` on, (batch, *channels)."""
        w = torch.zeros(self.shape, dtype=torch.float64, device=self.device)
        integral = torch.zeros_like(w)
        number = int(count.max()) if count.numel() else 0
        group = max(_TABLE // max(w.numel(), 1), 1)
        for begin in range(0, number, group):
            steps = torch.arange(begin, min(begin + group, number), device=self.device)[:, None]
            inside = self._wide(steps < count)
            w_cells = torch.where(inside, self._over_cell(_W, first + steps), 0.0)
            after = w + w_cells.cumsum(dim=0)
            if area:
                means = after - 0.5 * w_cells + self._over_cell(_H, first + steps)
                integral += self.cell * sum_first(torch.where(inside, means, 0.0))
            w = after[-1]
        return w, integral

    def _wide(self, value: Tensor) -> Tensor:
        """Append the axes of the channels to a value of each sample."""
        return value.reshape(*value.shape, *[1] * (len(self.shape) - 1))


@dataclass(frozen=True, slots=True)
class _Point:
    """W and its integral from the start of a cell to a place in it; the integral counts only where ``area`` holds."""

    cell: Tensor
    place: Tensor
    w: Tensor
    integral: Tensor
    area: bool

    def select(self, rows: Tensor) -> _Point:
        return _Point(self.cell[rows], self.place[rows], self.w[rows], self.integral[rows], self.area)


@dataclass(frozen=True, slots=True)
class _Table:
    """W or the area over cells base, base + 2, ... and base + 1, base + 3, ..."""

    base: int
    even: Tensor
    odd: Tensor

    def select(self, rows: Tensor) -> _Table:
        return _Table(self.base, self.even[:, rows], self.odd[:, rows])


_W, _H, _NODES = range(3)  # streams of numbers: of whole cells, and of intervals inside them


def _keys(seed: int, samples: Tensor, channels: tuple[int, ...]) -> Tensor:
    """Where the streams of each sample and channel begin, (3, batch, *channels)."""
    start, one, *streams = (
        torch.tensor(number, device="cpu") for number in ((seed + 2**63) % 2**64 - 2**63, 1, _W, _H, _NODES)
    )
    key = split(split(start, one), samples).reshape(-1, *[1] * len(channels))
    key = split(key, torch.arange(math.prod(channels), device=samples.device).reshape(channels))
    return torch.stack([split(key, stream) for stream in streams])


def _slack(dtype: torch.dtype) -> float:
    """By what part of itself a clock of this dtype may be off after some hundred steps."""
    return torch.finfo(dtype).eps ** 0.65
