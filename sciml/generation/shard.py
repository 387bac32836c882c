"""Making one shard: the pure function that every executor, here or on a cluster, calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sciml.datasets.header import Trajectory
from sciml.generation.errors import GenerationError
from sciml.generation.family import Batch, Initial, Scheme
from sciml.generation.randomness import trajectory_generator
from sciml.generation.recipe import DTYPES, Recipe
from sciml.generation.verification import violations
from sciml.solvers.controller import FixedStep
from sciml.solvers.material_point.failure import SimulationError
from sciml.solvers.solve import solve
from sciml.solvers.state import State, all_finite


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Finished trajectories.

    Attributes:
        index: the shard's number.
        trajectories: those of ``Recipe.members(index)``, in order.
        violations: the largest violation of each of the family's laws.
    """

    index: int
    trajectories: tuple[Trajectory, ...]
    violations: Mapping[str, float]

    @property
    def size(self) -> int:
        """Bytes of its fields."""
        fields = [field for own in self.trajectories for field in (own.u, own.static) if field is not None]
        return sum(field.nbytes for field in fields)


def make_shard(recipe: Recipe, index: int) -> Shard:
    """Draw and step the trajectories of a shard.

    The result depends on the arguments alone, and not on the thread count of the caller: reductions and transforms
    run on one thread.

    Raises:
        GenerationError: a trajectory does not stay finite.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return _make_shard(recipe, index)
    finally:
        torch.set_num_threads(threads)


def _make_shard(recipe: Recipe, index: int) -> Shard:
    members = recipe.members(index)
    parameters = [recipe.parameters_of(member) for member in members]
    grid = recipe.grid.refined(recipe.supersample)
    starts = [
        recipe.family.sample(trajectory_generator(recipe.seed, member), grid, own)
        for member, own in zip(members, parameters)
    ]
    batch = _batch(recipe, starts, parameters)
    u = _roll_out(recipe, recipe.family.scheme(grid, batch, recipe.dt), members)
    static = None if batch.static is None else _restricted(recipe, batch.static).cpu()
    trajectories = tuple(
        Trajectory(
            u=u[k].numpy(),
            static=None if static is None else static[k].numpy(),
            parameters=own | dict(start.recorded),
            split=recipe.split_of(member),
        )
        for k, (member, own, start) in enumerate(zip(members, parameters, starts))
    )
    laws = recipe.family.invariants
    found = violations(laws, _together(u, static), _side_by_side(parameters, torch.float64, "cpu")) if laws else {}
    return Shard(index=index, trajectories=trajectories, violations=found)


def _together(u: Tensor, static: Tensor | None) -> Tensor:
    """All channels along time."""
    if static is None:
        return u
    return torch.cat([u, static[:, None].expand(-1, u.shape[1], *static.shape[1:])], dim=2)


def _batch(recipe: Recipe, starts: list[Initial], parameters: list[dict[str, float]]) -> Batch:
    """The drawn states side by side, in the solver's dtype and on its device."""
    dtype, device = DTYPES[recipe.dtype], recipe.device
    statics = [start.static for start in starts if start.static is not None]
    return Batch(
        u=torch.stack([start.u for start in starts]).to(device, dtype),
        static=torch.stack(statics).to(device, dtype) if statics else None,
        parameters=_side_by_side(parameters, dtype, device),
    )


def _side_by_side(parameters: list[dict[str, float]], dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    return {name: torch.tensor([own[name] for own in parameters], dtype=dtype, device=device) for name in parameters[0]}


def _roll_out(recipe: Recipe, scheme: Scheme, members: range) -> Tensor:
    """Every frame at the stored resolution, (trajectory, time, channel, *space) or (..., node, channel), on the CPU.

    Frame by frame, so that no more than one state of the finer grid is kept, each with a clock of its own, so that all
    steps are of one length to the last bit.
    """
    y, frames = scheme.y0, []
    for k in range(recipe.frames):
        if k > 0:
            y = _stepped(recipe, members, scheme, y, k)
        frames.append(scheme.observe(y, partial(_restricted, recipe)).cpu())
        valid = recipe.family.is_valid(frames[-1]) & all_finite(y).cpu()
        if not bool(valid.all()):
            raise _broken(recipe, members[int((~valid).nonzero()[0])], k)
    return torch.stack(frames, dim=1)


def _stepped(recipe: Recipe, members: range, scheme: Scheme, y: State, k: int) -> State:
    """The state at frame ``k``."""
    frame = torch.tensor([0.0, recipe.dt], dtype=torch.float64, device=recipe.device)
    try:
        return solve(scheme.stepper, y, frame, FixedStep(recipe.dt)).y_end
    except SimulationError as reason:
        raise GenerationError(f"{_named(recipe, members[reason.sample])} broke down: {reason}") from None


def _restricted(recipe: Recipe, field: Tensor) -> Tensor:
    return recipe.family.restrict(field, recipe.supersample, recipe.family.domain.dimensions)


def _broken(recipe: Recipe, member: int, frame: int) -> GenerationError:
    return GenerationError(
        f"{_named(recipe, member)} broke down by t = "
        f"{frame * recipe.dt:.6g}: NaN, infinity, or a value that cannot be. Refine the solver's grid (supersample="
        f"{2 * recipe.supersample}), or keep the parameters away from these. Nothing of its shard was written."
    )


def _named(recipe: Recipe, member: int) -> str:
    own = ", ".join(f"{name} = {value:.6g}" for name, value in recipe.parameters_of(member).items())
    return f"Trajectory {member} of {recipe.family.name} ({own}; seed {recipe.seed})"
