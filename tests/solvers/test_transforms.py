"""torch.func through a solve."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, jacrev, jvp, vmap

from sciml.solvers import TSIT5, Event, FixedStep, PIDController, RungeKutta, solve

F64 = torch.float64
Y0 = torch.tensor([[1.0, 2.0], [0.5, -3.0]], dtype=F64)
RATES = torch.tensor([1.3, 0.2, 5.0], dtype=F64)
TS = torch.linspace(0, 1, 4, dtype=F64)
sweep = pytest.mark.parametrize("controller", [PIDController(1e-9, 1e-9), FixedStep(0.05)], ids=["adaptive", "fixed"])


def trajectory(rate: Tensor, y0: Tensor, controller: PIDController) -> Tensor:
    return solve(RungeKutta(lambda t, y: -rate * y * torch.cos(t)[:, None], TSIT5), y0, TS, controller).ys


TRANSFORMS: dict[str, Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]] = {
    "grad": lambda f: lambda r: grad(lambda k: f(k).sum())(r[0]),
    "jvp": lambda f: lambda r: jvp(f, (r[0],), (torch.ones_like(r[0]),))[1],
    "jacrev": lambda f: lambda r: jacrev(f)(r[0]),
    "hessian": lambda f: lambda r: hessian(lambda k: f(k).square().sum())(r[0]),
    "vmap": lambda f: vmap(f),
    "vmap of grad": lambda f: vmap(grad(lambda k: f(k).square().sum())),
    "vmap of jvp": lambda f: vmap(lambda k: jvp(f, (k,), (torch.ones_like(k),))[1]),
}


@sweep
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_agree_with_the_closed_form(name: str, controller: PIDController) -> None:
    transform = TRANSFORMS[name]
    found = transform(lambda rate: trajectory(rate, Y0, controller))(RATES)
    expected = transform(lambda rate: Y0[:, None] * torch.exp(-rate * torch.sin(TS))[None, :, None])(RATES)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_mapped_initial_states_equal_a_larger_batch() -> None:
    controller = PIDController(1e-6, 1e-6)
    many = torch.stack([Y0, 2 * Y0, -Y0])
    mapped = vmap(lambda y0: trajectory(RATES[0], y0, controller))(many)
    batched = trajectory(RATES[0], many.flatten(0, 1), controller).unflatten(0, (3, 2))
    torch.testing.assert_close(mapped, batched, rtol=1e-13, atol=0)


def test_what_depends_on_shapes_is_refused() -> None:
    def ended(rate: Tensor) -> Tensor:
        stepper = RungeKutta(lambda t, y: rate * y, TSIT5)
        return solve(stepper, Y0, TS, FixedStep(0.1), event=Event(lambda t, y: y[:, 0] - 2)).ys

    with pytest.raises(ValueError, match="vmap"):
        vmap(ended)(RATES)
