"""Shifted Laplacians in a random sequence, solved by SOR: section 5.1 of Khodak et al., "Learning to Relax", 2024."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.kernels.linear.stencil import Stencil
from sciml.solvers.linear import SOR, nodal_laplacian

from .learners import ARMS, FIXED, Interval, learners, play

GRID, LOW, HIGH = 10, -0.15, 0.45
VARIANCES = {"high": (0.5, 1.5), "low": (2.0, 6.0)}
"""Of the offsets: the parameters of a beta distribution, of the same mean."""

INTERVAL = Interval(LOW, HIGH, 5, LOW, 0.65)
_POINTS = 200  # of a curve


def draw(variance: str, count: int, seed: int) -> tuple[Stencil, Tensor, np.ndarray]:
    """Matrices, right-hand sides (normal, of norm sqrt(n) at most), and the offsets."""
    random, n = np.random.default_rng(seed), GRID * GRID
    offsets = LOW + (HIGH - LOW) * random.beta(*VARIANCES[variance], count)
    rows: list[np.ndarray] = []
    while len(rows) < count:
        drawn = random.standard_normal((count, n))
        rows += list(drawn[np.linalg.norm(drawn, axis=1) <= math.sqrt(n)])
    b = torch.from_numpy(np.stack(rows[:count])).reshape(count, GRID, GRID)
    return nodal_laplacian((GRID, GRID)).shifted(torch.from_numpy(offsets)), b, offsets


def young(offsets: np.ndarray) -> Tensor:
    """The best omega of each matrix, asymptotically: 2 / (1 + sqrt(1 - beta^2))."""
    beta = 4 * math.cos(math.pi / (GRID + 1)) / (4 + offsets)
    return torch.from_numpy(2 / (1 + np.sqrt(1 - beta**2)))


def trial(variance: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """What each method pays in each round."""
    matrix, b, offsets = draw(variance, count, seed)
    table = np.stack([SOR(float(arm))(matrix, b).iterations.numpy() for arm in ARMS], axis=1)
    paid = {f"omega {omega}": table[:, int(np.abs(ARMS.numpy() - omega).argmin())] for omega in FIXED}
    best = table.sum(axis=0).argmin()
    paid["best fixed"] = table[:, best]
    paid["best arm of each"] = table.min(axis=1)
    paid["Young"] = SOR(young(offsets))(matrix, b).iterations.numpy()
    for name, make in learners(INTERVAL).items():
        paid[name] = play(make(seed), table, offsets)
    return paid


def study(count: int, trials: int) -> dict[str, Any]:
    """Totals of each trial and the mean curve of cumulative costs, for both variances."""
    found: dict[str, Any] = {"rounds": count, "trials": trials}
    at = np.unique(np.linspace(1, count, _POINTS).astype(int))
    for variance in VARIANCES:
        runs = [trial(variance, count, seed) for seed in range(trials)]
        found[variance] = {
            name: {
                "totals": [int(run[name].sum()) for run in runs],
                "last": float(np.mean([run[name][-count // 5 :].mean() for run in runs])),
                "curve": np.mean([run[name].cumsum() for run in runs], axis=0)[at - 1].round(1).tolist(),
            }
            for name in runs[0]
        }
    return found | {"at": at.tolist()}
