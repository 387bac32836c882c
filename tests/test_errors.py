"""Errors that carry more than a message cross from one process to another, as they must from workers of a pool."""

import pickle
from typing import Any

import pytest
import torch

from sciml.datasets.errors import DatasetError
from sciml.solvers.adjoint.steady_state import NotAtRest, SteadyState
from sciml.solvers.linear import CG, LinearSolveError, diffusion_matrix
from sciml.solvers.material_point.failure import SimulationError
from sciml.solvers.pid import PIDController
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solution import SolveError
from sciml.solvers.solve import solve
from sciml.solvers.tableaus import TSIT5
from sciml.tensor_file import CheckpointError


def unsolved() -> Exception:
    stepper, controller = RungeKutta(lambda t, y: -y, TSIT5), PIDController(rtol=1e-6, atol=1e-6)
    with pytest.raises(SolveError) as raised:
        solve(stepper, torch.ones(2, 1), torch.linspace(0, 1, 3), controller, max_steps=1)
    return raised.value


def unsolved_system() -> Exception:
    with pytest.raises(LinearSolveError) as raised:
        CG()(diffusion_matrix(torch.ones(1, 5), spacing=1.0), torch.full((1, 5), torch.nan))
    return raised.value


ERRORS: dict[str, Any] = {
    "data": lambda: DatasetError("a.h5", "has no time.", where="/u", remedy="Write one."),
    "checkpoint": lambda: CheckpointError("a.safetensors", "is empty"),
    "solve": unsolved,
    "linear system": unsolved_system,
    "simulation": lambda: SimulationError("left the grid", 1, torch.tensor([3, 4])),
    "rest": lambda: NotAtRest(
        SteadyState(torch.ones(1, 2), torch.ones(1), torch.ones(1), torch.tensor([False])), 1.0, 1e-3
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_survive_the_way(name: str) -> None:
    error = ERRORS[name]()
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error) and str(found) == str(error)
    assert found.__dict__.keys() == error.__dict__.keys() != set()
