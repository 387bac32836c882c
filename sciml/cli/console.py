"""Where the commands print: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_FILE_WIDTH = 160  # of tables that go into a file or a pipe, where rich would assume 80 columns and cut the numbers

output = Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
errors = Console(stderr=True, soft_wrap=True)


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar as a ``(done, total)`` callback; plain lines at every tenth where stderr is not a terminal."""
    if not errors.is_terminal:
        yield _lines(title)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(title: str) -> Callable[[int, int], None]:
    said = -1

    def tell(done: int, total: int) -> None:
        nonlocal said
        tenth = 10 * done // max(total, 1)
        if tenth > said:
            said = tenth
            errors.print(f"{title}: {done} of {total}", highlight=False)

    return tell


def name_list(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]
