"""The application: its commands, and how it speaks of errors."""

from __future__ import annotations

import os
import sys

import typer

from sciml.cli.bench import bench, report
from sciml.cli.console import errors
from sciml.cli.data import data
from sciml.cli.gains import gains
from sciml.cli.simulate import simulate
from sciml.cli.train import train

app = typer.Typer(
    name="sciml",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Solve PDEs and ODEs with numerical schemes and learned operators.

    Start with `sciml bench`, which makes a small dataset, trains operators on it and writes a report. Then look at
    your own files: `sciml data info FILE`, `sciml bench FILE --model unet`. Any command explains itself:
    `sciml train --help`.
    """,
)
app.command()(bench)
app.command()(report)
app.command()(train)
app.command()(simulate)
app.command()(gains)
app.add_typer(data, name="data")


def main() -> None:
    """Run the command line. What the user can mend is one line on stderr and exit code 2, not a traceback.

    ``SCIML_TRACEBACK=1`` shows where such an error was raised.
    """
    try:
        app()
    except KeyboardInterrupt as stopped:
        errors.print(f"[yellow]{stopped or 'Stopped.'}[/yellow]")
        sys.exit(130)
    except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as error:
        if os.environ.get("SCIML_TRACEBACK"):
            raise
        errors.print(f"[bold red]error:[/bold red] {_line(error)}", highlight=False)
        sys.exit(2)


def _line(error: Exception) -> str:
    """The message on one line, safe to print: no control characters, no markup."""
    message = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename and error.strerror:
        message = f"{error.filename}: {error.strerror}."
    clean = "".join(c if c.isprintable() else " " for c in " ".join(message.split()))
    return clean.replace("[", "\\[")
