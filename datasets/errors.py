"""The one error of the dataset layer."""

from __future__ import annotations

import copyreg
from pathlib import Path
from typing import Any


class DatasetError(ValueError):
    """A file cannot be read as a dataset.

    One line that names the file, the dataset or attribute in it, what was found, what was expected and what to do.

    Attributes:
        path: the file.
        where: the HDF5 object in it, "" for the file itself.
    """

    def __init__(self, path: str | Path, problem: str, *, where: str = "", remedy: str = "") -> None:
        place = f"{path}: {where}" if where else f"{path}"
        super().__init__(f"{place}: {problem}" + (f" {remedy}" if remedy else ""))
        self.path, self.where = Path(path), where

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]
