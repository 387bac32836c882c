"""What SDEs and their schemes promise beside convergence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers import FixedStep, PIDController, Solution, StepDoubling, solve
from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.adjoint.reversible import ReversibleAdjoint
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.reversible_heun import ReversibleHeunSDE
from sciml.solvers.stochastic.schemes import (
    EULER_MARUYAMA,
    MILSTEIN,
    SOSRA,
    SOSRI,
    SRA1,
    SRIW1,
    STOCHASTIC_HEUN,
)
from sciml.solvers.stochastic.schemes.sra import SOSRA_TABLEAU, SRA1_TABLEAU, SRATableau
from sciml.solvers.stochastic.schemes.sri import SOSRI2_TABLEAU, SOSRI_TABLEAU, SRIW1_TABLEAU, SRITableau
from sciml.solvers.stochastic.sde import SDE, Calculus, Noise, derivative_along
from sciml.solvers.stochastic.sde_stepper import SDEScheme, SDEStepper
from tests.sde_problems import COMMUTATIVE, GEOMETRIC, SCALAR, SDEProblem

FLOAT = torch.float64
SPAN = torch.tensor([0.0, 1.0], dtype=FLOAT)


def sde(noise: Noise, calculus: Calculus) -> SDE:
    return SDE(lambda t, y: -y, lambda t, y: y, noise, calculus)


@pytest.mark.parametrize(
    ("scheme", "noise", "calculus", "advice"),
    [
        (EULER_MARUYAMA, Noise.DIAGONAL, Calculus.STRATONOVICH, "to_ito.*STOCHASTIC_HEUN"),
        (STOCHASTIC_HEUN, Noise.DIAGONAL, Calculus.ITO, "to_stratonovich.*SRIW1"),
        (SRIW1, Noise.GENERAL, Calculus.ITO, "diagonal, scalar noise, got general. Use EULER_MARUYAMA"),
        (SRIW1, Noise.ADDITIVE, Calculus.ITO, "Use SRA1"),
        (SRA1, Noise.DIAGONAL, Calculus.ITO, "additive noise, got diagonal. Use SRIW1"),
        (MILSTEIN, Noise.GENERAL, Calculus.STRATONOVICH, "Use EULER_MARUYAMA .* or STOCHASTIC_HEUN"),
    ],
)
def test_unsound_combinations_are_refused_with_the_way_out(
    scheme: SDEScheme, noise: Noise, calculus: Calculus, advice: str
) -> None:
    with pytest.raises(ValueError, match=advice):
        SDEStepper(sde(noise, calculus), BrownianPath(0, (2, 1), 0.1), scheme)


def test_reversible_heun_refuses_ito() -> None:
    with pytest.raises(ValueError, match="to_stratonovich"):
        ReversibleHeunSDE(sde(Noise.DIAGONAL, Calculus.ITO), BrownianPath(0, (2, 1), 0.1))


def test_additive_noise_has_no_calculus() -> None:
    for calculus in Calculus:
        for scheme in (EULER_MARUYAMA, STOCHASTIC_HEUN, SRA1):
            SDEStepper(sde(Noise.ADDITIVE, calculus), BrownianPath(0, (2, 1), 0.1), scheme)


@pytest.mark.parametrize(
    ("diffusion", "noise", "channels", "message"),
    [
        (lambda t, y: y, Noise.DIAGONAL, 2, "y's shape \\(4, 3\\)"),
        (lambda t, y: y[..., None].expand(4, 3, 2), Noise.GENERAL, 3, "path of shape \\(batch, noise\\)"),
        (lambda t, y: y[:, :2, None], Noise.GENERAL, 1, "matrix diffusion of shape \\(4, 3, 'noise'\\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(diffusion: object, noise: Noise, channels: int, message: str) -> None:
    equation = SDE(lambda t, y: -y, diffusion, noise, Calculus.ITO)  # type: ignore[arg-type]
    stepper = SDEStepper(equation, BrownianPath(0, (4, channels), 0.1, dtype=FLOAT), EULER_MARUYAMA)
    with pytest.raises(ValueError, match=message):
        solve(stepper, torch.ones(4, 3, dtype=FLOAT), SPAN, FixedStep(0.1))


@pytest.mark.parametrize("problem", [GEOMETRIC, SCALAR, COMMUTATIVE], ids=lambda problem: problem.name)
def test_conversion_between_calculi_changes_the_drift_as_known(problem: SDEProblem) -> None:
    t, y = (
        torch.full((5,), 0.3, dtype=FLOAT),
        torch.randn(5, 2, dtype=FLOAT, generator=torch.Generator().manual_seed(0)),
    )
    ito, stratonovich = problem.sde(Calculus.ITO), problem.sde(Calculus.STRATONOVICH)
    torch.testing.assert_close(ito.to_stratonovich().drift(t, y), stratonovich.drift(t, y))
    torch.testing.assert_close(stratonovich.to_ito().drift(t, y), ito.drift(t, y))
    assert ito.to_stratonovich().calculus is Calculus.STRATONOVICH


def test_stages_are_evaluated_once() -> None:
    calls = {"drift": 0, "diffusion": 0}

    def drift(t: Tensor, y: Tensor) -> Tensor:
        calls["drift"] += 1
        return -y

    def diffusion(t: Tensor, y: Tensor) -> Tensor:
        calls["diffusion"] += 1
        return 0.1 * y

    equation = SDE(drift, diffusion, Noise.DIAGONAL, Calculus.ITO)
    for scheme, drifts, diffusions in ((SRIW1, 2, 4), (SOSRI, 4, 4)):
        calls.update(drift=0, diffusion=0)
        stepper = SDEStepper(equation, BrownianPath(0, (2, 1), 0.1, dtype=FLOAT), scheme)
        solution = solve(stepper, torch.ones(2, 1, dtype=FLOAT), SPAN, FixedStep(0.1))
        assert calls == {"drift": 10 * drifts, "diffusion": 10 * diffusions}
        assert solution.statistics.evaluations.tolist() == [10 * max(drifts, diffusions)] * 2


@pytest.mark.parametrize("tableau", [SRA1_TABLEAU, SOSRA_TABLEAU], ids=["SRA1", "SOSRA"])
def test_conditions_for_order_three_halves_with_additive_noise(tableau: SRATableau) -> None:
    """Roessler (2010), theorem 6.2."""
    stages = len(tableau.alpha)
    a0, b0 = (_square(rows, stages) for rows in (tableau.a0, tableau.b0))
    alpha, beta1, beta2, c1 = map(_vector, (tableau.alpha, tableau.beta1, tableau.beta2, tableau.c1))
    one = torch.ones(stages, dtype=FLOAT)
    torch.testing.assert_close(a0 @ one, _vector(tableau.c0), rtol=0, atol=1e-12)
    _assert_all(
        (alpha.sum(), 1),
        (beta1.sum(), 1),
        (beta2.sum(), 0),
        (alpha @ b0 @ one, 1),
        (alpha @ a0 @ one, 1 / 2),
        (alpha @ (b0 @ one) ** 2, 3 / 2),
        (beta1 @ c1, 1),
        (beta2 @ c1, -1),
    )


@pytest.mark.parametrize("tableau", [SRIW1_TABLEAU, SOSRI_TABLEAU, SOSRI2_TABLEAU], ids=["SRIW1", "SOSRI", "SOSRI2"])
def test_conditions_for_order_three_halves_with_diagonal_noise(tableau: SRITableau) -> None:
    """Roessler (2010), theorem 6.1, with the places that ``beta1 .. beta4`` have there as rows."""
    stages = len(tableau.beta1)
    a0, b0 = (_square(rows, stages) for rows in (tableau.a0, tableau.b0))
    a1, b1 = (_square(rows, stages) for rows in (tableau.a1, tableau.b1))
    alpha = _vector((*tableau.alpha, *[0.0] * (stages - len(tableau.alpha))))
    beta = torch.stack([_vector(row) for row in (tableau.beta1, tableau.beta2, tableau.beta3, tableau.beta4)])
    one = torch.ones(stages, dtype=FLOAT)
    torch.testing.assert_close(a1 @ one, _vector(tableau.c1), rtol=0, atol=1e-12)
    _assert_all(
        (alpha.sum(), 1),
        (alpha @ a0 @ one, 1 / 2),
        (alpha @ b0 @ one, 1),
        (alpha @ (b0 @ one) ** 2, 3 / 2),
        (beta.sum(dim=1), [1, 0, 0, 0]),
        (beta @ b1 @ one, [0, 1, 0, 0]),
        (beta @ a1 @ one, [1, 0, -1, 0]),
        (beta @ (b1 @ one) ** 2, [1, 0, -1, 2]),
        (beta @ b1 @ b1 @ one, [0, 0, 0, 1]),
        ((beta[0] / 2 + beta[2] / 3) @ a1 @ b0 @ one, 0),
    )


def _assert_all(*conditions: tuple[Tensor, object]) -> None:
    for value, expected in conditions:
        torch.testing.assert_close(value, torch.tensor(expected, dtype=FLOAT), rtol=0, atol=1e-7)


def _vector(row: tuple[float, ...]) -> Tensor:
    return torch.tensor(row, dtype=FLOAT)


def _square(rows: tuple[tuple[float, ...], ...], size: int) -> Tensor:
    full = [(*row, *[0.0] * (size - len(row))) for row in rows]
    return torch.tensor([*full, *[[0.0] * size] * (size - len(full))], dtype=FLOAT)


class Network(nn.Module):
    """A small SDE with parameters."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.drift_weight = nn.Parameter(torch.randn(2, 2, dtype=FLOAT, generator=generator))
        self.diffusion_weight = nn.Parameter(0.5 * torch.randn(2, dtype=FLOAT, generator=generator))

    def drift(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y @ self.drift_weight) * torch.cos(t)[:, None]

    def diffusion(self, t: Tensor, y: Tensor) -> Tensor:
        return self.diffusion_weight * torch.cos(y)


@pytest.mark.parametrize("adjoint", [ReversibleAdjoint(), RecursiveCheckpoint(3)], ids=["reversible", "checkpoint"])
@pytest.mark.parametrize("controller", [FixedStep(0.07), PIDController(1e-2, 1e-2)], ids=["fixed", "adaptive"])
def test_adjoints_of_reversible_heun_give_the_direct_gradient(adjoint: object, controller: object) -> None:
    network = Network()
    equation = SDE(network.drift, network.diffusion, Noise.DIAGONAL, Calculus.STRATONOVICH)
    stepper = ReversibleHeunSDE(equation, BrownianPath(1, (3, 2), 0.07, dtype=FLOAT))
    y0 = torch.linspace(-1, 1, 6, dtype=FLOAT).reshape(3, 2).requires_grad_()
    ts = torch.tensor([0.0, 0.4, 1.0], dtype=FLOAT)
    gradients = []
    for chosen in ({}, {"adjoint": adjoint}):
        solution = solve(stepper, y0, ts, controller, **chosen)  # type: ignore[arg-type]
        gradients.append(torch.autograd.grad(solution.ys.square().sum(), [y0, *network.parameters()]))
    for direct, other in zip(*gradients, strict=True):
        torch.testing.assert_close(direct, other, rtol=1e-8, atol=1e-10)


def test_reversible_heun_undoes_its_steps() -> None:
    network = Network()
    equation = SDE(network.drift, network.diffusion, Noise.DIAGONAL, Calculus.STRATONOVICH)
    stepper = ReversibleHeunSDE(equation, BrownianPath(1, (3, 2), 0.1, dtype=FLOAT))
    y = torch.linspace(-1, 1, 6, dtype=FLOAT).reshape(3, 2)
    t, dt = torch.zeros(3, dtype=FLOAT), torch.tensor([0.1, 0.03, 0.25], dtype=FLOAT)
    reuse = stepper.start(t, y)
    trace = []
    for _ in range(20):
        trace.append((t, y, reuse))
        step = stepper(t, dt, y, reuse)
        t, y, reuse = t + dt, step.y, step.reuse
    for t_known, y_known, reuse_known in reversed(trace):
        y, reuse = stepper.reverse(t_known, dt, y, reuse)
        torch.testing.assert_close(y, y_known, rtol=0, atol=1e-12)
        torch.testing.assert_close(reuse.y, reuse_known.y, rtol=0, atol=1e-12)


def test_arguments_reach_drift_and_diffusion() -> None:
    rate = torch.tensor(0.4, dtype=FLOAT, requires_grad=True)
    open_sde = SDE(lambda t, y, r: -r * y, lambda t, y, r: r * torch.cos(y), Noise.DIAGONAL)
    closed = SDE(lambda t, y: -rate * y, lambda t, y: rate * torch.cos(y), Noise.DIAGONAL)
    path = BrownianPath(1, (3, 2), 0.1, dtype=FLOAT)
    y0 = torch.ones(3, 2, dtype=FLOAT)
    ends = [
        solve(SDEStepper(open_sde, path, SRIW1), y0, SPAN, FixedStep(0.1), args=(rate,)).ys,
        solve(SDEStepper(closed, path, SRIW1), y0, SPAN, FixedStep(0.1)).ys,
    ]
    assert torch.equal(*ends)
    gradients = [torch.autograd.grad(ys.sum(), rate)[0] for ys in ends]
    torch.testing.assert_close(*gradients)


def test_solves_can_be_mapped_and_differentiated_by_torch_func() -> None:
    network = Network()
    equation = SDE(network.drift, network.diffusion, Noise.DIAGONAL, Calculus.STRATONOVICH)
    stepper = SDEStepper(equation, BrownianPath(1, (3, 2), 0.25, dtype=FLOAT), STOCHASTIC_HEUN)

    def end(y: Tensor) -> Tensor:
        return solve(stepper, y, SPAN, FixedStep(0.25)).ys[:, -1]

    y0 = torch.linspace(-1, 1, 6, dtype=FLOAT).reshape(3, 2)
    mapped = torch.func.vmap(end)(torch.stack([y0, 2 * y0]))
    torch.testing.assert_close(mapped, torch.stack([end(y0), end(2 * y0)]))
    tangent = torch.ones_like(y0)
    forwards = torch.func.jvp(end, (y0,), (tangent,))[1].sum()
    torch.testing.assert_close(forwards, torch.func.grad(lambda y: end(y).sum())(y0).sum())


def adaptive(equation: SDE, scheme: SDEScheme, y0: float, batch: int, tolerance: float) -> Solution:
    path = BrownianPath(11, (batch, 1), 0.25, levels=14, dtype=FLOAT)
    stepper = SDEStepper(equation, path, scheme)
    chosen = stepper if scheme.error_order is not None else StepDoubling(stepper)
    return solve(chosen, torch.full((batch, 1), y0, dtype=FLOAT), SPAN, PIDController(rtol=0, atol=tolerance))


@pytest.mark.parametrize("scheme", [SRIW1, MILSTEIN, STOCHASTIC_HEUN], ids=lambda scheme: scheme.name)
def test_adaptive_steps_keep_the_law_of_geometric_brownian_motion(scheme: SDEScheme) -> None:
    """log y(1) is normal; lengths chosen by looking at the noise must not shift it."""
    batch, rate, volatility = 2000, 0.1, 0.7
    calculus = scheme.calculus or Calculus.ITO
    equation = SDE(lambda t, y: rate * y, lambda t, y: volatility * y, Noise.DIAGONAL, calculus)
    solution = adaptive(equation, scheme, 1.0, batch, 0.03)
    log = solution.ys[:, -1, 0].log()
    drift = rate - (0.5 * volatility**2 if calculus is Calculus.ITO else 0.0)
    assert int(solution.statistics.rejected.sum()) > batch // 20  # lengths do depend on the noise
    assert abs(float(log.mean()) - drift) < 4 * volatility / batch**0.5
    assert abs(float(log.std()) / volatility - 1) < 4 / (2 * batch) ** 0.5 + 0.01


@pytest.mark.parametrize("scheme", [SRA1, SOSRA], ids=lambda scheme: scheme.name)
def test_adaptive_steps_keep_the_law_of_ornstein_uhlenbeck(scheme: SDEScheme) -> None:
    batch, rate, volatility = 2000, 2.0, 0.8
    equation = SDE(lambda t, y: -rate * y, lambda t, y: torch.full_like(y, volatility), Noise.ADDITIVE, Calculus.ITO)
    solution = adaptive(equation, scheme, 1.5, batch, 0.02)
    y = solution.ys[:, -1, 0]
    deviation = volatility * ((1 - torch.exp(torch.tensor(-2 * rate))) / (2 * rate)).sqrt()
    assert abs(float(y.mean()) - 1.5 * float(torch.exp(torch.tensor(-rate)))) < 4 * deviation / batch**0.5 + 2e-3
    assert abs(float(y.std() / deviation) - 1) < 4 / (2 * batch) ** 0.5 + 0.01


class _Sine(torch.autograd.Function):
    """Written before forward differentiation and vmap."""

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return torch.sin(y)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return gradient * torch.cos(y)


class _NewSine(_Sine):
    """Written for vmap, without forward differentiation."""

    @staticmethod
    def forward(y: Tensor) -> Tensor:  # type: ignore[override]
        return torch.sin(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)


@pytest.mark.parametrize("sine", [_Sine.apply, _NewSine.apply], ids=["old", "new"])
@pytest.mark.parametrize("matrix", [False, True], ids=["diagonal", "matrix"])
def test_derivatives_of_custom_autograd_functions(sine: Callable[[Tensor], Tensor], matrix: bool) -> None:
    """Values, first and second derivatives are those of the function written in operations of torch."""
    generator = torch.Generator().manual_seed(4)
    y, along, scale = (torch.randn(2, 3, dtype=FLOAT, generator=generator).requires_grad_() for _ in range(3))
    t = torch.zeros(2, dtype=FLOAT)

    def diffusion(of: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda t, y: torch.stack([of(scale * y), y], dim=-1) if matrix else of(scale * y)

    found, expected = (derivative_along(diffusion(of), t, y, along) for of in (sine, torch.sin))
    torch.testing.assert_close(found, expected)
    for mine, other in zip(*(torch.autograd.grad(v.square().sum(), (y, along, scale)) for v in (found, expected))):
        torch.testing.assert_close(mine, other)
    with torch.no_grad():
        still = derivative_along(diffusion(sine), t, y, along)
    assert not still.requires_grad
    torch.testing.assert_close(still, expected)


def test_a_custom_function_that_does_not_see_the_state_has_no_derivative() -> None:
    y, scale = torch.ones(2, 3, dtype=FLOAT), torch.ones(3, dtype=FLOAT, requires_grad=True)
    for seen in (scale, scale.detach()):
        found = derivative_along(lambda t, y, seen=seen: _Sine.apply(seen) + 0 * t[:, None], SPAN, y, y)
        assert torch.equal(found, torch.zeros(2, 3, dtype=FLOAT))


def test_an_error_of_the_diffusion_reaches_the_caller() -> None:
    def broken(t: Tensor, y: Tensor) -> Tensor:
        raise RuntimeError("of the user")

    with pytest.raises(RuntimeError, match="of the user"):
        derivative_along(broken, SPAN, SPAN[:, None], SPAN[:, None])


def test_milstein_s_scheme_takes_custom_autograd_functions() -> None:
    def end(sine: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        y0 = torch.linspace(0.2, 1, 6, dtype=FLOAT).reshape(2, 3).requires_grad_()
        equation = SDE(lambda t, y: -y, lambda t, y: sine(y), Noise.DIAGONAL)
        ys = solve(SDEStepper(equation, BrownianPath(1, (2, 3), 0.25), MILSTEIN), y0, SPAN, FixedStep(0.25)).ys
        return ys.detach(), torch.autograd.grad(ys.sum(), y0)[0]

    for mine, other in zip(end(_Sine.apply), end(torch.sin)):
        torch.testing.assert_close(mine, other)
