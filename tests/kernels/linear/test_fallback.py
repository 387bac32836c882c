"""Where the C++ does not serve, the torch twins do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from sciml.kernels import native as compiled
from sciml.kernels.linear import native
from sciml.kernels.linear.loops import Method, solve_reference, solve_systems
from sciml.kernels.linear.rows import Rows
from sciml.kernels.linear.sweeps import precondition, precondition_reference, sweep, sweep_reference
from tests.kernels.linear.systems import definite, goal, needs_compiler, normal, omegas


@pytest.fixture
def turned_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SCIML_NATIVE", "0")
    for function in (compiled.load, native._library):
        function.cache_clear()
    yield
    for function in (compiled.load, native._library):
        function.cache_clear()


def check_torch_serves(*, colours: bool) -> None:
    """Bit by bit: the twins are what is called."""
    stencil, b, x, omega = definite((5, 18), (False, True)), normal(3, 5, 18), normal(3, 5, 18), omegas(0.8, 1.2, 1.6)
    for matrix, right, start in ((stencil, b, x), (Rows.from_couplings(stencil.couplings()), *map(flat, (b, x)))):
        assert not native.serves(matrix, right, start, colours=colours)
        found, twin = (way(matrix, right, start, omega, colours=colours) for way in (sweep, sweep_reference))
        assert torch.equal(found, twin)
        found, twin = (way(matrix, right, omega, colours=colours) for way in (precondition, precondition_reference))
        assert torch.equal(found, twin)
        for method in Method:
            given = (method, matrix, right, start, omega, goal(3, rtol=1e-3), 1000)
            for mine, its in zip(*(way(*given, colours=colours) for way in (solve_systems, solve_reference))):
                assert torch.equal(mine, its)


def flat(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1)


@pytest.mark.parametrize("colours", [False, True])
def test_they_can_be_turned_off(turned_off: None, colours: bool) -> None:
    check_torch_serves(colours=colours)


@needs_compiler
def test_more_entries_than_32_bits_count_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, and stencils by colours, which C++ takes as rows; a stencil in natural order has no table of entries."""
    stencil, b = definite((5, 18), (False, True)), normal(3, 5, 18)
    rows = Rows.from_couplings(stencil.couplings())
    entries = len(rows.pattern.column)
    for most, served in ((entries, True), (entries - 1, False)):
        monkeypatch.setattr(native, "_MOST", most)
        assert native.serves(stencil, b)
        assert native.serves(rows, flat(b)) == native.serves(rows, flat(b), colours=True) == served
    assert not native.serves(stencil, b, colours=True)
    given = (rows, flat(b), torch.zeros_like(flat(b)), omegas(1.2, count=3))
    assert torch.equal(sweep(*given), sweep_reference(*given))


@needs_compiler
def test_other_numbers_and_transforms_are_left_to_torch() -> None:
    stencil, b, omega = definite((5, 6), (False, True)), normal(3, 5, 6), omegas(0.8, 1.2, 1.6)
    assert native.serves(stencil, b) and not native.serves(stencil, b.half())
    half = sweep(stencil, b.half(), torch.zeros_like(b).half(), omega)
    assert half.dtype == torch.float16
    expected = sweep(stencil, b, torch.zeros_like(b), omega)
    torch.testing.assert_close(half.double(), expected, rtol=0.01, atol=0.01)
    (mapped,) = torch.func.vmap(lambda right: sweep(stencil, right, torch.zeros_like(right), omega))(b[None])
    torch.testing.assert_close(mapped, expected, rtol=1e-12, atol=1e-12)
