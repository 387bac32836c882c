"""One step of an SDE along a Brownian path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ..arguments import BoundField
from ..controller import StepSizeController
from ..state import real_dtype
from ..stepper import Step
from .brownian import BrownianIncrement, BrownianPath
from .sde import SDE, Calculus, Noise, as_sde
from .whole_cells import WholeCells, whole_cells

_ADVICE = {
    Noise.ADDITIVE: "SRA1",
    Noise.DIAGONAL: "SRIW1 (Ito) or STOCHASTIC_HEUN (Stratonovich)",
    Noise.SCALAR: "SRIW1 (Ito) or STOCHASTIC_HEUN (Stratonovich)",
    Noise.COMMUTATIVE: "MILSTEIN (either calculus) or STOCHASTIC_HEUN (Stratonovich)",
    Noise.GENERAL: "EULER_MARUYAMA (Ito) or STOCHASTIC_HEUN (Stratonovich)",
}


@dataclass(frozen=True)
class SDEScheme:
    """A scheme and what it is valid for.

    Attributes:
        name: as in the literature.
        calculus: of the SDEs that it is valid for, None for both. With additive noise it takes either.
        orders: strong order for each kind of noise that it is valid for.
        step: ``(sde, t, dt, y, increment) -> Step``.
        needs_area: whether the increment has to come with the space-time Levy area.
        error_order: power of dt with which the step's error estimate shrinks, None without one.
    """

    name: str
    calculus: Calculus | None
    orders: Mapping[Noise, float]
    step: Callable[[SDE, Tensor, Tensor, Tensor, BrownianIncrement], Step]
    needs_area: bool = False
    error_order: float | None = None

    def order(self, sde: SDE) -> float:
        """The strong order for this SDE.

        Raises:
            ValueError: the scheme does not converge to its solution.
        """
        return check_validity(self.name, self.calculus, self.orders, sde)


class SDEStepper(nn.Module):
    """A stepper from an SDE, a Brownian path and a scheme.

    The path is a function of time: rejected steps lose nothing, and the same path may be met again by other schemes, by
    other steps and by the backward pass. ``Step.evaluations`` counts the drift or the diffusion, whichever is evaluated
    more often.

    Adaptive steps look ahead on the path. Schemes of strong order 1 or more still converge to the solution along it
    (J. G. Gaines, T. J. Lyons, SIAM J. Appl. Math. 57 (1997)); one of order 1/2, doubled, need not. There is no slope
    to choose a first length from: ``PIDController(dt0=...)``, or the whole span is tried first. A negative dt means
    something in Stratonovich's calculus, and with additive noise.

    Args:
        sde: the equation, for states (batch, *state).
        path: of shape (batch, noise) for a matrix diffusion, of the state's shape for one of the state's shape.
        scheme: the method, such as ``STOCHASTIC_HEUN``.

    Raises:
        ValueError: the scheme is not valid for the SDE's noise or calculus.
    """

    def __init__(self, sde: SDE, path: BrownianPath | WholeCells, scheme: SDEScheme) -> None:
        super().__init__()
        self.order = scheme.order(sde)
        self.error_order = scheme.error_order
        self.vector_field, self.path, self.scheme = sde, path, scheme

    def over(self, vector_field: SDE | BoundField) -> SDEStepper:
        """The same scheme and path for another SDE."""
        return SDEStepper(as_sde(vector_field), self.path, self.scheme)

    def without_branches(self, ts: Float[Tensor, "batch time"], controller: StepSizeController) -> SDEStepper:
        """The same steps in a form that compiles, for a solve over ``ts``.

        Raises:
            ValueError: the steps are not the cells of the Brownian path.
        """
        return SDEStepper(self.vector_field, whole_cells(self.path, ts, getattr(controller, "dt", None)), self.scheme)

    def select(self, rows: Tensor) -> SDEStepper:
        """The stepper of these samples alone."""
        return SDEStepper(self.vector_field.select(rows), self.path.select(rows), self.scheme)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch *state"]
    ) -> Step:
        """One step along the path.

        Raises:
            ValueError: the shapes of diffusion, path and state do not fit each other.
        """
        increment = self.path(t, dt, area=self.scheme.needs_area).to(real_dtype(y))
        return self.scheme.step(self.vector_field, t, dt, y, increment)

    def extra_repr(self) -> str:
        return self.scheme.name


def check_validity(name: str, calculus: Calculus | None, orders: Mapping[Noise, float], sde: SDE) -> float:
    """The strong order of a scheme for an SDE.

    Raises:
        ValueError: it is not valid for the SDE's noise or calculus.
    """
    if sde.noise not in orders:
        kinds = ", ".join(kind.value for kind in orders)
        raise ValueError(f"{name} is valid for {kinds} noise, got {sde.noise.value}. Use {_ADVICE[sde.noise]}.")
    if calculus not in (None, sde.calculus) and sde.noise is not Noise.ADDITIVE:
        convert = "to_ito" if calculus is Calculus.ITO else "to_stratonovich"
        raise ValueError(
            f"{name} converges to the {calculus.value} solution, got a {sde.calculus.value} SDE. "
            f"Convert it, sde.{convert}(), or use {_ADVICE[sde.noise]}."
        )
    return orders[sde.noise]
