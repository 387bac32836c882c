"""Writing a native file in parts: in parallel, on many machines, or in spite of being killed.

A part is a native file of a few trajectories that knows where they belong. It is complete or absent, so whatever a
kill leaves behind is sound; merging the parts in order gives the bytes that writing in one go would have given.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from .atomic import replacing
from .errors import DatasetError
from .header import Header, Trajectory
from .writer import NativeFile, Progress, Row, checksum, row_of, write_rows


def write_shard(path: str | Path, header: Header, trajectories: Sequence[Trajectory], *, start: int) -> Path:
    """Write the trajectories ``start, start + 1, ...`` of a file to be merged; the shard is whole or absent.

    Raises:
        ValueError: a trajectory does not fit the header.
    """
    with replacing(path) as partial, h5py.File(partial, "w", libver=("earliest", "v110")) as file:
        sink = NativeFile(file, header, len(trajectories), compression=0, statistics=False)
        for index, trajectory in enumerate(trajectories):
            sink.put(index, row_of(header, trajectory))
        shard = file.create_group("shard")
        shard.attrs["start"], shard.attrs["header"] = start, header.to_json()
    return Path(path)


def merge_shards(
    path: str | Path,
    shards: Iterable[str | Path],
    *,
    compression: int = 0,
    statistics: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Make one file of shards, given in any order; the bytes are those of ``write_dataset``.

    Raises:
        DatasetError: a shard is damaged or of another header, two overlap, or one is missing.
    """
    spans = sorted((_span(Path(shard)) for shard in shards), key=lambda span: span[0])
    if not spans:
        raise ValueError("Expected at least one shard, got none.")
    _check_complete(spans)
    first = spans[0][2]
    header = _header(first)
    rows = (row for _, _, shard in spans for row in _rows(shard, header))
    count = spans[-1][1]
    return write_rows(path, header, rows, count, compression=compression, statistics=statistics, progress=progress)


class NativeWriter:
    """Write a native file bit by bit, and go on after a kill where the last whole batch ended.

    Batches are kept as shards in ``PATH.shards/`` until ``close`` merges them into ``path``. Leaving the ``with`` block
    on an exception keeps the shards: open the same path with the same header to continue.

    Attributes:
        path: the file to be.
        header: what its trajectories share.
        directory: where the shards are.
    """

    def __init__(self, path: str | Path, header: Header, *, compression: int = 0, statistics: bool = True) -> None:
        """Args:
            path: the file to be.
            header: what its trajectories share.
            compression: gzip level of the merged file, 0 for none.
            statistics: compute and store them on merging.

        Raises:
            ValueError: the shards there belong to a file of another header.
        """
        self.path, self.header = Path(path), header
        self.directory = self.path.with_name(self.path.name + ".shards")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._options = {"compression": compression, "statistics": statistics}
        for shard in self.shards[:1]:
            if _header(shard).to_json() != header.to_json():
                raise ValueError(
                    f"Expected {self.directory} to hold shards of the same header, got others (settings changed?). "
                    f"Delete the folder to start anew, or write to another path."
                )

    @property
    def shards(self) -> list[Path]:
        """The batches committed so far."""
        return sorted(self.directory.glob("*.h5"))

    @property
    def committed(self) -> set[int]:
        """Numbers of the trajectories committed so far."""
        spans = (tuple(map(int, shard.stem.split("-"))) for shard in self.shards)
        return {number for start, stop in spans for number in range(start, stop)}

    @property
    def done(self) -> int:
        """How many trajectories, from the first on, are committed without a gap."""
        committed = self.committed
        return next(number for number in range(len(committed) + 1) if number not in committed)

    def missing(self, total: int) -> list[int]:
        """Trajectories out of ``range(total)`` that are not committed."""
        committed = self.committed
        return [number for number in range(total) if number not in committed]

    def append(self, trajectories: Sequence[Trajectory]) -> None:
        """Commit the next trajectories: once this returns, a kill does not lose them."""
        self.put(self.done, trajectories)

    def put(self, start: int, trajectories: Sequence[Trajectory]) -> None:
        """Commit the trajectories ``start, start + 1, ...``, in any order and from any process."""
        name = f"{start:08d}-{start + len(trajectories):08d}.h5"
        write_shard(self.directory / name, self.header, trajectories, start=start)

    def close(self, *, progress: Progress | None = None) -> Path:
        """Merge the shards into ``path`` and remove them."""
        compression, statistics = int(self._options["compression"]), bool(self._options["statistics"])
        merge_shards(self.path, self.shards, compression=compression, statistics=statistics, progress=progress)
        shutil.rmtree(self.directory)
        return self.path

    def __enter__(self) -> NativeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def _span(shard: Path) -> tuple[int, int, Path]:
    with _opened(shard) as file:
        start = int(file["shard"].attrs["start"])
        return start, start + len(file["sample"]), shard


def _header(shard: Path) -> Header:
    with _opened(shard) as file:
        return Header.from_json(file["shard"].attrs["header"])


def _opened(shard: Path) -> h5py.File:
    try:
        file = h5py.File(shard, "r")
    except OSError:
        raise DatasetError(shard, "is missing or damaged.", remedy="Delete it and make it again.") from None
    if "shard" not in file:
        file.close()
        raise DatasetError(shard, "is not a shard.", remedy="Give files that write_shard wrote.")
    return file


def _check_complete(spans: list[tuple[int, int, Path]]) -> None:
    expected, text = 0, _header(spans[0][2]).to_json()
    for start, stop, shard in spans:
        if start != expected:
            problem = f"starts at trajectory {start}, expected {expected}."
            raise DatasetError(shard, problem, remedy="A shard is missing, or two overlap.")
        if _header(shard).to_json() != text:
            raise DatasetError(
                shard, f"has another header than {spans[0][2].name}.", remedy="Merge shards of one file."
            )
        expected = stop


def _rows(shard: Path, header: Header) -> Iterator[Row]:
    with _opened(shard) as file:
        for index in range(len(file["sample"])):
            yield _row(shard, file, header, index)


def _row(shard: Path, file: h5py.File, header: Header, index: int) -> Row:
    values = {}
    for channels in header.fields:
        name = channels[0].field
        values[name] = np.ascontiguousarray(file[name][index])
        if checksum(values[name]) != int(file["checksums"][name][index]):
            problem = f"trajectory {index} does not match its checksum."
            raise DatasetError(shard, problem, where=name, remedy="Delete the shard and make it again.")
    nodes = int(file["nodes"][index]) if header.kind == "particles" else 0
    parameters = {name: float(file[name][index]) for name in header.parameters}
    times = file["times"][index] if header.own_times else None
    mask = file["mask"][index] if header.own_masks else None
    return Row(values, int(file["length"][index]), nodes, int(file["split"][index]), parameters, times, mask)
