"""SDEs with known solutions along a path, and the one list of all SDE steppers that every sweep goes over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from sciml.solvers import FixedStep, Stepper, solve
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.reversible_heun import ReversibleHeunSDE
from sciml.solvers.stochastic.schemes import (
    EULER_HEUN,
    EULER_MARUYAMA,
    MILSTEIN,
    MILSTEIN_PLATEN,
    SOSRA,
    SOSRI,
    SOSRI2,
    SRA1,
    SRIW1,
    STOCHASTIC_HEUN,
    STOCHASTIC_MIDPOINT,
)
from sciml.solvers.stochastic.sde import SDE, Calculus, Noise
from sciml.solvers.stochastic.sde_stepper import SDEScheme, SDEStepper

FLOAT = torch.float64
FINEST = 2.0**-9  # step of reference solutions


@dataclass(frozen=True)
class SDEProblem:
    """An SDE on [0, 1] that can be written in either calculus.

    Attributes:
        sde: made for a calculus.
        y0: (batch, state).
        noise: channels of the path.
        end: the solution at time 1 along a path, in terms of W(1) or from a fine solve.
        cell: of the path; steps are multiples of it.
    """

    name: str
    sde: Callable[[Calculus], SDE]
    y0: Tensor
    noise: int
    end: Callable[[BrownianPath], Tensor]
    cell: float = 2.0**-5

    def path(self, seed: int = 5) -> BrownianPath:
        return BrownianPath(seed, (len(self.y0), self.noise), self.cell, dtype=FLOAT)


def end_of_path(path: BrownianPath) -> Tensor:
    """W(1), (batch, noise)."""
    return path(torch.zeros(path.shape[0], dtype=FLOAT), torch.ones(path.shape[0], dtype=FLOAT)).w


def _times(factor: tuple[float, float], y: Tensor) -> Tensor:
    """The product of complex numbers; as real matrices, those of two factors commute."""
    return torch.stack([factor[0] * y[:, 0] - factor[1] * y[:, 1], factor[1] * y[:, 0] + factor[0] * y[:, 1]], dim=1)


def _linear(factors: tuple[tuple[float, float], ...], noise: Noise, calculus: Calculus) -> SDE:
    """dy = rate y dt + sum_j factor_j y o dW_j, with complex rate and factors."""
    rate = complex(-0.3, 0.8)
    if calculus is Calculus.ITO:
        rate += 0.5 * sum(complex(*factor) ** 2 for factor in factors)
    return SDE(
        lambda t, y: _times((rate.real, rate.imag), y),
        lambda t, y: torch.stack([_times(factor, y) for factor in factors], dim=-1),
        noise,
        calculus,
    )


def _linear_end(factors: tuple[tuple[float, float], ...], y0: Tensor, path: BrownianPath) -> Tensor:
    exponents = end_of_path(path).to(torch.complex128) @ torch.tensor(
        [complex(*factor) for factor in factors], dtype=torch.complex128
    )
    solution = torch.exp(complex(-0.3, 0.8) + exponents) * torch.complex(y0[:, 0], y0[:, 1])
    return torch.stack([solution.real, solution.imag], dim=1)


def _sine(calculus: Calculus) -> SDE:
    """y = arctan(W + tan y0): Kloeden, Platen (1992), eq. 4.4.18 with a = 1 and the sign of W turned."""
    ito = 1.0 if calculus is Calculus.ITO else 0.0
    return SDE(lambda t, y: -ito * y.sin() * y.cos() ** 3, lambda t, y: y.cos() ** 2, Noise.DIAGONAL, calculus)


def _geometric(calculus: Calculus) -> SDE:
    rate = 0.1 + (0.125 if calculus is Calculus.ITO else 0.0)
    return SDE(lambda t, y: rate * y, lambda t, y: 0.5 * y, Noise.DIAGONAL, calculus)


def _additive(calculus: Calculus) -> SDE:
    mixing = torch.tensor([[0.5, 0.2], [0.0, 0.4]], dtype=FLOAT)
    return SDE(
        lambda t, y: torch.stack([y[:, 1].sin(), torch.cos(t) - y[:, 0] * y[:, 1]], dim=1),
        lambda t, y: torch.cos(t)[:, None, None] * mixing,
        Noise.ADDITIVE,
        calculus,
    )


def _rolling(calculus: Calculus) -> SDE:
    """The columns do not commute; each is constant along itself, so that both calculi have the same drift."""
    return SDE(
        lambda t, y: torch.stack([-y[:, 1], y[:, 0]], dim=1),
        lambda t, y: torch.stack(
            [
                torch.stack([torch.ones_like(t), torch.zeros_like(t)], dim=1),
                torch.stack([torch.zeros_like(t), y[:, 0]], dim=1),
            ],
            dim=-1,
        ),
        Noise.GENERAL,
        calculus,
    )


@cache
def _reference(name: str) -> Tensor:
    """The end state of a solve that steps through every cell of the path."""
    problem, scheme = (ADDITIVE, SRA1) if name == "additive" else (GENERAL, STOCHASTIC_HEUN)
    stepper = SDEStepper(problem.sde(Calculus.STRATONOVICH), problem.path(), scheme)
    return solve(stepper, problem.y0, torch.tensor([0.0, 1.0], dtype=FLOAT), FixedStep(FINEST)).ys[:, -1]


_SAMPLES = 500
_PAIR = torch.tensor([[1.0, 0.5]], dtype=FLOAT).repeat(_SAMPLES, 1)
_ONE, _TWO = ((0.3, 0.5),), ((0.3, 0.5), (-0.4, 0.2))
GEOMETRIC = SDEProblem("geometric", _geometric, _PAIR, 2, lambda path: _PAIR * torch.exp(0.1 + 0.5 * end_of_path(path)))
SINE = SDEProblem("sine", _sine, _PAIR, 2, lambda path: torch.arctan(end_of_path(path) + _PAIR.tan()))
SCALAR = SDEProblem(
    "scalar", partial(_linear, _ONE, Noise.SCALAR), _PAIR, 1, lambda path: _linear_end(_ONE, _PAIR, path)
)
COMMUTATIVE = SDEProblem(
    "commutative", partial(_linear, _TWO, Noise.COMMUTATIVE), _PAIR, 2, lambda path: _linear_end(_TWO, _PAIR, path)
)
ADDITIVE = SDEProblem("additive", _additive, _PAIR, 2, lambda path: _reference("additive"), FINEST)
GENERAL = SDEProblem("general", _rolling, _PAIR, 2, lambda path: _reference("general"), FINEST)
SDE_PROBLEMS = {
    Noise.DIAGONAL: (GEOMETRIC, SINE),
    Noise.SCALAR: (SCALAR,),
    Noise.COMMUTATIVE: (COMMUTATIVE,),
    Noise.ADDITIVE: (ADDITIVE,),
    Noise.GENERAL: (GENERAL,),
}


@dataclass(frozen=True)
class SDECase:
    """A stepper for any SDE of one calculus and path."""

    name: str
    calculus: Calculus
    kinds: tuple[Noise, ...]
    build: Callable[[SDE, BrownianPath], Stepper]

    def problems(self) -> tuple[SDEProblem, ...]:
        return tuple(problem for kind in self.kinds for problem in SDE_PROBLEMS[kind])


def _case(scheme: SDEScheme, calculus: Calculus | None = None) -> SDECase:
    chosen = calculus or scheme.calculus or Calculus.ITO
    return SDECase(
        f"{scheme.name} ({chosen.value})", chosen, tuple(scheme.orders), lambda sde, path: SDEStepper(sde, path, scheme)
    )


SDE_STEPPERS = (
    _case(EULER_MARUYAMA),
    _case(MILSTEIN, Calculus.ITO),
    _case(MILSTEIN, Calculus.STRATONOVICH),
    _case(MILSTEIN_PLATEN, Calculus.ITO),
    _case(MILSTEIN_PLATEN, Calculus.STRATONOVICH),
    _case(EULER_HEUN),
    _case(STOCHASTIC_HEUN),
    _case(STOCHASTIC_MIDPOINT),
    _case(SRA1),
    _case(SOSRA),
    _case(SRIW1),
    _case(SOSRI),
    _case(SOSRI2),
    SDECase("reversible Heun", Calculus.STRATONOVICH, tuple(Noise), ReversibleHeunSDE),
)
