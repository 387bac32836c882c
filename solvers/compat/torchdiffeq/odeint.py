"""``odeint`` and ``odeint_dense``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .adaptive import Adaptive
from .callbacks import Announcer
from .errors import InputError
from .methods import method_of
from .packing import Packing
from .problem import Problem, pose
from .run import Outcome


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[..., Tensor] | None = None,
) -> Any:
    """Integrate dy/dt = func(t, y) from y(t[0]) = y0.

    Everything in y0 takes the same steps, also along an axis that the caller may call a batch; ``solve`` gives each
    sample its own. The gradient is that of the steps themselves.

    Args:
        func: ``(t, y) -> dy/dt`` with t of no axes, y and the result as y0. Its attributes ``callback_step``,
            ``callback_accept_step`` and ``callback_reject_step`` are called as ``(t0, y0, dt)``.
        y0: a tensor of any shape, or a tuple of tensors.
        t: output times (time,), increasing or decreasing; y0 is the state at the first.
        rtol, atol: tolerances of the local error of adaptive methods; with a tuple, also one for each tensor.
        method: one of ``METHODS``, by default ``"dopri5"``.
        options: of the method, which names them.
        event_fn: ``(t, y) -> tensor``: the integration ends where one of its numbers changes its sign. Then t holds two
            times, of which the second only tells the direction.

    Returns:
        The states (time, ...), as a tuple if y0 is one. With ``event_fn`` the time of the event, and the states at the
        start and there; both carry the gradients of the implicit function theorem.

    Raises:
        InputError: an argument is not what is expected (a ``ValueError``).
        IntegrationError: the integration did not reach its end (a ``RuntimeError``).
    """
    problem = pose(func, y0, t, rtol=rtol, atol=atol, event_fn=event_fn)
    outcome = integrate(problem, method, options)
    ys = problem.packing.unpack(outcome.ys, (len(outcome.ys),))
    return ys if outcome.event_t is None else (outcome.event_t.to(t), ys)


def integrate(problem: Problem, method: str | None, options: dict[str, Any] | None) -> Outcome:
    """Solve a problem by the method of that name."""
    chosen = method_of(method)
    announcer = Announcer(problem.func, problem.packing, chosen.name, chosen.callbacks)
    if len(problem.ts) == 1:
        return Outcome(problem.y0.unsqueeze(0))
    return chosen.integrate(problem, options, announcer)


def odeint_dense(
    func: Callable[..., Any],
    y0: Any,
    t0: Any,
    t1: Any,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
) -> Callable[[Any], Any]:
    """The solution from t0 to t1 as a function of time.

    Args:
        func, y0, rtol, atol, options: as for ``odeint``.
        t0, t1: start and end, numbers or tensors of no axes.
        method: an adaptive one.

    Returns:
        A function of one time, or of times (time,), inside the span: the state there, or states (time, ...).

    Raises:
        InputError: an argument is not what is expected.
        IntegrationError: the integration did not reach its end.
    """
    device = Packing.of(y0).pack(y0).device
    ends = torch.stack([torch.as_tensor(end, dtype=torch.float64, device=device).reshape(()) for end in (t0, t1)])
    problem = pose(func, y0, ends, rtol=rtol, atol=atol)
    chosen = method_of(method)
    if not isinstance(chosen, Adaptive):
        raise InputError(f"Expected an adaptive method for dense output, got {method!r}.")
    announcer = Announcer(func, problem.packing, chosen.name, chosen.callbacks)
    solution = chosen.run(problem, options).solution(problem, announcer, keep_dense=True)

    def evaluate(times: Any) -> Any:
        times = torch.as_tensor(times)
        ys = solution.dense(times.reshape(-1))[0]  # type: ignore[misc]  # kept above
        single = times.dim() == 0
        return problem.packing.unpack(ys[0] if single else ys, () if single else (len(ys),))

    return evaluate
