"""What a person sees of a running training: a bar in a terminal, a line per epoch elsewhere, both on stderr."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Display:
    """Shows progress.

    Args:
        steps: of the whole training.
        done: of them, before this run.
        quiet: show nothing.
    """

    def __init__(self, steps: int, done: int, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False, markup=False)
        self._bar: Progress | None = None
        if not quiet and sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("training", total=steps, completed=done)
            self._bar.start()

    def advance(self, steps: int, epoch: int, loss: float) -> None:
        """``steps`` more are done, the last with ``loss``."""
        if self._bar is not None:
            self._bar.update(self._task, advance=steps, description=f"epoch {epoch}  loss {loss:.3g}")

    def say(self, message: str) -> None:
        """A line, above the bar if there is one."""
        self._console.print(message)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
