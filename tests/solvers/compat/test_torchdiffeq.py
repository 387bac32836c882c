"""The face of torchdiffeq: its names over this library's solvers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers.compat.torchdiffeq import odeint, odeint_adjoint, odeint_dense, odeint_event
from sciml.solvers.compat.torchdiffeq.methods import METHODS

ADAPTIVE = ("dopri8", "dopri5", "tsit5", "bosh3", "fehlberg2", "adaptive_heun")
FIXED = {
    "euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4, "implicit_euler": 1, "implicit_midpoint": 2,
    "trapezoid": 2, "radauIIA3": 3, "gl4": 4, "radauIIA5": 5, "gl6": 6, "sdirk2": 2, "trbdf2": 2,
}  # fmt: skip
ADAMS = ("explicit_adams", "implicit_adams", "fixed_adams")
INTERFACES = pytest.mark.parametrize("interface", [odeint, odeint_adjoint], ids=["backprop", "adjoint"])


def modulated(t: Tensor, y: Tensor) -> Tensor:
    """dy/dt = y cos t, which does not hide wrong nodes as an autonomous field does."""
    return y * torch.cos(t)


def modulated_exact(t: Tensor, y0: Tensor) -> Tensor:
    growth = torch.exp(torch.sin(t) - torch.sin(t[0]))
    return y0 * growth.reshape(-1, *[1] * y0.dim())


def times(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def states(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Oscillator(nn.Module):
    """A damped oscillator whose matrix is a parameter; counts its evaluations."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=torch.float64))
        self.evaluations = 0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.evaluations += 1
        return y @ self.matrix + 0.1 * torch.sin(t)


def test_every_method_of_the_peer_has_its_name() -> None:
    assert set(METHODS) == {*ADAPTIVE, *FIXED, *ADAMS, "scipy_solver"}


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_adaptive_methods_keep_their_tolerance_between_their_steps_too(method: str, direction: int) -> None:
    tol = 1e-4 if method in ("fehlberg2", "adaptive_heun") else 1e-7
    t = direction * torch.linspace(0.5, 4, 41, dtype=torch.float64)
    y0 = states(1.0, -0.3)
    ys = odeint(modulated, y0, t, rtol=tol, atol=tol, method=method)
    assert float((ys - modulated_exact(t, y0)).abs().max()) < 1000 * tol


@pytest.mark.parametrize("method", FIXED)
def test_fixed_methods_have_their_order_on_a_field_that_depends_on_time(method: str) -> None:
    y0, errors = states(1.0), []
    steps = (4, 8) if FIXED[method] > 4 else (16, 32)
    for count in steps:
        t = torch.linspace(0, 1, count + 1, dtype=torch.float64)
        errors.append(float((odeint(modulated, y0, t, method=method) - modulated_exact(t, y0)).abs()[-1]))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(FIXED[method], abs=0.35)


@pytest.mark.parametrize("method", ADAMS)
@pytest.mark.parametrize("most", [4, 6])
def test_adams_methods_have_the_order_asked_for(method: str, most: int) -> None:
    """``max_order``, which the explicit scheme stays one below, as in the peer."""
    y0, errors, order = states(1.0), [], most - (method == "explicit_adams")
    for count in (40, 80):
        t = torch.linspace(0, 2, count + 1, dtype=torch.float64)
        ys = odeint(modulated, y0, t, method=method, options={"max_order": most})
        errors.append(float((ys - modulated_exact(t, y0)).abs()[-1]))
    assert math.log2(errors[0] / errors[1]) > order - 0.4


@pytest.mark.parametrize("solver", ["LSODA", "BDF", "DOP853"])
@pytest.mark.parametrize("direction", [1, -1])
def test_scipy_is_another_method(solver: str, direction: int) -> None:
    t = direction * torch.linspace(0, 3, 7, dtype=torch.float64)
    y0 = states(1.0, 2.0).reshape(2, 1)
    ys = odeint(modulated, y0, t, method="scipy_solver", options={"solver": solver})
    torch.testing.assert_close(ys, modulated_exact(t, y0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "trapezoid"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3)])
def test_the_field_sees_what_the_peer_shows_it(method: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    real = torch.zeros((), dtype=dtype).abs().dtype

    def field(t: Tensor, y: Tensor) -> Tensor:
        assert (t.shape, t.dtype) == ((), real)
        assert (y.shape, y.dtype) == (shape, dtype)
        return -y

    y0, t = torch.ones(shape, dtype=dtype), torch.linspace(0, 1, 5)
    ys = odeint(field, y0, t, method=method)
    assert (ys.shape, ys.dtype) == ((5, *shape), dtype)
    torch.testing.assert_close(ys[-1], math.exp(-1) * y0, rtol=1e-2, atol=0)


def test_everything_takes_the_same_steps() -> None:
    """A stiffer member shortens the steps of all, as in the peer; the same field costs the same in any shape."""
    calls: list[Tensor] = []

    def field(t: Tensor, y: Tensor) -> Tensor:
        calls.append(t)
        return -y * torch.tensor([1.0, 30.0], dtype=torch.float64)

    odeint(field, states(1.0, 1.0), times(0.0, 1.0))
    joint = len(calls)
    calls.clear()
    odeint(lambda t, y: (calls.append(t), -y)[1], states(1.0), times(0.0, 1.0))
    assert len(calls) < joint / 2


class TestTuples:
    def test_of_different_shapes_and_dtypes(self) -> None:
        y0 = (states(1.0), torch.ones(2, 3), torch.ones((), dtype=torch.complex64))
        t = torch.linspace(0, 2, 5)

        def field(t: Tensor, y: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            assert [part.dtype for part in y] == [part.dtype for part in y0]
            assert [part.shape for part in y] == [part.shape for part in y0]
            return -y[0], y[1] * torch.cos(t).float(), 1j * y[2]

        first, second, third = odeint(field, y0, t, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(first, torch.exp(-t.double())[:, None], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(second, torch.exp(torch.sin(t))[:, None, None].expand(5, 2, 3), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(third, torch.exp(1j * t), rtol=1e-4, atol=1e-5)

    def test_tolerances_of_each_tensor(self) -> None:
        def run(**tolerances: Any) -> int:
            calls = 0

            def field(t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
                nonlocal calls
                calls += 1
                return -y[0], -50 * y[1]

            odeint(field, (states(1.0), states(1.0)), times(0.0, 1.0), **tolerances)
            return calls

        loose = run(rtol=(1e-6, 1e-2), atol=(1e-8, 1e-2))
        assert loose < run(rtol=1e-6, atol=1e-8)
        with pytest.raises(ValueError, match="one for each tensor"):
            run(rtol=(1e-6, 1e-6, 1e-6))

    def test_the_norm_gets_a_tuple(self) -> None:
        seen = []

        def norm(state: tuple[Tensor, Tensor]) -> Tensor:
            seen.append([part.shape for part in state])
            return state[0].abs().max()

        y0 = (torch.ones(()), torch.ones(2, 2))
        odeint(lambda t, y: (-y[0], -y[1]), y0, torch.tensor([0.0, 1.0]), options={"norm": norm})
        assert seen and all(shapes == [(), (2, 2)] for shapes in seen)


@pytest.mark.parametrize("method", ["dopri5", "bosh3", "rk4", "implicit_adams", "radauIIA5"])
def test_gradients_in_states_times_and_parameters(method: str) -> None:
    t = torch.linspace(0.2, 1.1, 4, dtype=torch.float64, requires_grad=True)
    y0 = states(1.0, 0.5).requires_grad_()
    rate = states(0.7).requires_grad_()

    def run(y0: Tensor, t: Tensor, rate: Tensor) -> Tensor:
        return odeint(lambda time, y: rate * y * torch.cos(time), y0, t, rtol=1e-9, atol=1e-11, method=method)

    assert torch.autograd.gradcheck(run, (y0, t, rate), atol=1e-5)


class TestAdjoint:
    @pytest.mark.parametrize("method", ["dopri5", "tsit5", "bosh3", "rk4", "implicit_midpoint"])
    def test_gradients_are_those_of_backpropagation(self, method: str) -> None:
        field = Oscillator()
        y0 = states(2.0, 0.3).requires_grad_()
        t = torch.linspace(0, 2, 4, dtype=torch.float64, requires_grad=True)
        weights = torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(4, 2)
        fixed = method in FIXED
        options = {"step_size": 0.04} if fixed else None
        tol = 1e-6 if method == "bosh3" else 1e-8
        found = [
            torch.autograd.grad(
                (interface(field, y0, t, rtol=tol, atol=0.01 * tol, method=method, options=options) * weights).sum(),
                (y0, t, field.matrix),
            )
            for interface in (odeint, odeint_adjoint)
        ]
        for direct, adjoint in zip(*found):
            torch.testing.assert_close(adjoint, direct, rtol=5e-3 if fixed else 1e-4, atol=5e-3 if fixed else 1e-4)

    def test_of_a_complex_state(self) -> None:
        rate = torch.tensor(-0.3 + 1j, dtype=torch.complex128, requires_grad=True)
        y0 = torch.tensor([1.0 + 0.5j, -1j], dtype=torch.complex128, requires_grad=True)
        t = times(0.0, 0.7, 1.5)

        def field(t: Tensor, y: Tensor) -> Tensor:
            return rate * y * torch.cos(t)

        found = []
        for interface, kwargs in ((odeint, {}), (odeint_adjoint, {"adjoint_params": (rate,)})):
            ys = interface(field, y0, t, **kwargs)
            found.append(torch.autograd.grad((ys.real * ys.imag + ys.real).sum(), (y0, rate)))
        for direct, adjoint in zip(*found):
            torch.testing.assert_close(adjoint, direct, rtol=1e-5, atol=1e-5)

    def test_of_a_tuple(self) -> None:
        scale = nn.Parameter(states(0.5))
        y0 = (states(1.0).requires_grad_(), states(2.0, 3.0).requires_grad_())

        def field(t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return y[1].sum(dim=0, keepdim=True) * scale, -y[1] * y[0]

        found = []
        for interface, kwargs in ((odeint, {}), (odeint_adjoint, {"adjoint_params": (scale,)})):
            first, second = interface(field, y0, times(0.0, 0.5, 1.0), rtol=(1e-8, 1e-7), **kwargs)
            found.append(torch.autograd.grad((first**2).sum() + second.sum(), (*y0, scale)))
        for direct, adjoint in zip(*found):
            torch.testing.assert_close(adjoint, direct, rtol=1e-5, atol=1e-5)

    def test_parameters_that_are_not_used_have_zero_gradients(self) -> None:
        field = Oscillator()
        field.unused = nn.Linear(2, 3).double()
        odeint_adjoint(field, states(1.0, 0.0), times(0.0, 1.0)).sum().backward()
        assert float(field.unused.weight.grad.abs().max()) == 0
        assert float(field.matrix.grad.abs().max()) > 0

    def test_needs_to_know_the_parameters(self) -> None:
        with pytest.raises(ValueError, match="adjoint_params="):
            odeint_adjoint(modulated, states(1.0), times(0.0, 1.0))
        with pytest.raises(ValueError, match="adjoint_options"):
            odeint_adjoint(
                Oscillator(), states(1.0, 0.0), times(0.0, 1.0),
                method="rk4", adjoint_method="dopri5", options={"step_size": 0.1},
            )  # fmt: skip

    def test_constants_are_left_out_of_what_the_norm_is_given(self) -> None:
        field = Oscillator()
        field.frozen = nn.Parameter(states(1.0), requires_grad=False)
        lengths = set()

        def norm(state: tuple[Tensor, ...]) -> Tensor:
            lengths.add(len(state))
            return torch.stack([part.abs().max() for part in state]).amax()

        with pytest.warns(UserWarning, match="require no gradient"):
            ys = odeint_adjoint(field, states(1.0, 0.0), times(0.0, 1.0), adjoint_options={"norm": norm})
        ys.sum().backward()
        assert lengths == {4}

    def test_the_seminorm_leaves_the_parameters_out(self) -> None:
        """Then the error in the gradient of a parameter, here the factor of a fast force, asks for no short steps."""
        fast = nn.Parameter(states(0.0))

        def evaluations(**kwargs: Any) -> int:
            calls = 0

            def field(t: Tensor, y: Tensor) -> Tensor:
                nonlocal calls
                calls += 1
                return -y + fast * torch.sin(40 * t)

            ys = odeint_adjoint(field, states(1.0), times(0.0, 1.0), adjoint_params=(fast,), **kwargs)
            calls = 0
            ys.sum().backward()
            return calls

        assert evaluations(adjoint_options={"norm": "seminorm"}) < evaluations() / 2

    def test_its_options_can_be_read_and_replaced_before_the_backward_pass(self) -> None:
        field = Oscillator()
        ys = odeint_adjoint(field, states(1.0, 0.0), times(0.0, 1.0))
        norm, seen = ys.grad_fn.adjoint_options["norm"], []
        ys.grad_fn.adjoint_options["norm"] = lambda state: (seen.append(len(state)), norm(state))[1]
        ys.sum().backward()
        assert set(seen) == {4}

    def test_has_first_derivatives_only_and_says_so(self) -> None:
        y0 = states(1.0, 0.5).requires_grad_()
        (gradient,) = torch.autograd.grad(
            odeint_adjoint(Oscillator(), y0, times(0.0, 1.0)).square().sum(), y0, create_graph=True
        )
        with pytest.raises(RuntimeError):
            gradient.sum().backward()


def falling(gravity: Tensor) -> Callable[[Tensor, tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]:
    return lambda t, y: (y[1], -gravity.expand(1))


class TestEvents:
    @INTERFACES
    @pytest.mark.parametrize("method", ["dopri5", "bosh3", "fehlberg2", "adaptive_heun", "tsit5", "dopri8"])
    def test_free_fall_and_its_gradients(self, interface: Callable[..., Any], method: str) -> None:
        """From height h onto a floor at d: t = sqrt(2 (h - d) / g), whatever is differentiated by."""
        gravity, floor = states(9.81).requires_grad_(), states(0.25).requires_grad_()
        height, rest = states(3.0).requires_grad_(), states(0.0)
        tol = 1e-4 if method in ("fehlberg2", "adaptive_heun") else 1e-7  # they are exact here
        kwargs: dict[str, Any] = {"odeint_interface": interface, "method": method, "rtol": tol, "atol": tol}
        if interface is odeint_adjoint:
            kwargs["adjoint_params"] = (gravity,)
        t0 = times(0.0).requires_grad_()
        event_t, (position, velocity) = odeint_event(
            falling(gravity), (height, rest), t0, event_fn=lambda t, y: y[0] - floor, **kwargs
        )
        drop = (height - floor).detach()
        exact = torch.sqrt(2 * drop / gravity.detach())
        torch.testing.assert_close(event_t.detach(), exact[0], rtol=1e-5, atol=0)
        torch.testing.assert_close(velocity[-1].detach(), -torch.sqrt(2 * drop * gravity.detach()), rtol=1e-5, atol=0)
        inputs = (height, floor, gravity, t0)
        in_time = torch.autograd.grad(event_t, inputs, retain_graph=True)
        slope = exact / (2 * drop)
        expected = (slope, -slope, -exact / (2 * gravity.detach()), times(1.0))
        for found, wanted in zip(in_time, expected):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
        in_velocity = torch.autograd.grad(velocity[-1].sum(), inputs, retain_graph=True)
        torch.testing.assert_close(in_velocity[0], -torch.sqrt(gravity.detach() / (2 * drop)), rtol=1e-4, atol=0)
        in_position = torch.autograd.grad(position[-1].sum(), inputs)
        torch.testing.assert_close(in_position[1], states(1.0), rtol=1e-6, atol=1e-8)

    def test_backwards_in_time(self) -> None:
        y0 = states(0.5).requires_grad_()
        event_t, ys = odeint_event(lambda t, y: y, y0, times(1.0), event_fn=lambda t, y: y[0] - 0.1, reverse_time=True)
        torch.testing.assert_close(event_t.detach(), torch.tensor(1 + math.log(0.2), dtype=torch.float64))
        assert ys.shape == (2, 1)
        (gradient,) = torch.autograd.grad(event_t, y0)
        torch.testing.assert_close(gradient, states(-2.0))

    def test_the_first_of_several_numbers_counts(self) -> None:
        event_t, _ = odeint(
            lambda t, y: torch.ones_like(y), states(0.0), times(0.0, 1.0),
            event_fn=lambda t, y: torch.stack([y[0] - 3, 2 - y[0], y[0] + 1]),
        )  # fmt: skip
        assert float(event_t) == pytest.approx(2)

    @pytest.mark.parametrize("beside", [0, 1])
    def test_zero_at_the_start_is_not_an_event(self, beside: int) -> None:
        """A ball thrown up from the floor comes down again, also where another number is watched beside it."""

        def height(t: Tensor, y: Tensor) -> Tensor:
            return torch.stack([y[0], 10 - t][: beside + 1])

        event_t, _ = odeint(
            lambda t, y: torch.stack([y[1], -2 * torch.ones_like(y[1])]), states(0.0, 3.0), times(0.0, 1.0),
            event_fn=height,
        )  # fmt: skip
        assert float(event_t) == pytest.approx(3)

    @pytest.mark.parametrize("method", ["rk4", "euler", "implicit_adams", "gl4"])
    def test_fixed_steps_towards_an_event(self, method: str) -> None:
        options = {"step_size": 0.01, "interp": "cubic"}
        y0 = states(1.0)
        event_t, ys = odeint(
            lambda t, y: -y, y0, times(0.0, 1.0), event_fn=lambda t, y: y[0] - 0.3, method=method, options=options
        )
        assert float(event_t) == pytest.approx(-math.log(0.3), rel=1e-2 if method == "euler" else 1e-6)
        assert float(ys[-1]) == pytest.approx(0.3, rel=1e-6)

    def test_that_do_not_happen(self) -> None:
        with pytest.raises(RuntimeError, match="keeps its sign"):
            odeint(
                lambda t, y: -y, states(1.0), times(0.0, 1.0), event_fn=lambda t, y: y + 1, method="euler",
                options={"step_size": 0.5},
            )  # fmt: skip
        with pytest.raises(ValueError, match="step_size"):
            odeint(lambda t, y: -y, states(1.0), times(0.0, 1.0), event_fn=lambda t, y: y - 0.5, method="rk4")
        with pytest.raises(ValueError, match="two times"):
            odeint(lambda t, y: -y, states(1.0), times(0.0, 1.0, 2.0), event_fn=lambda t, y: y - 0.5)


class Switched:
    """A field that jumps at t = 1/2; counts its evaluations."""

    def __init__(self) -> None:
        self.evaluations = 0

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        self.evaluations += 1
        return y if t < 0.5 else -2 * y


class TestOptions:
    @pytest.mark.parametrize("direction", [1, -1])
    def test_known_jumps_cost_less_and_err_less(self, direction: int) -> None:
        t = times(0.0, 1.0) if direction == 1 else times(1.0, 0.0)
        exact, errors, counts = math.exp(direction * (0.5 - 1.0)), [], []
        for options in ({}, {"jump_t": times(0.5)}):
            field = Switched()
            ys = odeint(field, states(1.0), t, rtol=1e-6, atol=1e-6, options=options)
            errors.append(abs(float(ys[-1]) - exact))
            counts.append(field.evaluations)
        assert errors[1] < 1e-6 and errors[1] < errors[0] / 10
        assert counts[1] < counts[0] / 2

    def test_steps_land_where_they_are_told(self) -> None:
        ends: list[float] = []

        class Field(nn.Module):
            def forward(self, t: Tensor, y: Tensor) -> Tensor:
                return -y

            def callback_accept_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
                ends.append(float(t0 + dt))

        odeint(Field(), states(1.0), times(0.0, 1.0), options={"step_t": times(0.3, 0.77)})
        assert min(abs(end - 0.3) for end in ends) < 1e-12
        assert min(abs(end - 0.77) for end in ends) < 1e-12
        with pytest.raises(ValueError, match="repeated"):
            odeint(Field(), states(1.0), times(0.0, 1.0), options={"step_t": times(0.3), "jump_t": times(0.3)})

    def test_bounds_of_the_step(self) -> None:
        def lengths(**options: float) -> list[float]:
            field, found = Oscillator(), []
            field.callback_accept_step = lambda t0, y0, dt: found.append(float(dt))
            odeint(field, states(1.0, 0.0), times(0.0, 5.0), options=options)
            return found

        assert max(lengths(max_step=0.02)) <= 0.02 * (1 + 1e-9)
        assert len(lengths(min_step=0.5)) <= 12 < len(lengths())
        assert lengths(first_step=0.001)[0] == pytest.approx(0.001)
        assert len(lengths(safety=0.3)) > len(lengths())

    def test_too_many_steps_raise_what_callers_catch(self) -> None:
        for kind in (AssertionError, RuntimeError):
            with pytest.raises(kind, match="max_num_steps exceeded"):
                odeint(modulated, states(1.0), times(0.0, 10.0), options={"max_num_steps": 3})

    def test_a_field_that_is_not_finite_raises_what_callers_catch(self) -> None:
        for kind in (AssertionError, RuntimeError):
            with pytest.raises(kind, match="underflow in dt"):
                odeint(lambda t, y: y * torch.nan if t > 0.3 else -y, states(1.0), times(0.0, 1.0))

    def test_step_size_and_interpolation(self) -> None:
        t, y0 = times(0.0, 0.37, 1.0), states(1.0)
        errors = {}
        for kind in ("linear", "cubic"):
            ys = odeint(lambda t, y: -y, y0, t, method="rk4", options={"step_size": 0.1, "interp": kind})
            errors[kind] = abs(float(ys[1]) - math.exp(-0.37))
        line = 0.3 * math.exp(-0.3) + 0.7 * math.exp(-0.4)
        assert errors["linear"] == pytest.approx(line - math.exp(-0.37), rel=1e-3)
        assert errors["cubic"] < 1e-6
        with pytest.raises(ValueError, match="Unknown interpolation"):
            odeint(lambda t, y: -y, y0, t, method="rk4", options={"step_size": 0.1, "interp": "spline"})

    @pytest.mark.parametrize("direction", [1, -1])
    def test_grids(self, direction: int) -> None:
        """Euler's method on a grid is a product of 1 + dt."""
        grid = direction * times(0.0, 0.1, 0.4, 0.5, 1.0)
        seen = []

        def construct(func: Any, y0: Tensor, t: Tensor) -> Tensor:
            seen.append((func(t[0], y0), t))
            return grid

        ys = odeint(lambda t, y: y, states(2.0), grid[[0, -1]], method="euler", options={"grid_constructor": construct})
        torch.testing.assert_close(ys[-1], 2 * (1 + grid.diff()).prod()[None])
        torch.testing.assert_close(seen[0], (states(2.0), grid[[0, -1]]))
        with pytest.raises(ValueError, match="grid_constructor"):
            odeint(
                lambda t, y: y, states(2.0), grid[[0, -1]], method="euler",
                options={"grid_constructor": lambda func, y0, t: 0.5 * grid},
            )  # fmt: skip
        with pytest.raises(ValueError, match="mutually exclusive"):
            odeint(
                lambda t, y: y, states(2.0), grid[[0, -1]], method="euler",
                options={"grid_constructor": construct, "step_size": 0.1},
            )  # fmt: skip

    @pytest.mark.parametrize("method", ["euler", "rk4", "trapezoid", "radauIIA5", "implicit_adams"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_perturbed_steps_look_at_neither_end(self, method: str, dtype: torch.dtype) -> None:
        seen: list[float] = []

        def field(t: Tensor, y: Tensor) -> Tensor:
            seen.append(float(t))
            return -y

        y0, t = torch.ones(1, dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype)
        perturbed = odeint(field, y0, t, method=method, options={"step_size": 0.25, "perturb": True})
        assert not {0.0, 0.25, 0.5, 0.75, 1.0} & set(seen)
        assert all(0 < time < 1 for time in seen)
        plain = odeint(field, y0, t, method=method, options={"step_size": 0.25})
        torch.testing.assert_close(perturbed, plain, rtol=1e-6, atol=0)

    def test_unknown_ones_warn(self) -> None:
        for method in ("dopri5", "rk4", "scipy_solver"):
            with pytest.warns(UserWarning, match="no_such_option"):
                odeint(lambda t, y: -y, states(1.0), times(0.0, 1.0), method=method, options={"no_such_option": 1})


class TestCallbacks:
    def test_tell_of_every_step(self) -> None:
        field, told = Oscillator(), []
        for name in ("step", "accept_step", "reject_step"):
            setattr(field, f"callback_{name}", lambda t0, y0, dt, name=name: told.append((name, float(t0), float(dt))))
        odeint(field, states(1.0, 0.0), times(0.0, 3.0), options={"first_step": 3.0})
        names = [name for name, _, _ in told]
        assert names[::2] == ["step"] * (len(told) // 2) and "reject_step" in names and "accept_step" in names
        assert all(dt > 0 for _, _, dt in told)
        accepted = [(t0, dt) for name, t0, dt in told if name == "accept_step"]
        torch.testing.assert_close(
            torch.tensor([t0 for t0, _ in accepted[1:]]), torch.tensor([t0 + dt for t0, dt in accepted[:-1]])
        )

    def test_of_the_adjoint(self) -> None:
        field, told = Oscillator(), []
        field.callback_step_adjoint = lambda t0, y0, dt: told.append((float(t0), len(y0)))
        odeint_adjoint(
            field, states(1.0, 0.0), times(0.0, 1.0), method="rk4", options={"step_size": 0.25}
        ).sum().backward()
        assert told == [(1.0, 4), (0.75, 4), (0.5, 4), (0.25, 4)]

    def test_that_a_method_does_not_call_warn(self) -> None:
        field = Oscillator()
        field.callback_accept_step = lambda t0, y0, dt: None
        with pytest.warns(UserWarning, match="callback_accept_step"):
            odeint(field, states(1.0, 0.0), times(0.0, 1.0), method="rk4")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            odeint(field, states(1.0, 0.0), times(0.0, 1.0))


class TestInputs:
    @pytest.mark.parametrize("method", ["dopri5", "rk4", "explicit_adams", "scipy_solver"])
    def test_one_time_is_the_start(self, method: str) -> None:
        y0 = states(1.0, 2.0)
        torch.testing.assert_close(odeint(modulated, y0, times(0.5), method=method), y0[None])

    @pytest.mark.parametrize("kind", [ValueError, AssertionError])
    def test_errors_are_what_callers_catch(self, kind: type[Exception]) -> None:
        y0, t = states(1.0), times(0.0, 1.0)
        with pytest.raises(kind, match="strictly increasing or decreasing"):
            odeint(modulated, y0, times(0.0, 1.0, 0.5))
        with pytest.raises(kind, match="of shape"):
            odeint(modulated, y0, t[None])
        with pytest.raises(kind, match="tuple of tensors"):
            odeint(modulated, 1.0, t)
        with pytest.raises(kind, match="floating point"):
            odeint(modulated, torch.tensor([1]), t)
        with pytest.raises(kind, match="constant rtol"):
            odeint(modulated, y0, t, rtol=states(1e-5).requires_grad_())
        with pytest.raises(kind, match="Invalid method"):
            odeint(modulated, y0, t, method="rk45")
        with pytest.raises(TypeError, match="floating point"):
            odeint(modulated, y0, torch.tensor([0, 1]))

    def test_a_field_may_leave_axes_out_and_return_another_dtype(self) -> None:
        ys = odeint(lambda t, y: torch.tensor(-1.0, dtype=torch.float64), torch.ones(3), torch.tensor([0.0, 2.0]))
        torch.testing.assert_close(ys[-1], -torch.ones(3))


def test_dense_output_is_the_solution_everywhere() -> None:
    y0 = (states(1.0), states(0.5, 2.0))
    dense = odeint_dense(lambda t, y: (-y[0], y[1] * torch.cos(t)), y0, 0.0, 3.0)
    t = torch.linspace(0, 3, 13, dtype=torch.float64)
    first, second = dense(t)
    torch.testing.assert_close(first, torch.exp(-t)[:, None], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(second, modulated_exact(t, y0[1]), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(
        dense(torch.tensor(1.5))[1], modulated_exact(times(0.0, 1.5), y0[1])[1], rtol=1e-6, atol=0
    )
    with pytest.raises(ValueError, match="adaptive"):
        odeint_dense(modulated, y0[0], 0.0, 1.0, method="rk4")
