"""What the families of compressible gas share: their solver, their restriction and their laws."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from sciml.generation.family import Batch, Invariant, Restriction, Scheme
from sciml.generation.grid import Grid
from sciml.solvers.equations.euler import Euler
from sciml.solvers.finite_volume import outflow, periodic
from sciml.solvers.ideal_gas import per_sample, to_conserved, to_primitive

_BOUNDARIES = {"periodic": periodic, "open": outflow}
_CFL = 0.4


def gas_scheme(grid: Grid, batch: Batch, dt: float) -> Scheme:
    """Second order finite volumes; the solver chooses its own substeps."""
    gamma = batch.parameters["gamma"]
    stepper = Euler(list(grid.spacing), gamma=gamma, boundary=_BOUNDARIES[grid.domain.boundary], cfl=_CFL)

    def observe(y: Tensor, restrict: Restriction) -> Tensor:
        # Cells are merged in the conserved variables, so that the stored fields conserve what the solver conserves.
        return to_primitive(restrict(to_conserved(y, gamma)), gamma)

    return Scheme(stepper=stepper, y0=batch.u, observe=observe)


def _mass(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0]


def _momentum_x(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0] * u[:, :, 1]


def _momentum_y(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0] * u[:, :, 2]


def _energy(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    gamma = per_sample(parameters["gamma"], u[:, :, 0])
    return u[:, :, -1] / (gamma - 1) + 0.5 * u[:, :, 0] * u[:, :, 1:-1].square().sum(dim=2)


PERIODIC_LAWS_2D = (
    Invariant("mass", _mass),
    Invariant("momentum_x", _momentum_x),
    Invariant("momentum_y", _momentum_y),
    Invariant("total_energy", _energy),
)
