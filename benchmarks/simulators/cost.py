"""What a frame costs, by the number of points that are wanted.

    OMP_NUM_THREADS=1 python -m benchmarks.simulators.cost [--points 1000 10000 100000]

GNS on all points, in its paper's size and in the study's, each with a radius of about 20 neighbours; GIOROM on 1,000 of
them with either decoder. Networks are untrained, which changes no time. A frame is a step through ``solve``, and for
GIOROM the decoding of all points. Seconds of processor time, the least of a few. Writes cost.{json,md,png} to
results/simulators.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sciml.datasets.channel import Axis
from sciml.generation.bodies import random_body
from sciml.kernels.neighbors import farthest_points
from sciml.operators.particles import (
    GIOROM,
    GNS,
    DenseView,
    GridDecoder,
    MotionScales,
    ReferenceDecoder,
    box_of,
    decoder_channels,
    particle_channels,
)
from sciml.operators.particles.decoding import Decoder
from sciml.plots import style
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve

from .run import RESULTS
from .task import SMALL, WINDOW

KEPT, DT, VOLUME = 1000, 0.005, 0.09
CHANNELS = particle_channels(2, WINDOW)
BOX = box_of((Axis("x", np.array([0.0, 1.0]), boundary="wall"), Axis("y", np.array([0.0, 1.0]), boundary="wall")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[1000, 3000, 10_000, 30_000, 100_000])
    parser.add_argument("--largest", type=int, default=30_000, help="points of the largest run of the paper's network")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for points in args.points:
        for name, frame in candidates(points, args.largest).items():
            rows.append({"model": name, "points": points, "seconds": least(frame, args.repeats)})
            print(rows[-1], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "cost.json").write_text(json.dumps(rows, indent=1) + "\n")
    (args.out / "cost.md").write_text(to_table(rows))
    draw(rows, args.out / "cost.png")


def candidates(points: int, largest: int) -> dict[str, Callable[[], Any]]:
    """A frame of each model for a body of so many points that moves a little."""
    torch.manual_seed(0)
    body = 0.5 + random_body(torch.Generator().manual_seed(1), points, VOLUME, 2)[0].float()[None]
    frames = torch.stack([body - 0.001 * k for k in range(WINDOW - 1, -1, -1)], dim=1)
    chosen = farthest_points(body, KEPT)[0] if points > KEPT else torch.arange(points)
    found: dict[str, Callable[[], Any]] = {}
    if points <= largest:
        found["GNS 10 x 128, all points"] = stepping(scaled(GNS(CHANNELS, box=BOX, radius=radius_of(points))), frames)
    own = GNS(CHANNELS, box=BOX, radius=radius_of(points), steps=5, width=64)
    found["GNS 5 x 64, all points"] = stepping(scaled(own), frames)
    sparse = scaled(GIOROM(CHANNELS, box=BOX, radius=radius_of(KEPT), architecture=SMALL))
    step = stepping(sparse, frames[:, :, chosen])
    parts = decoder_channels(2)
    decoders: dict[str, Decoder] = {
        "grid decoder": GridDecoder(parts, box=BOX, spacing=radius_of(KEPT)),
        "reference decoder": ReferenceDecoder(parts, radius=1.5 * radius_of(KEPT)),
    }
    for name, decoder in decoders.items():
        numbers = torch.zeros(len(parts)), torch.ones(len(parts)), torch.ones(len(parts))
        decoder.normalization.set(*numbers, 1.0)  # type: ignore[attr-defined]
        view = DenseView(decoder, body[:, chosen], body)
        found[f"GIOROM of 1,000, {name}"] = lambda view=view: view(step())  # type: ignore[misc]
    return found


def radius_of(points: int) -> float:
    """Within which a point has 20 neighbours."""
    return float((20 * VOLUME / points / np.pi) ** 0.5)


def scaled(model: nn.Module) -> nn.Module:
    """With the scales of a quiet motion, so that it steps."""
    one = np.full(2, 1e-3)
    model.normalization.set(MotionScales(one, one, 0 * one, one, np.zeros(0), np.ones(0)), DT)  # type: ignore[operator,union-attr]
    return model.eval()


def stepping(model: nn.Module, frames: Tensor) -> Callable[[], Tensor]:
    """One frame through ``solve``; returns the newest positions."""
    kind = torch.zeros_like(frames[:, 0, :, :1])
    y0 = model.pack(frames, kind)  # type: ignore[operator]
    ts = torch.tensor([0.0, DT], dtype=torch.float64)

    @torch.no_grad()
    def frame() -> Tensor:
        return model.newest(solve(model, y0, ts, FixedStep(DT)).ys)[:, 1]  # type: ignore[operator]

    return frame


def least(frame: Callable[[], Any], repeats: int) -> float:
    """Seconds of processor time."""
    frame()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        frame()
        times.append(time.process_time() - begin)
    return min(times)


def to_table(rows: list[dict[str, Any]]) -> str:
    """Markdown: seconds a frame, and how many times the cost of GIOROM with the grid decoder."""
    points = sorted({row["points"] for row in rows})
    seconds = {(row["model"], row["points"]): row["seconds"] for row in rows}
    names = sorted({row["model"] for row in rows}, reverse=True)
    fast = next(name for name in names if "grid" in name)
    lines = [
        "# The cost of a frame",
        "",
        "`python -m benchmarks.simulators.cost`: seconds of one core for a frame of so many points, and in brackets "
        f"how many times that of {fast}.",
        "",
        "| points | " + " | ".join(f"{count:,}" for count in points) + " |",
        "|---|" + "---|" * len(points),
    ]
    for name in names:
        cells = [
            f"{seconds[name, count]:.3g} ({seconds[name, count] / seconds[fast, count]:.1f})"
            if (name, count) in seconds
            else "-"
            for count in points
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds against points, both on logarithmic axes."""
    figure = style.new_figure(6.4, 4.2)
    axes = style.dress(figure.subplots(), xlabel="points of a frame", ylabel="seconds a frame, one core")
    for k, name in enumerate(dict.fromkeys(row["model"] for row in rows)):
        own = [row for row in rows if row["model"] == name]
        x, y = [row["points"] for row in own], [row["seconds"] for row in own]
        axes.loglog(x, y, marker=style.MARKERS[k], color=style.COLOURS[k], label=name)
    style.label_above(axes, columns=2)
    figure.savefig(path)


if __name__ == "__main__":
    main()
