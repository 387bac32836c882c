"""Compiled solves against jitted diffrax, side by side in one process: ``python compiled_probe.py vdp lorenz mlp``.

Each pair is timed in turns; what is printed is the smallest CPU time of each and their ratio.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch

from sciml.solvers.compiled import solve_compiled
from sciml.solvers.pid import PIDController
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.tableaus.tsit5 import TSIT5

jax.config.update("jax_enable_x64", True)
torch.set_num_threads(1)


class Mlp(torch.nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(width, hidden), torch.nn.Linear(hidden, width)

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(y)))


def race(name: str, ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> None:
    """Time two functions in turns and print the smallest CPU times."""
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        for i, function in enumerate((ours, theirs)):
            begin = time.process_time()
            function()
            best[i] = min(best[i], time.process_time() - begin)
    ms = [1e3 * value for value in best]
    print(f"{name:28s} ours {ms[0]:9.2f} ms   diffrax {ms[1]:9.2f} ms   ours / theirs {ms[0] / ms[1]:6.2f}", flush=True)


def first(name: str, function: Callable[[], object]) -> None:
    """Print what the first call costs."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:28s} first call {wall:7.1f} s wall, {cpu:6.1f} s CPU (compilers' own processes apart)", flush=True)


def peer(field, y0: np.ndarray, ts: np.ndarray, tol: float, vmapped: bool = True):
    """A jitted diffrax solve ``(parameters, y0) -> ys``."""
    term = diffrax.ODETerm(field)

    def one(parameters, y):
        return diffrax.diffeqsolve(
            term, diffrax.Tsit5(), ts[0], ts[-1], None, y, args=parameters, saveat=diffrax.SaveAt(ts=jnp.asarray(ts)),
            stepsize_controller=diffrax.PIDController(rtol=tol, atol=tol, pcoeff=0.2, icoeff=0.5), max_steps=10**5,
        ).ys  # fmt: skip

    return jax.vmap(one, in_axes=(None, 0)) if vmapped else one


def small(name: str, field, jax_field, y0: np.ndarray, ts: np.ndarray, tol: float) -> None:
    """A system without parameters."""
    stepper, controller = RungeKutta(field, TSIT5), PIDController(rtol=tol, atol=tol)
    y, times = torch.as_tensor(y0), torch.as_tensor(ts)
    theirs = jax.jit(peer(jax_field, y0, ts, tol))
    ours = lambda: solve_compiled(stepper, y, times, controller)  # noqa: E731
    first(name, ours)
    print(name, "attempts", int((ours().statistics.accepted + ours().statistics.rejected).max()))
    race(name, ours, lambda: theirs(None, jnp.asarray(y0)).block_until_ready(), 15)


def vdp() -> None:
    y0, ts = np.random.default_rng(0).normal(size=(256, 2)), np.linspace(0, 10, 2)

    def field(t, y):
        a, b = y.unbind(-1)
        return torch.stack((b, 5 * (1 - a * a) * b - a), -1)

    def jax_field(t, y, args):
        return jnp.stack([y[1], 5 * (1 - y[0] * y[0]) * y[1] - y[0]])

    small("vdp 256, end only", field, jax_field, y0, ts, 1e-6)
    small("vdp 256, 50 outputs", field, jax_field, y0, np.linspace(0, 10, 50), 1e-6)


def lorenz() -> None:
    def field(t, y):
        a, b, c = y.unbind(-1)
        return torch.stack((10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c), -1)

    def jax_field(t, y, args):
        return jnp.stack([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])

    small("lorenz 1, 1000 outputs", field, jax_field, np.ones((1, 3)), np.linspace(0, 20, 1000), 1e-8)


def mlp() -> None:
    """Neural ODE 64-128-64, batch 1024, float32: forward, and a training step's gradient."""
    torch.manual_seed(0)
    net = Mlp(64, 128)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(2.0)
    rng = np.random.default_rng(0)
    y0, ts, tol = rng.normal(size=(1024, 64)).astype(np.float32), np.linspace(0, 1, 2).astype(np.float32), 1e-5
    weights = [jnp.asarray(p.detach().numpy()) for p in net.parameters()]
    term = lambda t, y, p: p[2] @ jnp.tanh(p[0] @ y + p[1]) + p[3]  # noqa: E731
    theirs = peer(term, y0, ts, tol)
    forward, backward = jax.jit(theirs), jax.jit(jax.grad(lambda p, y: (theirs(p, y)[:, -1] ** 2).mean()))
    stepper, controller = RungeKutta(net, TSIT5), PIDController(rtol=tol, atol=tol)
    y, times = torch.as_tensor(y0), torch.as_tensor(ts)

    def ours() -> object:
        with torch.no_grad():
            return solve_compiled(stepper, y, times, controller)

    def train() -> object:
        net.zero_grad()
        loss = solve_compiled(stepper, y, times, controller).ys[:, -1].square().mean()
        loss.backward()
        return [p.grad for p in net.parameters()]

    first("mlp forward", ours)
    counts = ours().statistics
    print("attempts", int((counts.accepted + counts.rejected).max()), "mean", counts.accepted.double().mean().item())
    race("mlp forward", ours, lambda: forward(weights, jnp.asarray(y0)).block_until_ready(), 5)
    first("mlp training step", train)
    expected, got = backward(weights, jnp.asarray(y0)), train()
    print(
        "gradients apart",
        [float(np.abs(np.asarray(e) - g.numpy()).max() / np.abs(e).max()) for e, g in zip(expected, got)],
    )
    race("mlp training step", train, lambda: jax.block_until_ready(backward(weights, jnp.asarray(y0))), 3)


if __name__ == "__main__":
    for case in sys.argv[1:] or ["vdp", "lorenz", "mlp"]:
        {"vdp": vdp, "lorenz": lorenz, "mlp": mlp}[case]()
