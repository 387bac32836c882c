"""Speech of nine people by a latent ODE: unequal series of twelve coefficients, half of whose times are hidden.

Japanese Vowels (M. Kudo, J. Toyama, M. Shimbo, "Multidimensional curve classification using passing-through regions",
1999), as shipped by the package ``aeon`` (``pip install --no-deps aeon==1.6.0``): 7 to 29 times each. Half of the times
of a series are dropped at random, and the model fills in all of them: the error is that at the dropped ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import files

import torch
from torch import Tensor, nn

from sciml.models.latent_ode import LatentODE, masked_error
from sciml.solvers.pid import PIDController
from sciml.solvers.regularization import KLWarmUp, global_error, global_stiffness, jitter, local_error, mean_of_steps

from .task import Method, Problem

DTYPE = torch.float64
LONGEST = 29
# Weights come from pilots with seed 0 at shorter trainings; that of the kept length is the larger of two tried at the
# full one, 0.5 and 1; those of the unbiased and the biased penalty, stiffness and TayNODE are guesses.
METHODS = (
    Method("vanilla"),
    Method("local unbiased", local_error, 15.0),
    Method("local biased", lambda stepper, solution: local_error(stepper, solution, biased=True), 15.0),
    Method("local, kept length", lambda stepper, solution: local_error(stepper, solution, kept_length=True), 1.0),
    Method("global error", lambda stepper, solution: global_error(stepper, solution, reduce=mean_of_steps), 0.5),
    Method("global stiffness", global_stiffness, 0.03),
    Method("TayNODE", taylor=2, weight=3e-4),
    Method("STEER", times=jitter),
)


@dataclass
class Vowels:
    """270 series to train on, 370 to test on."""

    name = "vowels"
    title = "Latent ODE on Japanese Vowels"
    score = "squared error at dropped times (lower is better)"
    methods = METHODS
    iterations: int = 2000
    tolerance: float = 1e-5
    latent: int = 20
    hidden: int = 50
    batch: int = 64
    learning_rate: float = 0.02
    divergence: float = 1e-3
    decay: float = 0.1

    def __post_init__(self) -> None:
        self.train = read_series("JapaneseVowels_TRAIN.ts")
        test = read_series("JapaneseVowels_TEST.ts")
        seen = ~torch.isnan(self.train)
        center = torch.where(seen, self.train, 0).sum(dim=(0, 1)) / seen.sum(dim=(0, 1))
        spread = (torch.where(seen, self.train - center, 0).square().sum(dim=(0, 1)) / seen.sum(dim=(0, 1))).sqrt()
        self.train, self.test = (self.train - center) / spread, (test - center) / spread
        self.shown = drop_times(self.test, torch.Generator().manual_seed(0))
        self.ts = torch.linspace(0, 1, LONGEST, dtype=DTYPE)
        self.controller = PIDController(rtol=self.tolerance, atol=self.tolerance)
        self.warm_up = KLWarmUp(start=10)

    def settings(self) -> dict[str, object]:
        return asdict(self)

    def model(self) -> nn.Module:
        return LatentODE(12, latent=self.latent, hidden=self.hidden, controller=self.controller).to(DTYPE)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adamax(model.parameters(), lr=self.learning_rate)

    def training_problem(self, model: nn.Module, iteration: int) -> Problem:
        values = self.train[torch.randint(len(self.train), (self.batch,))]
        posterior = model.encode(self.ts, drop_times(values))
        held = self.divergence * self.warm_up(iteration) * posterior.divergence().mean()
        return Problem(
            stepper=model.stepper,
            y0=posterior.sample(),
            ts=self.ts,
            loss=lambda zs: masked_error(model.decoder(zs), values).mean() + held,
            vector_field=model.field,
        )

    def prediction_problem(self, model: nn.Module) -> Problem:
        z0 = model.encode(self.ts, self.shown[:256]).mean
        return Problem(model.stepper, z0, self.ts, loss=lambda zs: zs.sum())

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        hidden = torch.where(torch.isnan(self.shown), self.test, torch.nan)
        return float(masked_error(model(self.ts, self.shown), hidden).mean())


def drop_times(values: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The series with each time hidden with probability one half, the first ones kept."""
    kept = torch.rand(values.shape[:2], generator=generator) < 0.5
    kept[:, 0] = True
    return torch.where(kept[..., None], values, torch.nan)


def read_series(name: str) -> Tensor:
    """The series of a .ts file of the package, (batch, 29, 12), NaN after the end of each.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    found = next((file for file in files("aeon") or () if file.name == name), None)
    if found is None:
        raise ModuleNotFoundError("Expected the package aeon with its data. Run: pip install --no-deps aeon==1.6.0")
    lines = [line for line in found.read_text().splitlines() if line and line[0] not in "#@"]
    series = torch.full((len(lines), LONGEST, 12), torch.nan, dtype=DTYPE)
    for row, line in enumerate(lines):
        channels = [[float(value) for value in channel.split(",")] for channel in line.split(":")[:-1]]
        series[row, : len(channels[0])] = torch.tensor(channels, dtype=DTYPE).T
    return series
