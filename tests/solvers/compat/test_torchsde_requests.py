"""What the torchsde face evaluates, refuses, and differentiates twice."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers.compat import torchsde

FLOAT = torch.float64
CHANNELS = 5


class Base(nn.Module):
    noise_type = "general"

    def __init__(self, sde_type: str = "stratonovich") -> None:
        super().__init__()
        self.sde_type, self.products = sde_type, 0
        self.mixing = nn.Parameter(torch.linspace(-1, 1, 3 * CHANNELS, dtype=FLOAT).reshape(3, CHANNELS))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(y)


class Matrix(Base):
    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return y.cos()[..., None] * self.mixing


class Products(Base):
    """The same, known by products with noise alone, which it counts."""

    def g_prod(self, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
        self.products += 1
        return y.cos() * (v @ self.mixing.T)


def start() -> Tensor:
    return torch.linspace(-1, 1, 12, dtype=FLOAT).reshape(4, 3)


def motion(**options: Any) -> torchsde.BrownianInterval:
    return torchsde.BrownianInterval(0.0, 1.0, (4, CHANNELS), FLOAT, entropy=3, **options)


@pytest.mark.parametrize(
    ("method", "sde_type", "stages"),
    [
        ("euler", "ito", 1),
        ("midpoint", "stratonovich", 2),
        ("heun", "stratonovich", 2),
        ("euler_heun", "stratonovich", 2),
    ],
)
def test_products_are_taken_once_a_stage_however_many_channels(method: str, sde_type: str, stages: int) -> None:
    sde, known = Products(sde_type), Matrix(sde_type)
    ys = torchsde.sdeint(sde, start(), [0.0, 1.0], motion(), method=method, dt=0.125)
    assert sde.products == 8 * stages + 1  # once to see its shape
    torch.testing.assert_close(ys, torchsde.sdeint(known, start(), [0.0, 1.0], motion(), method=method, dt=0.125))


@pytest.mark.parametrize("method", ["midpoint", "reversible_heun"])
def test_adjoint_gradients_have_gradients(method: str) -> None:
    def second(solver: Any) -> list[Tensor]:
        sde, y0 = Matrix(), start().requires_grad_()
        ys = solver(sde, y0, [0.0, 0.5, 1.0], motion(), method=method, dt=0.125)
        first = torch.autograd.grad(ys.square().sum(), (y0, sde.mixing), create_graph=True)
        return list(torch.autograd.grad(sum(part.square().sum() for part in first), (y0, sde.mixing)))

    for ours, expected in zip(second(torchsde.sdeint_adjoint), second(torchsde.sdeint)):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_adjoint_gradients_can_be_taken_again() -> None:
    sde, y0 = Matrix(), start().requires_grad_()
    loss = torchsde.sdeint_adjoint(sde, y0, [0.0, 1.0], motion(), method="midpoint", dt=0.125).square().sum()
    first, again = (torch.autograd.grad(loss, y0, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_one_time_is_the_start() -> None:
    for solver in (torchsde.sdeint, torchsde.sdeint_adjoint):
        assert torch.equal(solver(Matrix(), start(), [0.5])[0], start())


class Diagonal(Base):
    noise_type = "diagonal"

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return y.cos()


class Ito(Diagonal):
    def __init__(self) -> None:
        super().__init__("ito")


class WrongDrift(Diagonal):
    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.ones(3, dtype=FLOAT)


class WrongDiffusion(Matrix):
    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.mixing


class Scalar(Matrix):
    noise_type = "scalar"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sde": Ito(), "method": "midpoint"}, "'euler', 'milstein', 'srk'.* 'ito'"),
        ({"method": "milstein"}, "noise_type 'general'"),
        ({"method": "log_ode", "bm": motion()}, "levy_area_approximation of .*'davie', 'foster'"),
        ({"sde": Ito(), "method": "srk", "bm": torchsde.BrownianInterval(size=(4, 3))}, "'space-time'"),
        ({"ts": torch.tensor([0.0, 1.0], requires_grad=True)}, "ts without a gradient"),
        ({"sde": WrongDrift()}, "drift of y0's shape"),
        ({"sde": WrongDiffusion()}, r"shape \(4, 3, noise\)"),
        ({"sde": Scalar()}, "one channel of scalar noise"),
        ({"sde": Products()}, "Give a Brownian motion"),
        ({"bm": torchsde.BrownianInterval(size=(4, 2))}, r"bm of shape \(4, 5\)"),
        ({"bm": torchsde.BrownianInterval(size=(3, 5))}, r"bm of shape \(4, noise\)"),
    ],
)
def test_requests_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    request = {"sde": Matrix(), "y0": start(), "ts": [0.0, 1.0], "dt": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        torchsde.sdeint(**request)


def test_parameters_that_nothing_depends_on_get_a_gradient_of_zero() -> None:
    sde = Diagonal()  # has a matrix that neither f nor g uses
    torchsde.sdeint_adjoint(sde, start(), [0.0, 1.0], method="midpoint", dt=0.25).sum().backward()
    assert torch.equal(sde.mixing.grad, torch.zeros_like(sde.mixing))
    other = torch.ones(2, dtype=FLOAT, requires_grad=True)
    ys = torchsde.sdeint_adjoint(Diagonal(), start(), [0.0, 1.0], method="midpoint", dt=0.25, adjoint_params=(other,))
    assert torch.equal(torch.autograd.grad(ys.sum(), other)[0], torch.zeros_like(other))


def test_adaptive_euler_warns_before_all_else() -> None:
    with pytest.warns(UserWarning, match="need not converge"):
        torchsde.sdeint(Ito(), start(), [0.0, 0.1], method="euler", dt=0.1, adaptive=True, atol=0.1, rtol=0.1)
    with pytest.warns(UserWarning, match="need not converge"), pytest.raises(ValueError, match="method to be one of"):
        torchsde.sdeint(Diagonal(), start(), [0.0, 0.1], method="euler", dt=0.1, adaptive=True)
