"""The benchmark: datasets times operators times seeds, one row each."""

from .candidates import CANDIDATES, Candidate
from .evaluation import Evaluation, evaluate
from .report import write_report
from .row import Row, read_rows
from .run import BenchSettings, run

__all__ = [
    "CANDIDATES",
    "BenchSettings",
    "Candidate",
    "Evaluation",
    "Row",
    "evaluate",
    "read_rows",
    "run",
    "write_report",
]
