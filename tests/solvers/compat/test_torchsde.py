"""User code written for torchsde, and torchsde itself on the same Brownian motion."""

from typing import Any

import pytest
import torch
import torchsde as peer
from torch import Tensor, nn

from sciml.solvers.compat import torchsde

FLOAT = torch.float64
ITO, STRATONOVICH = "ito", "stratonovich"


class Written(nn.Module):
    """An SDE as users write them."""

    def __init__(self, noise_type: str, sde_type: str) -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type
        generator = torch.Generator().manual_seed(5)
        self.weight = nn.Parameter(0.5 * torch.randn(3, 3, dtype=FLOAT, generator=generator))
        self.scale = nn.Parameter(torch.tensor([0.4, 0.3, 0.5], dtype=FLOAT))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y @ self.weight) + torch.sin(t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        diagonal = self.scale * torch.cos(y) if self.noise_type != "additive" else self.scale * torch.cos(t)
        if self.noise_type == "diagonal":
            return diagonal
        columns = {"scalar": 1, "general": 2, "additive": 2}[self.noise_type]
        mixing = torch.linspace(0.5, 1, 3 * columns, dtype=FLOAT).reshape(3, columns)
        return diagonal[..., None].expand(len(y), 3, columns) * mixing if y.dim() == 2 else diagonal

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -0.5 * y


def channels(sde: Any) -> int:
    return {"diagonal": 3, "scalar": 1, "general": 2, "additive": 2}[sde.noise_type]


def start() -> Tensor:
    return torch.linspace(-1, 1, 12, dtype=FLOAT).reshape(4, 3)


TIMES = torch.linspace(0, 1, 5, dtype=FLOAT)
KINDS = ("diagonal", "scalar", "general", "additive")
SHARED = [
    ("euler", ITO, KINDS),
    ("milstein", ITO, ("diagonal", "scalar", "additive")),
    ("milstein", STRATONOVICH, ("diagonal", "scalar", "additive")),
    ("midpoint", STRATONOVICH, KINDS),
    ("heun", STRATONOVICH, KINDS),
    ("euler_heun", STRATONOVICH, KINDS),
    ("reversible_heun", STRATONOVICH, KINDS),
]
shared_sweep = pytest.mark.parametrize(
    ("method", "sde_type", "noise_type"),
    [(method, sde_type, noise) for method, sde_type, noises in SHARED for noise in noises],
)


@shared_sweep
def test_solutions_are_those_of_torchsde_on_its_motion(method: str, sde_type: str, noise_type: str) -> None:
    sde = Written(noise_type, sde_type)
    bm = peer.BrownianInterval(0.0, 1.0, (4, channels(sde)), dtype=FLOAT, entropy=3)
    ours, theirs = (module.sdeint(sde, start(), TIMES, bm=bm, method=method, dt=0.125) for module in (torchsde, peer))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("noise_type", ["diagonal", "scalar", "additive"])
def test_srk_converges_to_the_same_solution(noise_type: str) -> None:
    sde = Written(noise_type, ITO)
    bm = peer.BrownianInterval(
        0.0, 1.0, (4, channels(sde)), dtype=FLOAT, entropy=3, levy_area_approximation="space-time"
    )
    fine = torchsde.sdeint(sde, start(), TIMES, bm=bm, method="srk", dt=2**-7)
    theirs = peer.sdeint(sde, start(), TIMES, bm=bm, method="srk", dt=2**-7)
    torch.testing.assert_close(fine, theirs, rtol=0, atol=3e-3)


@pytest.mark.parametrize("noise_type", ["diagonal", "general", "additive"])
@pytest.mark.parametrize("method", ["midpoint", "reversible_heun"])
def test_adjoint_gradients_are_those_of_backpropagation(method: str, noise_type: str) -> None:
    sde, y0 = Written(noise_type, STRATONOVICH), start().requires_grad_()
    bm = torchsde.BrownianInterval(0.0, 1.0, (4, channels(sde)), dtype=FLOAT, entropy=3)
    gradients = []
    for function in (torchsde.sdeint, torchsde.sdeint_adjoint):
        ys = function(sde, y0, TIMES, bm=bm, method=method, dt=0.1)
        gradients.append(torch.autograd.grad(ys.square().sum(), [y0, *sde.parameters()]))
    for direct, adjoint in zip(*gradients, strict=True):
        torch.testing.assert_close(direct, adjoint, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("noise_type", ["diagonal", "general"])
def test_log_ratio_and_its_increments_are_those_of_torchsde(noise_type: str) -> None:
    sde = Written(noise_type, ITO)
    size = (4, 4 if noise_type == "diagonal" else 2)
    bm = peer.BrownianInterval(0.0, 1.0, size, dtype=FLOAT, entropy=3)
    ours, theirs = (
        module.sdeint(sde, start(), TIMES, bm=bm, method="euler", dt=0.125, logqp=True) for module in (torchsde, peer)
    )
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-8, atol=1e-8)
    assert ours[1].shape == (4, 4)


def test_the_latent_sde_script_runs_unchanged() -> None:
    """Defaults, inheritance, names, adaptive steps, and training by the adjoint."""

    class Latent(torchsde.SDEIto):
        def __init__(self) -> None:
            super().__init__(noise_type="diagonal")
            self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

        def posterior(self, t: Tensor, y: Tensor) -> Tensor:
            return self.net(y) + t * torch.ones_like(y)

        def prior(self, t: Tensor, y: Tensor) -> Tensor:
            return -y

        def noise(self, t: Tensor, y: Tensor) -> Tensor:
            return y.new_full((y.size(0), 1), 0.3)

    torch.manual_seed(0)
    sde = Latent()
    names = {"drift": "posterior", "diffusion": "noise", "prior_drift": "prior"}
    for adaptive in (False, True):
        ys, ratio = torchsde.sdeint_adjoint(
            sde,
            torch.zeros(6, 1),
            [0.0, 0.3, 0.5],
            names=names,
            logqp=True,
            dt=0.05,
            adaptive=adaptive,
            rtol=1e-2,
            atol=1e-2,
        )
        assert ys.shape == (3, 6, 1)
        assert ratio.shape == (2, 6)
        sde.zero_grad()
        (ys.square().mean() + ratio.sum(dim=0).mean()).backward()
        assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in sde.parameters())


def test_a_run_continues_from_its_extra_state() -> None:
    sde = Written("diagonal", STRATONOVICH)
    bm = torchsde.BrownianInterval(0.0, 1.0, (4, 3), dtype=FLOAT, entropy=3)
    options = {"bm": bm, "method": "reversible_heun", "dt": 0.125}
    whole = torchsde.sdeint(sde, start(), TIMES, **options)
    first, state = torchsde.sdeint(sde, start(), TIMES[:3], extra=True, **options)
    second = torchsde.sdeint(sde, first[-1], TIMES[2:], extra_solver_state=state, **options)
    torch.testing.assert_close(torch.cat([first, second[1:]]), whole, rtol=1e-12, atol=1e-12)
    assert torchsde.sdeint(sde, start(), TIMES, bm=bm, dt=0.125, extra=True)[1] == ()


@pytest.mark.parametrize("noise_type", ["diagonal", "general"])
def test_products_and_joint_methods_replace_f_and_g(noise_type: str) -> None:
    plain = Written(noise_type, STRATONOVICH)

    class Joint:
        sde_type = STRATONOVICH

        def __init__(self) -> None:
            self.noise_type = noise_type

        def f_and_g(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return plain.f(t, y), plain.g(t, y)

    class Products:
        sde_type = STRATONOVICH

        def __init__(self) -> None:
            self.noise_type, self.f = noise_type, plain.f

        def g_prod(self, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
            g = plain.g(t, y)
            return g * v if noise_type == "diagonal" else (g * v[:, None]).sum(dim=-1)

    bm = torchsde.BrownianInterval(0.0, 1.0, (4, channels(plain)), dtype=FLOAT, entropy=3)
    known = torchsde.sdeint(plain, start(), TIMES, bm=bm, dt=0.1)
    for sde in (Joint(), Products()):
        torch.testing.assert_close(torchsde.sdeint(sde, start(), TIMES, bm=bm, dt=0.1), known)


def test_an_interval_is_one_function_of_time() -> None:
    bm = torchsde.BrownianInterval(0.0, 2.0, (3, 2), dtype=FLOAT, entropy=9, halfway_tree=True)
    again = torchsde.BrownianInterval(0.0, 2.0, (3, 2), dtype=FLOAT, entropy=9, halfway_tree=True)
    again(0.3, 0.31)
    torch.testing.assert_close(bm(0.2, 1.7), again(0.2, 1.7), rtol=0, atol=0)
    torch.testing.assert_close(bm(0.2, 0.9) + bm(0.9, 1.7), bm(0.2, 1.7), rtol=0, atol=1e-10)
    w, u = bm(0.2, 1.7, return_U=True)
    assert w.shape == u.shape == bm.shape == bm.size() == (3, 2)
    with pytest.warns(UserWarning, match="clipped"):
        assert torch.equal(bm(1.9, 2.5), bm(1.9, 2.0))


def test_given_ends_are_met() -> None:
    w, h = torch.tensor([[1.0, -2.0]], dtype=FLOAT), torch.tensor([[0.3, 0.1]], dtype=FLOAT)
    bm = torchsde.BrownianInterval(0.0, 2.0, entropy=9, W=w, H=h)
    total, integral = bm(0.0, 2.0, return_U=True)
    torch.testing.assert_close(total, w)
    torch.testing.assert_close(integral, 2 * (0.5 * w + h))
    torch.testing.assert_close(bm(0.0, 0.7) + bm(0.7, 2.0), w)
    first, second = bm(0.0, 0.7, return_U=True), bm(0.7, 2.0, return_U=True)
    torch.testing.assert_close(first[1] + 1.3 * first[0] + second[1], integral)
    tree = torchsde.BrownianTree(0.0, torch.ones(1, 2, dtype=FLOAT), t1=2.0, w1=w, entropy=1)
    torch.testing.assert_close(tree(2.0), w)
    assert torchsde.BrownianPath(0.0, torch.zeros(2, 1))(0.25).shape == (2, 1)
    assert torchsde.brownian_interval_like(w).dtype == FLOAT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "rk4"}, "method to be one of"),
        ({"method": "euler"}, "method to be one of .*midpoint"),
        ({"y0": torch.ones(3)}, "y0 of shape"),
        ({"ts": [0.0, 0.0]}, "strictly increasing"),
        ({"names": {"drfit": "f"}}, "names for"),
        ({"names": {"prior_drift": "missing"}, "logqp": True}, "prior drift"),
        ({"bm": torchsde.BrownianInterval(size=(3, 3))}, "bm of shape"),
    ],
)
def test_bad_requests_say_what_is_expected(change: dict[str, Any], message: str) -> None:
    request = {"sde": Written("diagonal", STRATONOVICH), "y0": start(), "ts": TIMES, "dt": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        torchsde.sdeint(**request)
