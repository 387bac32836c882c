"""Files in, tensors out: public HDF5 layouts, training windows, statistics, our own layout, validation."""

from .channel import Axis, Channel
from .convert import Conversion, convert
from .dataset import Dataset
from .errors import DatasetError
from .header import Header, Trajectory
from .open import open_dataset
from .statistics import Statistics
from .validate import Finding, Report, validate
from .windows import Trajectories, Window
from .writer import write_dataset

__all__ = [
    "Axis",
    "Channel",
    "Conversion",
    "Dataset",
    "DatasetError",
    "Finding",
    "Header",
    "Report",
    "Statistics",
    "Trajectories",
    "Trajectory",
    "Window",
    "convert",
    "open_dataset",
    "validate",
    "write_dataset",
]
