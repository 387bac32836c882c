"""Files in, tensors out: public HDF5 layouts, training windows, statistics, our own layout, validation."""

from .channel import Axis, Channel
from .convert import Conversion, convert
from .dataset import Dataset
from .errors import DatasetError
from .header import Header, Trajectory
from .lagrangebench_writer import write_lagrangebench
from .memory import dataset_from_arrays, dataset_from_particles
from .open import open_dataset
from .pdegym_catalogue import PDEGYM, pdegym_set
from .pdegym_pairs import PDEGymItem, PDEGymPairs, final_pairs
from .pdegym_windows import PDEGymWindows
from .statistics import Statistics
from .validate import Finding, Report, validate
from .windows import Trajectories, Window
from .writer import write_dataset

__all__ = [
    "PDEGYM",
    "Axis",
    "Channel",
    "Conversion",
    "Dataset",
    "DatasetError",
    "Finding",
    "Header",
    "PDEGymItem",
    "PDEGymPairs",
    "PDEGymWindows",
    "Report",
    "Statistics",
    "Trajectories",
    "Trajectory",
    "Window",
    "convert",
    "dataset_from_arrays",
    "dataset_from_particles",
    "final_pairs",
    "open_dataset",
    "pdegym_set",
    "validate",
    "write_dataset",
    "write_lagrangebench",
]
