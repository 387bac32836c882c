"""The U-Net's symmetries, paddings and sizes."""

import subprocess
import sys
import textwrap

import pytest
import torch

from sciml.operators.unet import UNet

SPACE = {1: (32,), 2: (16, 24), 3: (8, 12, 8)}


def step(model: UNet, u: torch.Tensor) -> torch.Tensor:
    t = torch.zeros(len(u), dtype=u.dtype)
    return model(t, t + 1, u).y


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_periodic_commutes_with_shifts_of_coarse_cells(dim: int) -> None:
    model = UNet(["u"], dim=dim, width=8, depth=2).double()
    u = torch.randn(2, 1, *SPACE[dim], dtype=torch.float64)
    for axis in range(2, u.dim()):
        torch.testing.assert_close(step(model, u.roll(4, axis)), step(model, u).roll(4, axis))
        assert not torch.allclose(step(model, u.roll(1, axis)), step(model, u).roll(1, axis))


@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate"])
def test_walls_do_not_commute_with_shifts(padding: str) -> None:
    model = UNet(["u"], width=8, depth=2, padding=padding).double()
    u = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    assert not torch.allclose(step(model, u.roll(4, 3)), step(model, u).roll(4, 3))


def test_each_axis_has_its_own_padding() -> None:
    model = UNet(["u"], width=8, depth=2, padding=["periodic", "zeros"]).double()
    u = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(step(model, u.roll(4, 2)), step(model, u).roll(4, 2))
    assert not torch.allclose(step(model, u.roll(4, 3)), step(model, u).roll(4, 3))


@pytest.mark.parametrize("padding", ["periodic", "zeros", "reflect", "replicate"])
def test_uniform_stays_uniform_unless_zeros_are_padded(padding: str) -> None:
    change = step(UNet(["u"], width=8, depth=2, padding=padding).double(), torch.ones(1, 1, 13, 18).double())
    uniform = torch.allclose(change, change[..., :1, :1].expand_as(change))
    assert uniform == (padding != "zeros")


@pytest.mark.parametrize("size", [(8,), (9,), (13,), (9, 8), (15, 17), (11, 8, 9)])
@pytest.mark.parametrize("padding", ["periodic", "reflect"])
def test_any_size_above_the_least(size: tuple[int, ...], padding: str) -> None:
    if padding == "reflect":
        size = tuple(n + 1 for n in size)
    u = torch.randn(2, 1, *size)
    y = step(UNet(["u"], dim=len(size), width=4, depth=3, padding=padding), u)
    assert y.shape == u.shape and bool(torch.isfinite(y).all())


@pytest.mark.parametrize(("padding", "n"), [("periodic", 7), ("reflect", 8)])
def test_too_small_a_grid_is_refused(padding: str, n: int) -> None:
    with pytest.raises(ValueError, match=rf"at least {n + 1} points .* got \(16, {n}\). Give a smaller depth"):
        step(UNet(["u"], depth=3, padding=padding), torch.zeros(1, 1, 16, n))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 4}, "dim 1, 2 or 3"),
        ({"width": 0}, "width >= 1"),
        ({"padding": "wrap"}, "padding from"),
        ({"padding": ["zeros"]}, "one or 2 of them"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNet(["u"], **arguments)


def test_default_size_suits_a_small_benchmark() -> None:
    assert 3e5 < sum(p.numel() for p in UNet(["u", "v"]).parameters()) < 1e6


def test_compiles_to_one_graph() -> None:
    """In an interpreter of its own: the tests' shape checks cannot be traced."""
    code = """
        import torch
        from sciml.operators.unet import UNet
        model, u, t = UNet(["u"], dim=1, width=4, depth=1), torch.randn(2, 1, 8), torch.zeros(2)
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(t, t + 1, u).y, model(t, t + 1, u).y)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_data_parallel_uses_every_parameter(tmp_path) -> None:
    """In a process of its own, which leaves without tidying up: destructors of process groups can wait for ever."""
    code = f"""
        import os
        import torch
        from torch.nn.parallel import DistributedDataParallel
        from sciml.operators.unet import UNet
        torch.distributed.init_process_group("gloo", init_method="file://{tmp_path}/store", rank=0, world_size=1)
        parallel, t = DistributedDataParallel(UNet(["u"], dim=1, width=4, depth=1)), torch.zeros(2)
        for _ in range(2):  # the second forward fails if the first left a parameter without gradient
            parallel(t, t + 1, torch.randn(2, 1, 8)).y.sum().backward()
        os._exit(0)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
