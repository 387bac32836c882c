"""What a PDEGym set is to Poseidon: a file, channels with their constants, splits, a horizon, and what is scored.

M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024, and its reference code.
"""

from __future__ import annotations

from dataclasses import dataclass

LICENCE = "CC BY-NC 4.0, as its users report; see the data card"
KOLMOGOROV = "0.1 sin(2 pi (x + y))"
"""The forcing of FNS-KF, which its file does not hold; x and y run over [0, 1] with both ends."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A channel of an item.

    Attributes:
        name: of the channel.
        source: channel of the set's variable; or the name of another variable, without time; None for ``value``.
        mean, std, shift: constants of its normalisation.
        value: where it is not stored: a number, or ``KOLMOGOROV``.
    """

    name: str
    source: int | str | None
    mean: float = 0.0
    std: float = 1.0
    shift: float = 0.0
    value: float | str = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Label channels that share one error, such as the two of a velocity."""

    name: str
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PDEGymSet:
    """A data set and the task that the paper makes of it.

    Attributes:
        id: the reference's dotted name.
        name: the paper's.
        repository: of the hub, after "camlab-ethz/".
        variable: of the file; with ``grouped``, of each of its groups ``Sample_N``.
        shape: published, of the variable (with ``grouped``: sample first).
        valid, test: trajectories at the end of the file.
        steps, stride: pairs join frames 0, stride, ..., steps * stride; 0 for a steady map.
        long_steps: ``steps`` of the longer horizon ``.out``; None where there is none.
        time_constant: frames in a lead time of 1; None for a steady map.
        timed: whether items of a steady map carry a lead time of 1.
        inputs, outputs: channels of an item.
        groups: of the label's channels, as errors are taken.
        masks: "channels" (one flag for each), "domain" (one for each point) or "".
        masked: label channels that are not to be predicted.
        swapped: whether the file has the two axes of space exchanged.
        grouped: whether each sample is an HDF5 group of its own.
        interest: groups that the paper's figures score.
        rollout: steps in which the paper reaches the last frame; 1 is direct.
        pretraining: or else a downstream task.
        boundary: condition at the domain's ends.
        frame_time: physical time between frames, where it is known.
        gigabytes: of the whole file.
        licence: of the data.
    """

    id: str
    name: str
    repository: str
    variable: str
    shape: tuple[int, ...]
    valid: int = 120
    test: int = 240
    steps: int = 7
    stride: int = 2
    long_steps: int | None = 10
    time_constant: int | None = 20
    timed: bool = False
    inputs: tuple[Quantity, ...]
    outputs: tuple[Quantity, ...]
    groups: tuple[Group, ...]
    masks: str = ""
    masked: tuple[str, ...] = ()
    swapped: bool = False
    grouped: bool = False
    interest: tuple[str, ...]
    rollout: int = 1
    pretraining: bool = False
    boundary: str = "periodic"
    frame_time: float | None = None
    gigabytes: float
    licence: str = LICENCE

    @property
    def file(self) -> str:
        """Name of the whole file."""
        return self.repository + (".h5" if self.grouped else ".nc")

    @property
    def steady(self) -> bool:
        """Whether it maps an input to an answer, without time."""
        return self.time_constant is None

    @property
    def count(self) -> int:
        """Trajectories published."""
        return self.shape[0]

    @property
    def incompressible(self) -> bool:
        """Whether density and pressure are constants that stand in for what an incompressible flow lacks."""
        return "pressure" in self.masked

    @property
    def last_frame(self) -> int:
        """Of the horizon, at which the paper scores."""
        return self.steps * self.stride

    @property
    def axes(self) -> tuple[str, ...]:
        """Of the variable in the file."""
        between = {5: ("time", "channel"), 4: ("channel",) if self.steady else ("time",), 3: ()}[len(self.shape)]
        return ("sample", *between, "x", "y")
