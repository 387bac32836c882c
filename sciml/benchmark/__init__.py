"""The benchmark: datasets times operators times seeds, one row each; and Poseidon's, gains over a baseline."""

from .candidates import CANDIDATES, Candidate
from .evaluation import Evaluation, evaluate
from .gains import Gains, all_gains, gains_table
from .pdegym_evaluation import PDEGymScores, evaluate_pdegym, measure_scaling, on_pairs
from .published_gains import published_gains
from .report import write_report
from .row import Row, read_rows
from .run import BenchSettings, run
from .scaling import ScalingCurve, load_curves, save_curves
from .scaling_figure import scaling_figure

__all__ = [
    "CANDIDATES",
    "BenchSettings",
    "Candidate",
    "Evaluation",
    "Gains",
    "PDEGymScores",
    "Row",
    "ScalingCurve",
    "all_gains",
    "evaluate",
    "evaluate_pdegym",
    "gains_table",
    "load_curves",
    "measure_scaling",
    "on_pairs",
    "published_gains",
    "read_rows",
    "run",
    "save_curves",
    "scaling_figure",
    "write_report",
]
