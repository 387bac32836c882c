"""The solvers that are compared, all called as ``build(problem) -> Candidate``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ode_problems import Problem
from torch import Tensor
from turns import jax_on

from sciml.solvers import PIDController, RungeKutta, solve
from sciml.solvers.implicit.rosenbrock import Rosenbrock
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableaus.kvaerno5 import KVAERNO5
from sciml.solvers.implicit.tableaus.rodas5p import RODAS5P
from sciml.solvers.tableaus import DOPRI5, TSIT5, VERN7


@dataclass(frozen=True)
class Candidate:
    """Something that solves a problem.

    Attributes:
        name: as the table shows it.
        forward: returns the states (batch, time, dimension), of torch or of jax.
        train: forward and backward of the mean square of the end states; returns the gradient of the parameters, flat,
            or that of each.
    """

    name: str
    forward: Callable[[], Any]
    train: Callable[[], Any] | None = None


def ours(
    problem: Problem, tableau: Any = TSIT5, compiled: bool = False, build: Callable[..., Any] = RungeKutta
) -> Candidate:
    stepper = build(problem.field, tableau)
    controller = PIDController(problem.rtol, problem.atol)

    def states() -> Tensor:
        return solve(stepper, problem.y0, problem.ts, controller, compiled=compiled).ys

    kind = "compiled" if compiled else "eager"
    return Candidate(f"sciml {tableau.name} {kind}", torch.no_grad()(states), _training(problem, states))


def ours_joint(problem: Problem, tableau: Any = DOPRI5) -> Candidate:
    """One clock for the whole batch, as the peers' joint solves have: the batch is one sample's state."""
    stepper = RungeKutta(lambda t, y: problem.field(t, y[0])[None], tableau)
    controller = PIDController(problem.rtol, problem.atol)

    def states() -> Tensor:
        return solve(stepper, problem.y0[None], problem.ts, controller, compiled=True).ys[0].transpose(0, 1)

    return Candidate(f"sciml {tableau.name} compiled, joint", torch.no_grad()(states), _training(problem, states))


def torchdiffeq(problem: Problem, adjoint: bool = False) -> Candidate:
    from torchdiffeq import odeint, odeint_adjoint

    integrate = odeint_adjoint if adjoint else odeint

    def states() -> Tensor:
        ys = integrate(problem.field, problem.y0, problem.ts, rtol=problem.rtol, atol=problem.atol, method="dopri5")
        return ys.transpose(0, 1)

    name = "torchdiffeq dopri5" + (" adjoint" if adjoint else "")
    return Candidate(name, torch.no_grad()(states), _training(problem, states))


def torchode(problem: Problem, compiled: bool = False) -> Candidate:
    import torchode as to

    term = to.ODETerm(problem.field)
    controller = to.IntegralController(atol=problem.atol, rtol=problem.rtol, term=term)
    solver = to.AutoDiffAdjoint(to.Tsit5(term=term), controller, backprop_through_step_size_control=False)
    run = torch.compile(solver.solve) if compiled else solver.solve
    times = problem.ts.to(problem.y0.dtype).expand(len(problem.y0), -1).contiguous()

    def states() -> Tensor:
        return run(to.InitialValueProblem(y0=problem.y0, t_eval=times)).ys

    name = "torchode Tsit5" + (" compiled" if compiled else "")
    return Candidate(name, torch.no_grad()(states), _training(problem, states))


def diffrax(problem: Problem, per_sample: bool, solver: str = "Tsit5") -> Candidate:
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    jax_on(problem.y0.device)
    jax.config.update("jax_enable_x64", True)
    y0, ts = jnp.asarray(problem.y0.cpu().numpy()), jnp.asarray(problem.ts.cpu().numpy())
    controller = dx.PIDController(rtol=problem.rtol, atol=problem.atol)

    def one(start: Any, args: Any) -> Any:
        field = problem.jax_field if per_sample else _rowwise(problem.jax_field, jax)
        return dx.diffeqsolve(
            dx.ODETerm(lambda t, y, a: field(jnp, t, y, a)),
            getattr(dx, solver)(),
            ts[0],
            ts[-1],
            None,
            start,
            args,
            stepsize_controller=controller,
            saveat=dx.SaveAt(ts=ts),
            max_steps=16384,
        ).ys

    weights = None
    if problem.module is not None:
        weights = tuple(jnp.asarray(p.detach().cpu().numpy()) for p in problem.module.parameters())
    whole = jax.vmap(one, in_axes=(0, None)) if per_sample else lambda start, args: jnp.swapaxes(one(start, args), 0, 1)
    forward = jax.jit(whole)
    gradient = jax.jit(jax.grad(lambda args: jnp.mean(whole(y0, args)[:, -1] ** 2)))

    def states() -> Any:
        return jax.block_until_ready(forward(y0, weights))

    def train() -> Any:
        return jax.block_until_ready(gradient(weights))

    kind = "per sample" if per_sample else "joint"
    return Candidate(f"diffrax {solver} jit, {kind}", states, None if weights is None else train)


def _rowwise(field: Callable[..., Any], jax: Any) -> Callable[..., Any]:
    """A field of one sample as one of the batch, for a joint solve."""
    return lambda np, t, y, args: jax.vmap(lambda row: field(np, t, row, args))(y)


def _training(problem: Problem, states: Callable[[], Tensor]) -> Callable[[], Tensor] | None:
    module = problem.module
    if module is None:
        return None

    def train() -> Tensor:
        gradients = torch.autograd.grad(states()[:, -1].square().mean(), list(module.parameters()))
        return torch.cat([part.flatten() for part in gradients])

    return train


def scipy_radau(problem: Problem, rtol: float | None = None) -> Candidate:
    """One sample after the other."""
    from scipy.integrate import solve_ivp

    rtol = rtol or problem.rtol
    tolerances = {"rtol": rtol, "atol": problem.atol * rtol / problem.rtol}

    def one(y0: Tensor) -> Tensor:
        def field(t: float, y: Any) -> Any:
            return problem.jax_field(np, t, y, None)

        ts = problem.ts.cpu().numpy()
        return torch.tensor(solve_ivp(field, (ts[0], ts[-1]), y0.numpy(), method="Radau", t_eval=ts, **tolerances).y.T)

    return Candidate("scipy Radau, one by one", lambda: torch.stack([one(y0) for y0 in problem.y0.cpu()]))


def stiff_builders(problem: Problem) -> dict[str, Callable[[], Candidate]]:
    """What can solve a stiff problem."""
    return {
        "ours rodas5p": lambda: ours(problem, RODAS5P, build=Rosenbrock),
        "ours rodas5p compiled": lambda: ours(problem, RODAS5P, compiled=True, build=Rosenbrock),
        "ours kvaerno5": lambda: ours(problem, KVAERNO5, build=ImplicitRungeKutta),
        "diffrax kvaerno5": lambda: diffrax(problem, per_sample=True, solver="Kvaerno5"),
        "scipy radau": lambda: scipy_radau(problem),
    }


def builders(problem: Problem) -> dict[str, Callable[[], Candidate]]:
    """Everything that can solve the problem, by name."""
    if problem.stiff:
        return stiff_builders(problem)
    found: dict[str, Callable[[], Candidate]] = {
        "ours": lambda: ours(problem),
        "ours dopri5": lambda: ours(problem, DOPRI5),
        "ours vern7": lambda: ours(problem, VERN7),
        "ours compiled": lambda: ours(problem, compiled=True),
        "ours compiled dopri5": lambda: ours(problem, DOPRI5, compiled=True),
        "ours compiled vern7": lambda: ours(problem, VERN7, compiled=True),
        "ours joint": lambda: ours_joint(problem),
        "torchdiffeq": lambda: torchdiffeq(problem),
        "torchode": lambda: torchode(problem),
        "torchode compiled": lambda: torchode(problem, compiled=True),
        "diffrax joint": lambda: diffrax(problem, per_sample=False),
        "diffrax per sample": lambda: diffrax(problem, per_sample=True),
    }
    if len(problem.y0) == 1:
        del found["ours joint"]  # a single trajectory has a clock of its own anyway
    if problem.module is not None:
        found["torchdiffeq adjoint"] = lambda: torchdiffeq(problem, adjoint=True)
    return found


def as_tensor(found: Any) -> Tensor:
    """A result of any package in the processor's memory; one of several parts flat, one part after the other."""
    if isinstance(found, (list, tuple)):
        return torch.cat([as_tensor(part).flatten() for part in found])
    return found.detach().cpu() if isinstance(found, Tensor) else torch.from_numpy(np.array(found))


def relative(found: Tensor, exact: Tensor) -> float:
    """Largest error over the largest value."""
    if found.shape != exact.shape:
        return math.nan
    return float((found.double() - exact.double()).abs().max() / exact.double().abs().max())
