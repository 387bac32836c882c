"""Brownian motions of the torchsde face: Levy areas, reversal, and what users subclass."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers.compat import torchsde
from sciml.solvers.compat.torchsde import settings

FLOAT = torch.float64


@pytest.mark.parametrize("kind", ["davie", "foster"])
class TestAreasBetweenChannels:
    def test_have_their_moments(self, kind: str) -> None:
        bm = torchsde.BrownianInterval(0.0, 1.0, (40_000, 2), FLOAT, entropy=4, levy_area_approximation=kind)
        length = 0.7
        w, area = bm(0.1, 0.1 + length, return_A=True)
        torch.testing.assert_close(area, -area.mT)
        a = area[:, 0, 1]
        assert a.mean().abs() < 0.01
        torch.testing.assert_close(a.var(), torch.tensor(length**2 / 4, dtype=FLOAT), rtol=0.03, atol=0.0)
        given_w = length**2 / 12 + length / 12 * w.square().sum(dim=1)  # the variance for a known increment
        torch.testing.assert_close((a.square() * given_w).mean(), given_w.square().mean(), rtol=0.05, atol=0.0)

    def test_are_the_same_each_time(self, kind: str) -> None:
        first, second = (
            torchsde.BrownianInterval(0.0, 1.0, (3, 4), FLOAT, entropy=4, dt=0.1, levy_area_approximation=kind)
            for _ in range(2)
        )
        w, u, area = first(0.2, 0.3, return_U=True, return_A=True)
        second(0.4, 0.5, return_A=True)
        again = second(0.2, 0.3, return_A=True)
        torch.testing.assert_close(again[0], w, rtol=0, atol=0)
        torch.testing.assert_close(again[1], area, rtol=0, atol=0)
        assert u.shape == (3, 4)
        assert not torch.equal(first(0.3, 0.4, return_A=True)[1], area)

    def test_are_zero_where_there_is_nothing_between(self, kind: str) -> None:
        bm = torchsde.BrownianInterval(0.0, 1.0, (3, 2), FLOAT, levy_area_approximation=kind)
        assert torch.equal(bm(0.5, 0.5, return_A=True)[1], torch.zeros(3, 2, 2, dtype=FLOAT))
        single = torchsde.BrownianInterval(0.0, 1.0, (3,), FLOAT, levy_area_approximation=kind)
        assert torch.equal(single(0.2, 0.5, return_A=True)[1], torch.zeros(3, dtype=FLOAT))


def test_a_motion_without_areas_answers_none() -> None:
    bm = torchsde.BrownianInterval(0.0, 1.0, (3, 2))
    w, area = bm(0.1, 0.2, return_A=True)
    assert w.shape == (3, 2)
    assert area is None


class Bilinear:
    """dx = dW_1, dy = x o dW_2: over one step from zero y is w_1 w_2 / 2 + A_12."""

    sde_type, noise_type = "stratonovich", "general"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        one, zero = torch.ones_like(y[:, 0]), torch.zeros_like(y[:, 0])
        return torch.stack([torch.stack([one, zero], dim=1), torch.stack([zero, y[:, 0]], dim=1)], dim=1)


def test_the_log_ode_takes_the_areas_in() -> None:
    bm = torchsde.BrownianInterval(0.0, 1.0, (5, 2), FLOAT, entropy=4, levy_area_approximation="foster")
    ys = torchsde.sdeint(Bilinear(), torch.zeros(5, 2, dtype=FLOAT), [0.0, 1.0], bm, method="log_ode", dt=1.0)
    w, area = bm(0.0, 1.0, return_A=True)
    torch.testing.assert_close(ys[-1, :, 0], w[:, 0])
    torch.testing.assert_close(ys[-1, :, 1], 0.5 * w[:, 0] * w[:, 1] + area[:, 0, 1])
    assert torchsde.sdeint(Bilinear(), ys[-1], [0.0, 1.0], method="log_ode", dt=0.5).isfinite().all()


class _Identity(torch.autograd.Function):
    """Written before forward differentiation and vmap."""

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Scaled(Bilinear):
    def __init__(self, noise_type: str, read: Any) -> None:
        self.noise_type, self.read = noise_type, read

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        y = torch.sin(self.read(y))
        return y if self.noise_type == "diagonal" else super().g(t, y)


@pytest.mark.parametrize(("method", "noise_type"), [("milstein", "diagonal"), ("log_ode", "general")])
def test_derivatives_of_the_diffusion_pass_through_custom_functions(method: str, noise_type: str) -> None:
    bm = torchsde.BrownianInterval(0.0, 1.0, (3, 2), FLOAT, entropy=4, levy_area_approximation="foster")
    found = []
    for read in (_Identity.apply, torch.clone):
        y0 = torch.linspace(0.2, 1, 6, dtype=FLOAT).reshape(3, 2).requires_grad_()
        ys = torchsde.sdeint(Scaled(noise_type, read), y0, [0.0, 1.0], bm, method=method, dt=0.25)
        found.append((ys.detach(), torch.autograd.grad(ys[-1].square().sum(), y0)[0]))
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other)


def test_a_reversed_motion_is_the_motion_seen_from_its_end() -> None:
    bm = torchsde.BrownianInterval(0.0, 1.0, (3, 2), FLOAT, entropy=4)
    reverse = torchsde.ReverseBrownian(bm)
    torch.testing.assert_close(reverse(-0.9, -0.2), bm(0.2, 0.9), rtol=0, atol=0)
    assert (reverse.shape, reverse.dtype, reverse.levy_area_approximation) == (bm.shape, FLOAT, "none")
    assert isinstance(reverse, torchsde.BaseBrownian)


def test_reversible_heun_goes_back_along_a_reversed_motion() -> None:
    class Forward:
        sde_type, noise_type = "stratonovich", "diagonal"

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.sin(y) + t

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return 0.3 * torch.cos(y)

    class Backward(Forward):
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return -super().f(-t, y)

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return -super().g(-t, y)

    bm = torchsde.BrownianInterval(0.0, 1.0, (4, 3), FLOAT, entropy=4)
    start, ts = torch.linspace(-1, 1, 12, dtype=FLOAT).reshape(4, 3), torch.linspace(0, 1, 11, dtype=FLOAT)
    there, (f, g, z) = torchsde.sdeint(Forward(), start, ts, bm, method="reversible_heun", dt=0.1, extra=True)
    back = torchsde.sdeint(
        Backward(),
        there[-1],
        -ts.flip(0),
        torchsde.ReverseBrownian(bm),
        method="reversible_heun",
        dt=0.1,
        extra_solver_state=(-f, -g, z),
    )
    torch.testing.assert_close(back.flip(0), there, rtol=1e-9, atol=1e-9)


def test_a_users_own_motion_will_do() -> None:
    class Straight(torchsde.BaseBrownian):
        shape, dtype, device, levy_area_approximation = (4, 2), FLOAT, torch.device("cpu"), "davie"

        def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
            w = (tb - ta) * torch.ones(4, 2, dtype=FLOAT)
            return (w, torch.zeros(4, 2, 2, dtype=FLOAT)) if return_A else w

        def __repr__(self) -> str:
            return "Straight()"

    bm = Straight()
    assert bm.size() == (4, 2)
    for method in ("midpoint", "log_ode"):
        ys = torchsde.sdeint(Bilinear(), torch.zeros(4, 2, dtype=FLOAT), [0.0, 1.0], bm, method=method, dt=0.25)
        torch.testing.assert_close(ys[-1], torch.tensor([1.0, 0.5], dtype=FLOAT).expand(4, 2))


def test_rounding_of_times_is_not_worth_a_warning() -> None:
    bm = torchsde.BrownianInterval(0.0, 0.3, (2, 2), entropy=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(bm(0.1, float(torch.tensor(0.3))), bm(0.1, 0.3))
    with pytest.warns(UserWarning, match="clipped"):
        bm(0.1, 0.31)


def test_an_interval_may_be_empty_and_says_what_does_not_fit() -> None:
    assert torch.equal(torchsde.BrownianInterval(1.0, 1.0, (2, 2))(1.0, 1.0), torch.zeros(2, 2))
    for change, message in (
        ({"t0": 2.0}, "t0 <= t1"),
        ({"size": None}, "Expected size"),
        ({"W": torch.zeros(3, 2)}, "of one size"),
        ({"levy_area_approximation": "levy"}, "levy_area_approximation to be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            torchsde.BrownianInterval(**{"size": (2, 2), **change})


def test_the_words_are_in_the_settings() -> None:
    assert "srk" in settings.METHODS
    assert "adams" not in settings.METHODS
    assert settings.NOISE_TYPES.all() == ["additive", "diagonal", "general", "scalar"]
    assert settings.LEVY_AREA_APPROXIMATIONS.space_time == "space-time"
    assert str(settings.SDE_TYPES) == "['ito', 'stratonovich']"
