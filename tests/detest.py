"""The DETEST problems: 25 non-stiff initial value problems over 0 <= t <= 20, and all of them as one batch.

Source: T. E. Hull, W. H. Enright, B. M. Fellen, A. E. Sedgwick, "Comparing numerical methods for ordinary differential
equations", SIAM J. Numer. Anal. 9 (1972), appendix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

END = 20.0
Field = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class DetestProblem:
    """One problem; its field takes t (batch,) and y (batch, dimension)."""

    name: str
    field: Field
    y0: tuple[float, ...]


def _of_components(function: Callable[..., tuple[Tensor, ...]]) -> Field:
    """The field of a function of t and the components of y that returns those of dy/dt."""
    return lambda t, y: torch.stack(torch.broadcast_tensors(*function(t, *y.unbind(dim=1))), dim=1)


def _torus(t: Tensor, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    radius = torch.sqrt(a**2 + b**2)
    return -b - a * c / radius, a - b * c / radius, a / radius


def _linear(matrix: Tensor) -> Field:
    return lambda t, y: (matrix * y[:, None, :]).sum(dim=2)


def _decay_chain(rates: list[float]) -> Field:
    """y1' = -r1 y1, yi' = r(i-1) y(i-1) - ri yi, the last one stable."""
    rate = torch.tensor([*rates, 0.0], dtype=torch.float64)
    return _linear(torch.diag(-rate) + torch.diag(rate[:-1], -1))


def _diffusion(size: int) -> Field:
    eye = torch.ones(size - 1, dtype=torch.float64)
    return _linear(torch.diag(eye, -1) + torch.diag(eye, 1) - 2 * torch.eye(size, dtype=torch.float64))


# C5: the outer planets about the sun; lengths in astronomical units, masses in that of the sun, time in 100 days.
GRAVITY, SUN = 2.95912208286, 1.00000597682
MASSES = (0.000954786104043, 0.000285583733151, 0.0000437273164546, 0.0000517759138449, 0.00000277777777778)
POSITIONS = (
    (3.42947415189, 3.35386959711, 1.35494901715),
    (6.64145542550, 5.97156957878, 2.18231499728),
    (11.2630437207, 14.6952576794, 6.27960525067),
    (-30.1552268759, 1.65699966404, 1.43785752721),
    (-21.1238353380, 28.4465098142, 15.3882659679),
)
VELOCITIES = (
    (-0.557160570446, 0.505696783289, 0.230578543901),
    (-0.415570776342, 0.365682722812, 0.169143213293),
    (-0.325325669158, 0.189706021964, 0.0877265322780),
    (-0.0240476254170, -0.287659532608, -0.117219543175),
    (-0.176860753121, -0.216393453025, -0.0148647893090),
)


def _planets(t: Tensor, y: Tensor) -> Tensor:
    """Heliocentric: the sun's pull, the other planets', less what these pull the sun."""
    position, velocity = y.reshape(-1, 2, 5, 3).unbind(dim=1)
    mass = torch.tensor(MASSES, dtype=y.dtype)[:, None]
    from_sun = position / position.norm(dim=2, keepdim=True) ** 3
    apart = position[:, None] - position[:, :, None]
    distance = apart.norm(dim=3, keepdim=True) + torch.eye(5, dtype=y.dtype)[:, :, None]
    indirect = (mass * from_sun).sum(dim=1, keepdim=True) - mass * from_sun
    pull = (mass * apart / distance**3).sum(dim=2) - indirect
    force = GRAVITY * (pull - (SUN + mass) * from_sun)
    return torch.stack([velocity, force], dim=1).reshape(y.shape)


def _orbit(t: Tensor, x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    cube = (x**2 + y**2) ** 1.5
    return u, v, -x / cube, -y / cube


def _problems() -> dict[str, tuple[Field, tuple[float, ...]]]:
    of = _of_components
    unit = (1.0, *(0.0,) * 9)
    orbits = {
        f"D{k + 1}": (of(_orbit), (1 - e, 0.0, 0.0, ((1 + e) / (1 - e)) ** 0.5))
        for k, e in enumerate((0.1, 0.3, 0.5, 0.7, 0.9))
    }
    return {
        "A1": (of(lambda t, y: (-y,)), (1.0,)),
        "A2": (of(lambda t, y: (-(y**3) / 2,)), (1.0,)),
        "A3": (of(lambda t, y: (y * torch.cos(t),)), (1.0,)),
        "A4": (of(lambda t, y: (y / 4 * (1 - y / 20),)), (1.0,)),
        "A5": (of(lambda t, y: ((y - t) / (y + t),)), (4.0,)),
        "B1": (of(lambda t, a, b: (2 * (a - a * b), a * b - b)), (1.0, 3.0)),
        "B2": (of(lambda t, a, b, c: (b - a, a - 2 * b + c, b - c)), (2.0, 0.0, 1.0)),
        "B3": (of(lambda t, a, b, c: (-a, a - b**2, b**2)), (1.0, 0.0, 0.0)),
        "B4": (of(_torus), (3.0, 0.0, 0.0)),
        "B5": (of(lambda t, a, b, c: (b * c, -a * c, -0.51 * a * b)), (0.0, 1.0, 1.0)),
        "C1": (_decay_chain([1.0] * 9), unit),
        "C2": (_decay_chain([float(k) for k in range(1, 10)]), unit),
        "C3": (_diffusion(10), unit),
        "C4": (_diffusion(51), (1.0, *(0.0,) * 50)),
        "C5": (_planets, tuple(x for group in (POSITIONS, VELOCITIES) for body in group for x in body)),
        **orbits,
        "E1": (
            of(lambda t, y, v: (v, -(v / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y))),
            (0.6713967071418030, 0.09540051444747446),
        ),
        "E2": (of(lambda t, y, v: (v, (1 - y**2) * v - y)), (2.0, 0.0)),
        "E3": (of(lambda t, y, v: (v, y**3 / 6 - y + 2 * torch.sin(2.78535 * t))), (0.0, 0.0)),
        "E4": (of(lambda t, y, v: (v, 0.032 - 0.4 * v**2)), (30.0, 0.0)),
        "E5": (of(lambda t, y, v: (v, torch.sqrt(1 + v**2) / (25 - t))), (0.0, 0.0)),
    }


DETEST = tuple(DetestProblem(name, field, y0) for name, (field, y0) in _problems().items())
WIDTH = max(len(problem.y0) for problem in DETEST)


class DetestField(nn.Module):
    """Many problems as the samples of one batch: each sample has a field of its own, and zeros up to ``WIDTH``."""

    def __init__(self, problems: tuple[DetestProblem, ...]) -> None:
        super().__init__()
        self.problems = problems

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The slopes (batch, WIDTH)."""
        slopes = (
            nn.functional.pad(
                problem.field(t[i : i + 1], y[i : i + 1, : len(problem.y0)]), (0, WIDTH - len(problem.y0))
            )
            for i, problem in enumerate(self.problems)
        )
        return torch.cat(list(slopes))

    def select(self, rows: Tensor) -> DetestField:
        """The field of these samples alone."""
        return DetestField(tuple(self.problems[row] for row in rows.tolist()))


def initial_states(problems: tuple[DetestProblem, ...]) -> Tensor:
    """(batch, WIDTH), float64."""
    states = [(*problem.y0, *(0.0,) * (WIDTH - len(problem.y0))) for problem in problems]
    return torch.tensor(states, dtype=torch.float64)
