"""Running a command as the shell does."""

import sys

from sciml.cli import main


def run(*arguments: object) -> int:
    """The exit code of a command."""
    before = sys.argv
    sys.argv = ["sciml", *map(str, arguments)]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0
