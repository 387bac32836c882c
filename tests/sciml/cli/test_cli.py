"""The commands as a user calls them: what they print, write and answer to bad input."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml import __version__
from sciml.benchmark import read_rows
from sciml.datasets import Axis, Channel, Header, Trajectories, Trajectory, open_dataset, write_dataset
from tests.sciml.cli.command import run


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten travelling sines, 16 points, 6 frames."""
    path = tmp_path_factory.mktemp("data") / "waves.h5"
    x, t = np.arange(16) / 16, np.arange(6) * 0.1
    header = Header(
        channels=(Channel("u", units="m"),),
        axes=(Axis("x", x, units="m", boundary="periodic"),),
        times=t,
        time_units="s",
    )
    parts = []
    for k in range(10):
        u = np.sin(2 * np.pi * (x[None] - 0.3 * t[:, None]) + k).astype("float32")[:, None]
        parts.append(Trajectory(u=u, split="train" if k < 6 else "valid" if k < 8 else "test"))
    return write_dataset(path, header, parts)


def test_info_for_people_and_programs(waves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "info", waves) == 0
    assert "10 of 6 frames" in capsys.readouterr().out
    assert run("data", "info", waves, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layout"] == "native"
    assert found["channels"] == [{"name": "u", "units": "m", "static": False}]
    assert found["splits"] == {"train": 6, "valid": 2, "test": 2}
    assert found["times"]["dt"] == pytest.approx(0.1)


def test_stats_are_those_of_the_training_split(waves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "stats", waves, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    u = np.stack([window.u.numpy() for window in Trajectories(waves, split="train")])
    assert found["std"]["u"] == pytest.approx(float(u.std(ddof=1, dtype=np.float64)), rel=1e-6)


def test_validate_says_what_is_wrong_by_its_exit_code(waves: Path, tmp_path: Path) -> None:
    assert run("data", "validate", waves) == 0
    with h5py.File(waves) as source, h5py.File(tmp_path / "nan.h5", "w") as target:
        for name in source:
            source.copy(name, target)
        target.attrs.update(source.attrs)
        target["u"][2, 1, 3] = np.nan
    assert run("data", "validate", tmp_path / "nan.h5") == 1
    (tmp_path / "page.h5").write_text("<!doctype html><html>not found</html>")
    assert run("data", "validate", tmp_path / "page.h5") == 2


def test_convert_there_and_back(waves: Path, tmp_path: Path) -> None:
    assert run("data", "convert", waves, tmp_path / "well.hdf5", "--to", "the_well") == 0
    assert run("data", "convert", tmp_path / "well.hdf5", tmp_path / "back.h5") == 0
    np.testing.assert_array_equal(open_dataset(tmp_path / "back.h5").read(4), open_dataset(waves).read(4))
    assert run("data", "convert", waves, tmp_path / "back.h5") == 2, "an existing file was overwritten"
    assert run("data", "convert", waves, tmp_path / "new.h5", "--to", "zarr") == 2


def test_convert_particles_to_lagrangebench(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "data/layouts/lagrangebench/3D_LJ_3_1214every1"
    assert run("data", "convert", source, tmp_path / "again", "--to", "lagrangebench") == 0
    np.testing.assert_array_equal(open_dataset(tmp_path / "again").read(2), open_dataset(source).read(2))


def test_make_twice_gives_the_same_file(tmp_path: Path) -> None:
    size = ("--trajectories", 3, "--size", 32, "--frames", 4, "--set", "viscosity=0.02")
    for name in ("one.h5", "two.h5"):
        assert run("data", "make", "burgers-1d", tmp_path / name, *size) == 0
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    assert open_dataset(tmp_path / "one.h5").parameters["viscosity"] == pytest.approx(0.02)


def test_families_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "families") == 0
    assert "navier-stokes-2d" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_plot_writes_a_picture(waves: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"fields{suffix}"
    assert run("data", "plot", waves, "--out", out) == 0
    assert out.stat().st_size > 5000


def test_train_simulate_and_the_rollout_that_it_writes(waves: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run("train", waves, "--model", "fno", "--epochs", 1, "--batch-size", 8, "--out", out) == 0
    checkpoint = out / "operator.safetensors"
    assert run("simulate", checkpoint, waves, "--trajectory", 1, "--steps", 8, "--out", tmp_path / "rollout.h5") == 0
    rollout = open_dataset(tmp_path / "rollout.h5")
    assert rollout.read(0).shape == (9, 1, 16)
    np.testing.assert_array_equal(rollout.read(0)[0], Trajectories(waves, split="test")[1].u[0].numpy())
    assert rollout.channels[0].units == "m"
    assert (tmp_path / "rollout.gif").stat().st_size > 5000
    assert run("simulate", checkpoint, waves, "--rtol", 0.1, "--out", tmp_path / "adaptive.h5") == 0
    assert run("simulate", checkpoint, waves, "--trajectory", 7, "--out", tmp_path / "no.h5") == 2
    assert not (tmp_path / "no.h5").exists()


def test_bench_fills_rows_resumes_and_renders_again(
    waves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("bench", waves, "--model", "persistence,dmd,fno", "--budget", 3, "--out", tmp_path)
    assert run(*command) == 0
    assert "report" in capsys.readouterr().out
    rows = read_rows(tmp_path / "rows.jsonl")
    assert [row.operator for row in rows] == ["persistence", "dmd", "fno"]
    before = (tmp_path / "rows.jsonl").read_bytes()
    assert run(*command) == 0
    assert (tmp_path / "rows.jsonl").read_bytes() == before, "a finished row was measured again"
    assert run(*command, "--lr", "1e-4", "--model", "fno") == 0
    assert len(read_rows(tmp_path / "rows.jsonl")) == 4, "another learning rate is another row"
    (tmp_path / "report.html").unlink()
    assert run("bench", "--from-json", tmp_path / "rows.jsonl") == 0
    assert (tmp_path / "report.html").is_file()
    assert run("report", tmp_path, "--out", tmp_path / "again.html") == 0
    assert (tmp_path / "again.html").is_file()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("data", "info", "nowhere.h5"), "nowhere.h5"),
        (("bench", "nowhere.h5", "--out", "unused"), "does not exist"),
        (("bench", "--model", "transformer", "--out", "unused"), "'transformer'"),
        (("bench", "--model", ",", "--out", "unused"), "at least one operator"),
        (("bench", "--budget", "0", "--out", "unused"), "steps >= 1"),
        (("bench", "--seeds", "0", "--out", "unused"), "at least one seed"),
        (("report", "nowhere.jsonl"), "nowhere.jsonl"),
        (("train", "nowhere.h5", "--out", "unused"), "nowhere.h5"),
        (("train", "nowhere.h5", "--model", "gpt"), "'gpt'"),
        (("simulate", "nowhere.safetensors", "nowhere.h5"), "nowhere.safetensors"),
        (("data", "make", "navier-stoks-2d", "x.h5"), "Did you mean navier-stokes-2d"),
        (("data", "make", "burgers-1d", "x.h5", "--set", "viscosity"), "NAME=VALUE"),
        (("data", "make", "burgers-1d", "x.h5", "--splits", "a,b"), "64,8,16"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    command: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*command) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.startswith("error: ") and len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["bench"], ["data"], ["data", "make"], ["train"], ["simulate"]):
        assert run(*command, "--help") == 0
        assert "Usage" in capsys.readouterr().out


def test_the_face_offers_what_the_readme_imports() -> None:
    import sciml

    assert __version__ == sciml.__version__
    for name in sciml.__all__:
        assert getattr(sciml, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sciml.nothing
