"""Films of moving points: GIF, MP4, and a strip of a few moments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont

from . import style
from .splat import View, splat

STRIP = 6
_GREY = 0.62
_LONGEST = 400
"""Pictures of a GIF, which keeps them all in memory; of longer rollouts every other one is shown, or fewer."""


class Film:
    """Pictures of points that move, one for each time.

    Args:
        positions: what can be indexed by frame to give (node, d).
        times: of the frames.
        view: from where.
        radius: of a point, in units of length.
        kinds: colours by these numbers, (node,).
        speeds: colours by these values instead, indexed by frame like positions, from 0 to ``fastest``.
        fastest: the value that has the last colour.
        still: points of what stands in the way, indexed by frame, drawn in grey.
        release: points are drawn from these times on, (node,).
    """

    def __init__(
        self,
        positions: Any,
        times: Sequence[float],
        view: View,
        *,
        radius: float,
        kinds: Int[np.ndarray, " node"] | None = None,
        speeds: Any = None,
        fastest: float = 1.0,
        still: Any = None,
        release: Float[np.ndarray, " node"] | None = None,
    ) -> None:
        if kinds is None and speeds is None:
            raise ValueError("Expected kinds or speeds to colour points by, got neither.")
        self._positions, self.times, self.view, self._radius = positions, [float(t) for t in times], view, radius
        self._kinds, self._speeds, self._fastest = kinds, speeds, fastest or 1.0
        self._still, self._release = still, release

    def __len__(self) -> int:
        return len(self.times)

    def picture(self, frame: int) -> Image.Image:
        """One frame, with its time."""
        points, colours = np.asarray(self._positions[frame]), self._colours(frame)
        if self._release is not None:
            there = self._release <= self.times[frame] + 1e-9
            points, colours = points[there], colours[there]
        if self._still is not None:
            fixed = np.asarray(self._still[frame])
            points = np.concatenate([points, fixed])
            colours = np.concatenate([colours, np.full((len(fixed), 3), _GREY)])
        image = Image.fromarray(splat(points, colours, self._radius, self.view))
        ImageDraw.Draw(image).text(
            (8, 4), f"t = {self.times[frame]:.3g}", fill=style.INK, font=ImageFont.load_default(size=13)
        )
        return image

    def save_gif(self, path: str | Path, *, frames_per_second: float = 25.0) -> Path:
        """All frames, or evenly spaced ones of a long rollout."""
        shown = range(0, len(self), -(-len(self) // _LONGEST))
        images = [_with_palette(self.picture(frame)) for frame in shown]
        path, beside = _beside(path)
        duration = max(20, round(1000 / frames_per_second))
        images[0].save(beside, format="GIF", save_all=True, append_images=images[1:], duration=duration, loop=0)
        os.replace(beside, path)
        return path

    def save_mp4(self, path: str | Path, *, frames_per_second: float = 25.0) -> Path | None:
        """All frames; None where imageio's FFmpeg is not installed (the extra ``video``)."""
        try:
            import imageio.v2 as imageio
            import imageio_ffmpeg  # noqa: F401
        except ImportError:
            return None
        path, beside = _beside(path)
        writer: Any
        with imageio.get_writer(beside, format="FFMPEG", fps=frames_per_second, macro_block_size=2) as writer:
            for image in self._pictures():
                writer.append_data(np.asarray(image))
        os.replace(beside, path)
        return path

    def save_strip(self, path: str | Path, *, count: int = STRIP) -> Path:
        """A few moments, up to three in a row."""
        shown = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int))
        images = [self.picture(int(frame)) for frame in shown]
        width, height = images[0].size
        across = min(len(images), 3)
        sheet = Image.new("RGB", (across * width, -(-len(images) // across) * height), "white")
        for k, image in enumerate(images):
            sheet.paste(image, (k % across * width, k // across * height))
        path, beside = _beside(path)
        sheet.save(beside)
        os.replace(beside, path)
        return path

    def _pictures(self) -> Iterator[Image.Image]:
        return (self.picture(frame) for frame in range(len(self)))

    def _colours(self, frame: int) -> np.ndarray:
        if self._speeds is None:
            palette = np.array([to_rgb(colour) for colour in style.COLOURS])
            return palette[np.asarray(self._kinds) % len(palette)]
        scaled = np.clip(np.asarray(self._speeds[frame]) / self._fastest, 0.0, 1.0)
        return matplotlib.colormaps["viridis"](np.nan_to_num(scaled))[:, :3]


def _with_palette(image: Image.Image) -> Image.Image:
    return image.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _beside(path: str | Path) -> tuple[Path, Path]:
    """A path, and one to write to before it takes its place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path, path.with_name(f".{path.stem}.partial{path.suffix}")
