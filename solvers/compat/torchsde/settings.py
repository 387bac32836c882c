"""The words that torchsde's arguments are, as its ``settings`` names them: ``SDE_TYPES.ito``."""

from __future__ import annotations


class _Words(type):
    """A class whose attributes are the allowed words."""

    def all(cls) -> list[str]:
        """The words, in order."""
        return sorted(word for name, word in vars(cls).items() if not name.startswith("__"))

    def __contains__(cls, word: object) -> bool:
        return word in cls.all()

    def __str__(cls) -> str:
        return str(cls.all())


class METHODS(metaclass=_Words):
    """Of ``method`` and ``adjoint_method``."""

    euler = "euler"
    milstein = "milstein"
    srk = "srk"
    midpoint = "midpoint"
    reversible_heun = "reversible_heun"
    adjoint_reversible_heun = "adjoint_reversible_heun"
    heun = "heun"
    log_ode_midpoint = "log_ode"
    euler_heun = "euler_heun"


class NOISE_TYPES(metaclass=_Words):
    """Of an SDE's ``noise_type``."""

    general = "general"
    diagonal = "diagonal"
    scalar = "scalar"
    additive = "additive"


class SDE_TYPES(metaclass=_Words):
    """Of an SDE's ``sde_type``."""

    ito = "ito"
    stratonovich = "stratonovich"


class LEVY_AREA_APPROXIMATIONS(metaclass=_Words):
    """Of a Brownian motion's ``levy_area_approximation``."""

    none = "none"
    space_time = "space-time"
    davie = "davie"
    foster = "foster"


class METHOD_OPTIONS(metaclass=_Words):
    """Keys of ``options``."""

    grad_free = "grad_free"
