"""Bad files: each gives one line that says what and where, and never a crash, a hang or a full memory."""

import gzip
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml.datasets.errors import DatasetError
from sciml.datasets.handles import close_all
from sciml.datasets.open import open_dataset
from tests.datasets.builders import write_h5, write_pdebench, write_well

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"


def refused(path: Path, *words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        open_dataset(path).read(0)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message and caught.value.path == path
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty (0 bytes)", "fetch it again"]),
        (b"<!DOCTYPE html><html><body>404</body></html>", ["is an HTML page", "link"]),
        (b"\n  <html>", ["is an HTML page"]),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", ["git-LFS pointer", "git lfs pull"]),
        (gzip.compress(b"x", mtime=0), ["gzip", "gunzip"]),
        (b"PK\x03\x04" + b"\0" * 60, ["zip archive", "Unpack"]),
        (b"CDF\x01\0\0\0\0", ["NetCDF-3", "nccopy"]),
        (b"CDF\x05\0\0\0\0", ["NetCDF-3", "nccopy"]),
        (b"\x93NUMPY\x01\0", [".npy"]),
        (b"hello, this is text", ["is not an HDF5 file"]),
        (b"\x89HDF\r\n\x1a\n", ["cannot be opened"]),
        (b"\x89HDF\r\n\x1a\n" + b"\xff" * 400, ["cannot be opened"]),
        (b"MATLAB 5.0 MAT-file" + b"\0" * 200, []),
    ],
)
def test_what_is_not_hdf5(tmp_path, content, words):
    path = tmp_path / "data.h5"
    path.write_bytes(content)
    refused(path, *words)


def test_missing_unreadable_and_empty_places(tmp_path):
    refused(tmp_path / "no.h5", "does not exist")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "has no data file", "Give the directory")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop", "cannot be read")


def test_permission_is_named_whoever_runs_the_test(tmp_path, monkeypatch):
    path = write_pdebench(tmp_path / "a.h5", ["tensor"], "x")

    def denied(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    refused(path, "cannot be read (Permission denied)", "permissions")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_truncated_files(tmp_path, share):
    whole = (LAYOUTS / "pdebench" / "1D_Burgers_Sols_Nu0.01.hdf5").read_bytes()
    path = tmp_path / "cut.hdf5"
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "truncated")


def test_unknown_contents_are_listed(tmp_path):
    path = write_h5(tmp_path / "a.h5", {"weather": np.zeros(3), "climate": np.zeros(3)})
    refused(path, "it holds: climate, weather", "pdebench, the_well, pdegym")
    refused(write_h5(tmp_path / "b.h5", {}), "it holds: nothing")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((3, 4)), ["(3, 4)", "expected (sample, time, x)"]),
        (np.zeros((2, 3, 4, 5, 6)), ["expected (sample, time, x)"]),
        (np.zeros((3, 4, 5), dtype="c8"), ["complex64", "expected floating point"]),
        (np.zeros((3, 4, 5), dtype=[("re", "f4"), ("im", "f4")]), ["expected floating point"]),
        (np.array([["a"]], dtype=h5py.string_dtype()), ["expected floating point"]),
        (np.array(1.0), ["()"]),
    ],
)
def test_wrong_rank_and_dtype(tmp_path, values, words):
    path = write_h5(tmp_path / "1D_a.hdf5", {"tensor": values, "x-coordinate": np.arange(5.0)})
    refused(path, "tensor", *words)


def test_variable_length_rows(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("tensor", (2, 3, 4), dtype=h5py.vlen_dtype("f4"))
    refused(path, "tensor", "expected floating point")


def test_an_empty_dataspace(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["tensor"] = h5py.Empty("f4")
    refused(path, "tensor", "empty dataspace")


@pytest.mark.parametrize("chunks", [None, (1, 1, 64)])
def test_absurd_declared_sizes_are_refused_before_reading(tmp_path, chunks):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("tensor", (10**9, 10**4, 64), dtype="f4", chunks=chunks)
        if chunks:
            file["tensor"][0, 0] = 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "tensor", "declares shape (1000000000, 10000, 64)", "stored")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_read_larger_than_memory_is_refused(tmp_path, monkeypatch):
    path = write_pdebench(tmp_path / "a.hdf5", ["tensor"], "x")
    monkeypatch.setattr("sciml.datasets.hdf5.available_memory", lambda: 100)
    with pytest.raises(
        DatasetError, match=r"tensor: a read of shape \(5, 4\) needs 80 bytes, 100 bytes of memory are free"
    ):
        open_dataset(path).read(0)


def linked(path: Path, name: str, link: object) -> Path:
    write_pdebench(path, ["density"], "x")
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        file[name] = link
    return path


def test_links_into_other_files_are_not_followed(tmp_path):
    other = write_h5(tmp_path / "secret.h5", {"tensor": np.zeros((6, 5, 4)), "g/tensor": np.zeros((6, 5, 4))})
    refused(linked(tmp_path / "a.hdf5", "tensor", h5py.ExternalLink(other, "/tensor")), "/tensor", "external link")
    path = linked(tmp_path / "b.hdf5", "far", h5py.ExternalLink(other, "/g"))
    with h5py.File(path, "a") as file:
        file["tensor"] = h5py.SoftLink("/far/tensor")
    refused(path, "/far", "external link")


def test_a_link_to_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(linked(tmp_path / "a.hdf5", "tensor", h5py.ExternalLink(tmp_path / "pipe", "/tensor")), "external link")


def test_cyclic_and_dangling_links(tmp_path):
    refused(linked(tmp_path / "a.hdf5", "tensor", h5py.SoftLink("/tensor")), "cyclic link")
    refused(linked(tmp_path / "b.hdf5", "tensor", h5py.SoftLink("/nowhere")), "/nowhere", "is missing")
    path = linked(tmp_path / "c.hdf5", "tensor", h5py.SoftLink("density"))
    assert open_dataset(path).channels[0].name == "u"  # a link inside the file is followed
    close_all()
    with h5py.File(path, "a") as file:
        file["loop"] = file["/"]  # a group that contains itself
    assert len(open_dataset(path)) == 6


def test_values_kept_in_other_files(tmp_path):
    path = write_pdebench(tmp_path / "a.hdf5", ["density"], "x")
    (tmp_path / "raw.bin").write_bytes(bytes(480))
    with h5py.File(path, "a") as file:
        file.create_dataset("tensor", (6, 5, 4), "f4", external=[(str(tmp_path / "raw.bin"), 0, 480)])
    refused(path, "tensor", "keeps its values in another file")
    other = write_pdebench(tmp_path / "b.hdf5", ["density"], "x")
    layout = h5py.VirtualLayout((6, 5, 4), "f4")
    layout[:] = h5py.VirtualSource(str(other), "density", (6, 5, 4))
    path = write_pdebench(tmp_path / "c.hdf5", ["density"], "x")
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("tensor", layout)
    refused(path, "tensor", "virtual dataset over other files")


def test_a_corrupt_chunk_is_named_when_it_is_read(tmp_path):
    path = write_well(tmp_path / "w.hdf5", [("a", 0, "btxy")])
    with h5py.File(path, "a") as file:
        values, attributes = file["t0_fields/a"][()], dict(file["t0_fields/a"].attrs)
        del file["t0_fields/a"]
        made = file.create_dataset("t0_fields/a", data=values, chunks=(1, 5, 4, 3), compression="gzip")
        made.attrs.update(attributes)
        offset = made.id.get_chunk_info(1).byte_offset
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 16)
    dataset = open_dataset(path)
    dataset.read(0)
    with pytest.raises(DatasetError, match=r"/t0_fields/a: cannot be read: .*filter"):
        dataset.read(1)


def test_groups_where_datasets_should_be_and_the_reverse(tmp_path):
    refused(write_h5(tmp_path / "a.hdf5", {"tensor/inside": np.zeros(3)}), "tensor", "is a group, expected a dataset")
    refused(write_h5(tmp_path / "b.hdf5", {"dimensions": np.zeros(3), "t0_fields/a": np.zeros(3)}), "is a dataset")


FUZZ = textwrap.dedent(
    """
    import random, sys
    from pathlib import Path
    from sciml.datasets.errors import DatasetError
    from sciml.datasets.handles import close_all
    from sciml.datasets.open import open_dataset

    source, folder, first, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    whole = source.read_bytes()
    target = folder / source.name
    for seed in range(first, last):
        dice, damaged = random.Random(seed), bytearray(whole)
        if dice.random() < 0.3:
            del damaged[dice.randrange(len(damaged)):]
        for _ in range(dice.choice((1, 4, 32))):
            # Half the hits go where a small file keeps its metadata.
            reach = min(len(damaged), 4096 if dice.random() < 0.5 else len(damaged))
            if reach:
                damaged[dice.randrange(reach)] = dice.randrange(256)
        target.write_bytes(damaged)
        print(seed, flush=True)
        try:
            dataset = open_dataset(target)
            for trajectory in {0, len(dataset) - 1}:
                dataset.read(trajectory, slice(0, 3))
        except DatasetError as error:
            assert "\\n" not in str(error), str(error)
        close_all()
        target.unlink()
    """
)
FUZZED = (
    "pdebench/1D_diff-sorp_NA_NA.h5",
    "pdegym/NS-Sines.nc",
    "lagrangebench/3D_LJ_3_1214every1/test.h5",
    "well/shear_layer_mini/data/test/shear_layer_mini_nu_0.01_test.hdf5",
)


@pytest.mark.parametrize("name", FUZZED)
def test_damaged_bytes_are_refused_or_read(tmp_path, name):
    source = LAYOUTS / name
    if "lagrangebench" in name:
        (tmp_path / "metadata.json").write_bytes((source.parent / "metadata.json").read_bytes())
    command = [sys.executable, "-c", FUZZ, str(source), str(tmp_path), "0", "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"seed {done.stdout.split()[-1:]}: {done.stderr[-2000:]}"
    assert done.stdout.split()[-1] == "49"
