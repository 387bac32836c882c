"""Runs: what the file holds, and that nothing is lost when one is stopped, breaks down or is killed."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray

from sciml import Trajectories, open_dataset
from sciml.datasets.lagrangebench_writer import write_lagrangebench
from sciml.datasets.native import verify_checksums
from sciml.scenes import Body, Emitter, Scene, SimulationError, SimulationStopped, box, fluid, jelly, simulate, sphere
from sciml.scenes.record import Record
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve
from sciml.tensor_file import read_tensors


def falling(frames: int = 6, **more: object) -> Scene:
    ball = Body(sphere((0.5, 0.6), 0.15), jelly(young=2e4), (0.3, 0.0), name="ball")
    return Scene([ball], cells=16, duration=0.02 * (frames - 1), frames=frames, **more)  # type: ignore[arg-type]


def stop_after(frames: int, error: type[BaseException] = KeyboardInterrupt):
    def progress(done: int, total: int) -> None:
        if done >= frames:
            raise error

    return progress


def fields(path: Path) -> np.ndarray:
    verify_checksums(path)
    return open_dataset(path).read(0)


def test_the_file_holds_what_solve_returns(tmp_path: Path) -> None:
    scene = falling()
    run = simulate(scene, tmp_path / "run.h5")
    with torch.no_grad():
        solution = solve(scene.stepper(), scene.state(), torch.from_numpy(scene.times), FixedStep(scene.dt))
    dataset = open_dataset(run.path)
    assert [channel.name for channel in dataset.channels] == [
        "position_x", "position_y", "velocity_x", "velocity_y", "particle_type", "mass", "volume"
    ]  # fmt: skip
    u = dataset.read(0)
    np.testing.assert_allclose(u[..., :2], solution.ys["position"][0].numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(u[..., 2:4], solution.ys["velocity"][0].numpy(), rtol=0, atol=1e-5)
    assert run.frames == 6 and run.points == u.shape[1] and run.steps == int(solution.statistics.evaluations[0])
    assert dataset.parameters["ball_young"] == 2e4 and dataset.parameters["ball_density"] == 1000
    np.testing.assert_allclose(dataset.times_of(0), scene.times)


def test_xarray_and_the_windows_of_training_read_it(tmp_path: Path) -> None:
    run = simulate(falling(), tmp_path / "run.h5")
    with xarray.open_dataset(run.path, engine="h5netcdf") as found:
        assert found["position"].dims == ("sample", "time", "node", "position_component")
        assert np.isfinite(found["velocity"]).all()
    t, u = Trajectories(run.path, window=3)[0]
    assert t.shape == (3,) and u.shape == (3, run.points, 7)


def test_mass_and_momentum_along_the_way(tmp_path: Path) -> None:
    """Free fall: the momentum changes by m g t, to float32 rounding."""
    scene = falling()
    simulate(scene, tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        mass, momentum = file["invariants/mass"][()], file["invariants/momentum"][()]
        energy = file["invariants/kinetic_energy"][()]
    total = float(scene.cloud.mass.sum())
    np.testing.assert_allclose(mass, total)
    np.testing.assert_allclose(momentum[:, 0], 0.3 * total, rtol=1e-4)
    np.testing.assert_allclose(momentum[:, 1], -9.81 * scene.times * total, rtol=1e-4, atol=1e-4 * total)
    np.testing.assert_allclose(energy, (momentum**2).sum(1) / (2 * total), rtol=1e-3)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, MemoryError])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(ending: type[BaseException], tmp_path: Path) -> None:
    """By Ctrl-C, after which the file is whole, or by what leaves everything as a kill would."""
    whole, halves = tmp_path / "whole.h5", tmp_path / "halves.h5"
    simulate(falling(), whole)
    with pytest.raises((SimulationStopped, MemoryError)) as stopped:
        simulate(falling(), halves, progress=stop_after(3, ending))
    if ending is KeyboardInterrupt:
        assert "Frames 0 to 2 (t = 0.04) are in" in str(stopped.value)
        np.testing.assert_array_equal(fields(halves), fields(whole)[:3])
    else:
        with open(Record(falling(), halves).frames, "ab") as file:
            file.write(b"half of a frame")
        assert not halves.exists()
    simulate(falling(), halves, resume=True)
    np.testing.assert_array_equal(fields(halves), fields(whole))
    states = [read_tensors(tmp_path / f"{name}.state.safetensors").tensors for name in ("whole", "halves")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert whole.read_bytes() == halves.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "halves.h5", "halves.state.safetensors", "whole.h5", "whole.state.safetensors"
    ]  # fmt: skip


def test_a_finished_run_goes_on_for_more_frames(tmp_path: Path) -> None:
    simulate(falling(8), tmp_path / "long.h5")
    simulate(falling(4), tmp_path / "short.h5")
    simulate(falling(4).lasting(8), tmp_path / "short.h5", resume=True)
    np.testing.assert_array_equal(fields(tmp_path / "short.h5"), fields(tmp_path / "long.h5"))


def test_a_run_that_breaks_down_leaves_its_frames(tmp_path: Path) -> None:
    """The ball leaves through a side without a wall."""
    ball = Body(sphere((0.8, 0.5), 0.15), jelly(), (2.0, 0.0))
    scene = Scene([ball], cells=16, walls=None, duration=0.3, frames=31)
    with pytest.raises(
        SimulationError, match=r"left the grid.*Give the box walls.*Frames 0 to \d+ .* are in .*run\.h5"
    ):
        simulate(scene, tmp_path / "run.h5")
    assert 1 < len(fields(tmp_path / "run.h5")) < 31


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    simulate(falling(3), path)
    with pytest.raises(ValueError, match=r"is there already\. Resume it, overwrite it"):
        simulate(falling(3), path)
    with pytest.raises(ValueError, match="the state of another scene"):
        simulate(falling(3, gravity=(0.0, -1.0)), path, resume=True)
    with pytest.raises(ValueError, match="the state of another scene"):
        simulate(falling(3, seed=1, courant=0.3), path, resume=True)
    simulate(falling(3, gravity=(0.0, -1.0)), path, overwrite=True)
    assert len(fields(path)) == 3
    path.unlink()
    with pytest.raises(ValueError, match=r"run\.h5 is missing"):
        simulate(falling(3, gravity=(0.0, -1.0)), path, resume=True)
    (tmp_path / "mine.h5").write_bytes(b"something else")
    with pytest.raises(ValueError, match="so that it cannot be resumed"):
        simulate(falling(3), tmp_path / "mine.h5", resume=True)
    assert (tmp_path / "mine.h5").read_bytes() == b"something else"
    simulate(falling(3), tmp_path / "new.h5", resume=True)  # where nothing is, it begins


def test_mass_comes_in_with_time(tmp_path: Path) -> None:
    jet = Emitter(box((0.0, 0.5), (0.25, 0.75)), fluid(), (2.0, 0.0), until=0.3)
    scene = Scene([], emitters=[jet], cells=16, duration=0.4, frames=9, dtype=torch.float64)
    simulate(scene, tmp_path / "jet.h5")
    with h5py.File(tmp_path / "jet.h5") as file:
        mass = file["invariants/mass"][()]
    batch = 1000 * 0.25 * 0.25
    np.testing.assert_allclose(mass, batch * np.minimum(1 + np.floor(scene.times / 0.125 + 1e-9), 3), rtol=1e-3)


def test_it_becomes_lagrangebench_s_layout(tmp_path: Path) -> None:
    run = simulate(falling(), tmp_path / "run.h5")
    write_lagrangebench(open_dataset(run.path), tmp_path / "suite")
    suite = open_dataset(tmp_path / "suite")
    np.testing.assert_array_equal(suite.read(0)[..., :2], fields(run.path)[..., :2])
    assert suite.attributes["vel_std"] and suite.attributes["g_ext_magnitude"] == pytest.approx(9.81)
