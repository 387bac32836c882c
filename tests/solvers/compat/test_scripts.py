"""Short scripts as users write them, run once with the faces and once with the packages whose names they have."""

from types import ModuleType
from typing import Any

import pytest
import torch
import torchdiffeq as peer_ode
import torchsde as peer_sde
from torch import Tensor, nn

from sciml.solvers.compat import torchdiffeq as face_ode
from sciml.solvers.compat import torchsde as face_sde

FLOAT = torch.float64


class Spiral(nn.Module):
    """A neural ODE."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2)).to(FLOAT)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(y**3)


def trained_on_a_spiral(package: ModuleType, **options: Any) -> list[float]:
    """Losses of a neural ODE that learns dy/dt = A y^3 from pieces of one trajectory."""
    torch.manual_seed(0)
    matrix = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=FLOAT)
    ts = torch.linspace(0.0, 2.0, 41, dtype=FLOAT)
    with torch.no_grad():
        start = torch.tensor([[2.0, 0.0]], dtype=FLOAT)
        seen = package.odeint(lambda t, y: (y**3) @ matrix, start, ts, rtol=1e-9, atol=1e-9)[:, 0]
    field, losses = Spiral(), []
    optimizer = torch.optim.Adam(field.parameters(), lr=0.02)
    for _ in range(12):
        first = torch.randint(0, 36, (8,))
        target = torch.stack([seen[first + k] for k in range(5)])
        optimizer.zero_grad()
        found = package.odeint_adjoint(field, seen[first], ts[:5], **options)
        loss = (found - target).abs().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize(
    ("options", "agreement"),
    [
        ({"rtol": 1e-9, "atol": 1e-9}, 1e-5),
        ({"rtol": 1e-7, "atol": 1e-7, "method": "bosh3", "adjoint_options": {"norm": "seminorm"}}, 1e-4),
        ({"method": "rk4", "options": {"step_size": 0.05}}, 1e-8),
    ],
    ids=["default", "seminorm", "fixed"],
)
def test_a_neural_ode_learns_the_same(options: dict[str, Any], agreement: float) -> None:
    ours, theirs = (trained_on_a_spiral(package, **options) for package in (face_ode, peer_ode))
    assert ours == pytest.approx(theirs, rel=agreement)
    assert ours[-1] < 0.7 * ours[0]


class Latent(nn.Module):
    """A posterior with a neural drift over an Ornstein-Uhlenbeck prior, seen with errors at some times."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 16), nn.Softplus(), nn.Linear(16, 1)).to(FLOAT)
        self.mean = nn.Parameter(torch.zeros(1, 1, dtype=FLOAT))
        self.spread = nn.Parameter(torch.full((1, 1), -1.0, dtype=FLOAT))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        t = t.expand(len(y), 1)
        return self.net(torch.cat([torch.sin(3 * t), torch.cos(3 * t), y], dim=1))

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, 0.5)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -1.5 * y

    def start(self, batch: int) -> Tensor:
        return self.mean + self.spread.exp() * torch.randn(batch, 1, dtype=FLOAT)


def losses_of(package: ModuleType, model: Latent, batch: int, **settings: Any) -> Tensor:
    """The negative evidence bound of each sample."""
    ts = torch.linspace(0.0, 1.5, 7, dtype=FLOAT)
    seen = torch.sin(3 * ts)[1:, None]
    ys, log_ratio = package.sdeint(model, model.start(batch), ts, dt=0.05, logqp=True, **settings)
    assert ys.shape == (7, batch, 1)
    assert log_ratio.shape == (6, batch)
    misfit = 0.5 * ((ys[1:, :, 0] - seen) / 0.2) ** 2
    at_start = 0.5 * (model.mean**2 + torch.exp(2 * model.spread) - 1 - 2 * model.spread)
    return misfit.sum(dim=0) + log_ratio.sum(dim=0) + at_start.reshape(())


def trained_on_a_wave(package: ModuleType, method: str, motions: bool) -> tuple[list[float], Latent]:
    """Mean losses; with ``motions`` on Brownian motions of the peer, else on the package's own."""
    torch.manual_seed(1)
    model, losses = Latent(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for k in range(12):
        settings: dict[str, Any] = {"method": method}
        if motions:
            # The log-ratio is one more component of the state, with noise of its own that moves nothing.
            settings["bm"] = peer_sde.BrownianInterval(
                0.0, 1.5, (64, 2), dtype=FLOAT, entropy=k, levy_area_approximation="space-time"
            )
        optimizer.zero_grad()
        loss = losses_of(package, model, 64, **settings).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, model


@pytest.mark.parametrize("method", ["euler", "milstein"])
def test_a_latent_sde_learns_the_same_on_the_same_motions(method: str) -> None:
    ours, theirs = (trained_on_a_wave(package, method, motions=True)[0] for package in (face_sde, peer_sde))
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert ours[-1] < 0.8 * ours[0]


@pytest.mark.parametrize("method", ["euler", "srk"])
def test_a_latent_sde_has_the_same_bound_on_motions_of_either_package(method: str) -> None:
    """Of one model, within four standard errors; and what each package trained is as good."""
    bounds = []
    trained, model = trained_on_a_wave(face_sde, method, motions=False)
    theirs, _ = trained_on_a_wave(peer_sde, method, motions=False)
    for package in (face_sde, peer_sde):
        torch.manual_seed(2)
        with torch.no_grad():
            bounds.append(losses_of(package, model, 4096, method=method))
    gap = bounds[0].mean() - bounds[1].mean()
    error = torch.sqrt(sum(bound.var() / len(bound) for bound in bounds))  # type: ignore[arg-type]
    assert abs(gap) < 4 * error
    assert error < 0.02 * bounds[0].mean()
    assert trained[-1] == pytest.approx(theirs[-1], rel=0.25)
    assert trained[-1] < 0.8 * trained[0]
