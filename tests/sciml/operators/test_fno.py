"""The wrapped Fourier neural operator: symmetries, resolution, storage."""

import sys

import pytest
import torch

from sciml.operators.fno import FNO


def step(model: FNO, u: torch.Tensor) -> torch.Tensor:
    t = torch.zeros(len(u), dtype=u.dtype)
    return model(t, t + 1, u).y


@pytest.mark.parametrize(("dim", "space"), [(1, (16,)), (1, (17,)), (2, (12, 15)), (3, (8, 8, 9))])
def test_periodic_commutes_with_any_shift(dim: int, space: tuple[int, ...]) -> None:
    model, u = FNO(["u"], dim=dim, modes=3, width=8, layers=2), torch.randn(2, 1, *space)
    for axis in range(2, u.dim()):
        torch.testing.assert_close(step(model, u.roll(3, axis)), step(model, u).roll(3, axis), rtol=1e-4, atol=1e-5)


def test_coordinates_tell_walls_apart() -> None:
    model, u = FNO(["u"], modes=3, width=8, layers=2, periodic=False), torch.randn(1, 1, 12, 12)
    assert not torch.allclose(step(model, u.roll(3, 2)), step(model, u).roll(3, 2), atol=1e-3)


def test_coordinates_are_those_of_each_axis() -> None:
    """A uniform state changes along both axes, and the same coordinate is read on a finer grid."""
    model = FNO(["u"], modes=3, width=8, layers=1, periodic=False)
    coarse, fine = (step(model, torch.ones(1, 1, n, n)) for n in (21, 41))
    assert coarse.std(2).min() > 0 and coarse.std(3).min() > 0
    assert (fine[..., ::2, ::2] - coarse).std() < 0.5 * (coarse - 1).std()


def test_the_grid_may_be_refined() -> None:
    """One band-limited state on two grids: the answers agree where the points do."""
    model = FNO(["u"], dim=1, modes=3, width=8, layers=1)
    coarse, fine = (torch.sin(2 * torch.pi * torch.arange(n) / n).reshape(1, 1, n) for n in (64, 128))
    torch.testing.assert_close(step(model, fine)[..., ::2], step(model, coarse), rtol=1e-3, atol=1e-4)


def test_nothing_complex_is_stored() -> None:
    model = FNO(["u"], modes=3, width=4, layers=1)
    state = model.state_dict()
    assert all(isinstance(value, torch.Tensor) and not value.is_complex() for value in state.values())
    assert not any(parameter.is_complex() for parameter in model.parameters())
    spectral = [key for key in state if key.endswith((".real", ".imaginary"))]
    assert len(spectral) == 2  # one layer: the weights are there, and once


def test_the_spectral_weights_act() -> None:
    model, u = FNO(["u"], dim=1, modes=3, width=4, layers=1), torch.randn(1, 1, 16)
    before = step(model, u)
    for name, parameter in model.named_parameters():
        if name.endswith(".imaginary"):
            parameter.data.add_(1.0)
    assert not torch.allclose(step(model, u), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"dim": 0}, "dim 1, 2 or 3"), ({"modes": 0}, "modes >= 1"), ({"modes": [4, 4, 4]}, "one or 2 of them")],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FNO(["u"], **arguments)


def test_too_coarse_a_grid_is_refused() -> None:
    model = FNO(["u"], modes=(4, 2), width=4, layers=1)
    assert step(model, torch.zeros(1, 1, 8, 4)).shape == (1, 1, 8, 4)
    with pytest.raises(ValueError, match=r"at least \(8, 4\) points .* got \(7, 4\). Give fewer modes"):
        step(model, torch.zeros(1, 1, 7, 4))


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("neuralop.models", "neuralop.layers.spectral_convolution"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'sciml\[baselines\]'"):
        FNO(["u"])
