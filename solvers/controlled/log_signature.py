"""Log-signatures of windows of a long path: fewer, longer steps for the equations that it drives.

Source: J. Morrill, C. Salvi, P. Kidger, J. Foster, "Neural rough differential equations for long time series", ICML
2021, to depth two.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .splines import Observations, Path, Times, linear


def log_signature_path(ts: Times, values: Observations, *, every: int) -> Path:
    """A path with a knot at each ``every``-th observation whose rises are the log-signatures of the pieces between.

    To depth two these are, for a path of d channels, its rise and the d (d - 1) / 2 signed areas between each two
    channels and the chord, in the order (0, 1), (0, 2), ..., (1, 2), ...: d (d + 1) / 2 channels in all, where a window
    enters by more than its ends. Driving ``ControlledField`` with it is the log-ODE method with a learned field.

    Args:
        ts: times, strictly increasing, shared or per sample.
        values: observations, NaN where missing: these are filled in linearly.
        every: observations a window, at least 1; the last window may be shorter.

    Returns:
        The piecewise linear path through the log-signatures added up, from the first values on.

    Raises:
        ValueError: every < 1, or times of a wrong shape or not increasing.
    """
    if every < 1:
        raise ValueError(f"Expected every >= 1, got {every}.")
    lines = linear(ts, values)
    start, slope = lines.coefficients
    rises = slope * lines.ts.diff(dim=1)[..., None].to(slope.dtype)
    windows = range(0, rises.shape[1], every)
    pieces = [_log_signature(rises[:, k : k + every]) for k in windows]
    first = torch.nn.functional.pad(start[:, :1], (0, pieces[0].shape[1] - start.shape[2]))
    knots = [*windows, rises.shape[1]]
    return linear(lines.ts[:, knots], torch.cat([first, torch.stack(pieces, dim=1)], dim=1).cumsum(dim=1))


def _log_signature(rises: Float[Tensor, "batch piece channel"]) -> Float[Tensor, "batch more_channel"]:
    """Of the piecewise linear path with these rises, to depth two."""
    before = rises.cumsum(dim=1) - rises
    one, other = torch.triu_indices(rises.shape[2], rises.shape[2], offset=1, device=rises.device)
    areas = before[..., one] * rises[..., other] - before[..., other] * rises[..., one]
    return torch.cat([rises.sum(dim=1), 0.5 * areas.sum(dim=1)], dim=1)
