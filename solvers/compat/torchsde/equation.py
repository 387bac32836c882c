"""torchsde's classes of SDEs, and what its users write, as SDEs of this library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...stochastic.sde import SDE, Calculus, Noise

_NOISES = {
    "additive": Noise.ADDITIVE,
    "diagonal": Noise.DIAGONAL,
    "scalar": Noise.SCALAR,
    "general": Noise.GENERAL,
}
_CALCULI = {"ito": Calculus.ITO, "stratonovich": Calculus.STRATONOVICH}
_ROLES = {
    "drift": "f",
    "diffusion": "g",
    "prior_drift": "h",
    "diffusion_prod": "g_prod",
    "drift_and_diffusion": "f_and_g",
    "drift_and_diffusion_prod": "f_and_g_prod",
}


class BaseSDE(nn.Module):
    """A module with ``noise_type`` and ``sde_type``; its methods f and g are what is integrated.

    Raises:
        ValueError: one of them is unknown.
    """

    def __init__(self, noise_type: str, sde_type: str) -> None:
        super().__init__()
        _check("noise_type", noise_type, _NOISES)
        _check("sde_type", sde_type, _CALCULI)
        self.noise_type, self.sde_type = noise_type, sde_type


class SDEIto(BaseSDE):
    """An SDE in Ito's calculus."""

    def __init__(self, noise_type: str) -> None:
        super().__init__(noise_type, "ito")


class SDEStratonovich(BaseSDE):
    """An SDE in Stratonovich's calculus."""

    def __init__(self, noise_type: str) -> None:
        super().__init__(noise_type, "stratonovich")


@dataclass(frozen=True)
class Coefficients:
    """A user's SDE, its methods found by their roles.

    The whole batch is one sample of this library, of state (1, batch, dimension): torchsde's users write functions of
    one time for the whole batch, and its adaptive steps are the batch's.
    """

    sde: Any
    methods: dict[str, Callable[..., Any]]
    time: torch.dtype
    noise_size: int | None

    @classmethod
    def of(cls, sde: Any, names: dict[str, str] | None, time: torch.dtype, noise_size: int | None) -> Coefficients:
        """Look the methods up.

        Raises:
            ValueError: the SDE lacks noise_type, sde_type, a drift or a diffusion, or a name has no known role.
        """
        for attribute, known in (("noise_type", _NOISES), ("sde_type", _CALCULI)):
            if not hasattr(sde, attribute):
                raise ValueError(
                    f"Expected an sde with the attribute {attribute}, one of {sorted(known)}; it has none."
                )
            _check(attribute, getattr(sde, attribute), known)
        unknown = set(names or {}) - set(_ROLES)
        if unknown:
            raise ValueError(f"Expected names for {sorted(_ROLES)}, got {sorted(unknown)}.")
        called = {**_ROLES, **(names or {})}
        methods = {role: getattr(sde, name) for role, name in called.items() if hasattr(sde, name)}
        if not methods.keys() & {"drift", "drift_and_diffusion", "drift_and_diffusion_prod"}:
            raise ValueError("Expected an sde with a drift: a method f, f_and_g or f_and_g_prod, or names for it.")
        if not methods.keys() - {"drift", "prior_drift"}:
            raise ValueError("Expected an sde with a diffusion: a method g, g_prod, f_and_g or f_and_g_prod.")
        return cls(sde, methods, time, noise_size)

    def to_sde(self) -> SDE:
        """The SDE of (1, batch, dimension)."""
        joint = self.both if "drift_and_diffusion" in self.methods else None
        return SDE(self.drift, self.diffusion, self.noise, _CALCULI[self.sde.sde_type], joint=joint)

    @property
    def noise(self) -> Noise:
        """Its kind."""
        return _NOISES[self.sde.noise_type]

    @property
    def calculus(self) -> Calculus:
        """Ito's or Stratonovich's."""
        return _CALCULI[self.sde.sde_type]

    def checked(self, t: Tensor, y: Tensor) -> Coefficients:
        """These coefficients with the number of noise channels, found by evaluating them once at (t, y).

        Args:
            t: (1,).
            y: (1, batch, dimension).

        Raises:
            ValueError: drift or diffusion is of another shape than is expected, or scalar noise has several channels.
        """
        batch, size = y.shape[1:]
        if self._knows_diffusion():
            g = self.diffusion(t, y)[0]
            fits = g.shape == (batch, size) if self.noise is Noise.DIAGONAL else g.shape[:-1] == (batch, size)
            if not fits:
                wanted = f"({batch}, {size}" + (")" if self.noise is Noise.DIAGONAL else ", noise)")
                raise ValueError(
                    f"Expected the diffusion of {self.noise.value} noise of shape {wanted}, got {tuple(g.shape)}."
                )
            channels = g.shape[-1]
        else:
            channels = self._noise_channels()
            self._expect("the diffusion times noise", self.product(t, y, y.new_zeros(batch, channels))[0], y)
        self._expect("the drift", self.drift(t, y)[0], y)
        if self.noise is Noise.SCALAR and channels != 1:
            raise ValueError(f"Expected one channel of scalar noise, got {channels}. Write noise_type = 'general'.")
        return replace(self, noise_size=channels)

    @staticmethod
    def _expect(name: str, found: Tensor, y: Tensor) -> None:
        if found.shape != y.shape[1:]:
            raise ValueError(f"Expected {name} of y0's shape {tuple(y.shape[1:])}, got {tuple(found.shape)}.")

    def drift(self, t: Tensor, y: Tensor) -> Tensor:
        """f."""
        time = t[0].to(self.time)
        if "drift" in self.methods:
            return self.methods["drift"](time, y[0])[None]
        if "drift_and_diffusion" in self.methods:
            return self.methods["drift_and_diffusion"](time, y[0])[0][None]
        return self.methods["drift_and_diffusion_prod"](time, y[0], self._unit(y[0], None))[0][None]

    def diffusion(self, t: Tensor, y: Tensor) -> Tensor:
        """g, put together from products with unit vectors where that is all there is."""
        time = t[0].to(self.time)
        if "diffusion" in self.methods:
            return self.methods["diffusion"](time, y[0])[None]
        if "drift_and_diffusion" in self.methods:
            return self.methods["drift_and_diffusion"](time, y[0])[1][None]
        if self.noise is Noise.DIAGONAL:
            return self._product(time, y[0], torch.ones_like(y[0]))[None]
        columns = range(self._noise_channels())
        return torch.stack([self._product(time, y[0], self._unit(y[0], j)) for j in columns], dim=-1)[None]

    def prior_drift(self, t: Tensor, y: Tensor) -> Tensor:
        """h."""
        return self.methods["prior_drift"](t[0].to(self.time), y[0])[None]

    def both(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """f and g."""
        f, g = self.methods["drift_and_diffusion"](t[0].to(self.time), y[0])
        return f[None], g[None]

    def product(self, t: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """g times noise w of (batch, noise)."""
        if "diffusion_prod" in self.methods or not self._knows_diffusion():
            return self._product(t[0].to(self.time), y[0], w)[None]
        return matrix_product(self.diffusion(t, y), w[None])

    def drift_and_product(self, t: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """f, and g times noise w of (batch, noise)."""
        if "drift_and_diffusion_prod" in self.methods:
            f, product = self.methods["drift_and_diffusion_prod"](t[0].to(self.time), y[0], w)
            return f[None], product[None]
        if "drift_and_diffusion" in self.methods and not {"drift", "diffusion_prod"} <= self.methods.keys():
            f, g = self.both(t, y)
            return f, matrix_product(g, w[None])
        return self.drift(t, y), self.product(t, y, w)

    def _product(self, time: Tensor, y: Tensor, w: Tensor) -> Tensor:
        if "diffusion_prod" in self.methods:
            return self.methods["diffusion_prod"](time, y, w)
        return self.methods["drift_and_diffusion_prod"](time, y, w)[1]

    def _knows_diffusion(self) -> bool:
        return bool(self.methods.keys() & {"diffusion", "drift_and_diffusion"})

    def _unit(self, y: Tensor, column: int | None) -> Tensor:
        """A unit vector of noise for each sample, or none of it."""
        size = y.shape[1] if self.noise is Noise.DIAGONAL else self._noise_channels()
        w = y.new_zeros(len(y), size)
        return w if column is None else torch.eye(size, dtype=w.dtype, device=w.device)[column].expand_as(w)

    def _noise_channels(self) -> int:
        if self.noise_size is None:
            raise ValueError(
                "Expected bm, since the sde has products with the diffusion alone. Give a Brownian motion."
            )
        return self.noise_size


def matrix_product(g: Tensor, w: Tensor) -> Tensor:
    """A diffusion (..., dimension, noise) times noise (..., noise), or one of the noise's shape element by element."""
    return g * w if g.dim() == w.dim() else (g @ w[..., None]).squeeze(-1)


def _check(name: str, value: object, known: dict[str, Any]) -> None:
    if value not in known:
        raise ValueError(f"Expected {name} to be one of {sorted(known)}, got {value!r}.")
