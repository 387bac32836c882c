"""torchsde's methods as steppers of this library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...stochastic.reversible_heun import ReversibleHeunSDE
from ...stochastic.schemes import (
    EULER_HEUN,
    EULER_MARUYAMA,
    MILSTEIN,
    MILSTEIN_PLATEN,
    SRA1,
    SRIW1,
    STOCHASTIC_HEUN,
    STOCHASTIC_MIDPOINT,
)
from ...stochastic.sde import SDE, Noise
from ...stochastic.sde_stepper import SDEScheme, SDEStepper
from .equation import Coefficients
from .levy import BETWEEN_CHANNELS
from .motion import Motion
from .settings import METHODS, NOISE_TYPES, SDE_TYPES
from .steppers import LogODE, ProductStepper

_NOT_GENERAL = ("additive", "diagonal", "scalar")
_STRATONOVICH = (SDE_TYPES.stratonovich,)
_PRODUCTS: dict[str, SDEScheme] = {
    "euler": EULER_MARUYAMA,
    "midpoint": STOCHASTIC_MIDPOINT,
    "heun": STOCHASTIC_HEUN,
    "euler_heun": EULER_HEUN,
}


@dataclass(frozen=True)
class Method:
    """What a method is for.

    Attributes:
        name: its name.
        sde_types, noise_types: of the SDEs that it solves.
        levy_areas: approximations, one of which a given Brownian motion has to have; the last is the default one's.
    """

    name: str
    sde_types: tuple[str, ...] = _STRATONOVICH
    noise_types: tuple[str, ...] = tuple(NOISE_TYPES.all())
    levy_areas: tuple[str, ...] = ("space-time", *BETWEEN_CHANNELS, "none")

    def solves(self, sde: Any) -> bool:
        """Whether it converges to the solution of such an SDE."""
        return sde.sde_type in self.sde_types and sde.noise_type in self.noise_types

    def check_motion(self, bm: Any) -> None:
        """
        Raises:
            ValueError: the Brownian motion has not the Levy areas that the method needs.
        """
        has = getattr(bm, "levy_area_approximation", self.levy_areas[-1])
        if has not in self.levy_areas:
            wanted = self.levy_areas[-1]
            raise ValueError(
                f"Expected bm with a levy_area_approximation of {list(self.levy_areas)} for method {self.name!r}, got "
                f"{has!r}. Write BrownianInterval(..., levy_area_approximation={wanted!r}), or give no bm."
            )

    def stepper(
        self, sde: SDE, coefficients: Coefficients, motion: Motion, options: dict[str, Any], plain: bool
    ) -> Any:
        """Its stepper.

        Args:
            sde: the equation.
            coefficients: of the caller's SDE.
            motion: of shape (1, batch, noise).
            options: ``grad_free`` for milstein.
            plain: whether ``sde`` is that of the coefficients.
        """
        if self.name == "reversible_heun":
            return ReversibleHeunSDE(sde, motion)  # type: ignore[arg-type]
        if self.name in _PRODUCTS:
            scheme = _PRODUCTS[self.name]
            return ProductStepper(coefficients, motion, scheme) if plain else _native(sde, motion, scheme)
        if self.name == "log_ode":
            return LogODE(sde, motion) if sde.noise is Noise.GENERAL else _native(sde, motion, STOCHASTIC_MIDPOINT)
        if self.name == "srk":
            return _native(sde, motion, SRA1 if sde.noise is Noise.ADDITIVE else SRIW1)
        return _native(sde, motion, MILSTEIN_PLATEN if options.get("grad_free", False) else MILSTEIN)


def _native(sde: SDE, motion: Motion, scheme: SDEScheme) -> SDEStepper:
    return SDEStepper(sde, motion, scheme)  # type: ignore[arg-type]


_TABLE = (
    Method("euler", (SDE_TYPES.ito,)),
    Method("milstein", (SDE_TYPES.ito, SDE_TYPES.stratonovich), _NOT_GENERAL),
    Method("srk", (SDE_TYPES.ito,), _NOT_GENERAL, (*BETWEEN_CHANNELS, "space-time")),
    Method("midpoint"),
    Method("heun"),
    Method("euler_heun"),
    Method("reversible_heun"),
    Method("log_ode", levy_areas=BETWEEN_CHANNELS),
)
_METHODS = {method.name: method for method in _TABLE}


def method_of(name: str | None, sde: Any) -> Method:
    """The method of that name for an SDE, its default for None.

    Raises:
        ValueError: there is none, or it does not solve such an SDE.
    """
    if name is None:
        name = "midpoint" if sde.sde_type in _STRATONOVICH else "euler" if sde.noise_type == "general" else "srk"
    solving = [method.name for method in _TABLE if method.solves(sde)]
    if name not in solving:
        known = "" if name in METHODS else f" It is none of {METHODS}."
        raise ValueError(
            f"Expected method to be one of {solving} for an sde of sde_type {sde.sde_type!r} and noise_type "
            f"{sde.noise_type!r}, got {name!r}.{known}"
        )
    return _METHODS[name]
