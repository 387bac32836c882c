"""A drop-in for torchdiffeq: ``from sciml.solvers.compat.torchdiffeq import odeint, odeint_adjoint, odeint_event``.

Names, signatures, methods and options are those of torchdiffeq 0.2.5 and of its repository (``tsit5`` and the implicit
methods); what is integrated, and how accurately, is this library's.
"""

from .adjoint import odeint_adjoint
from .errors import InputError, IntegrationError
from .odeint import odeint, odeint_dense
from .odeint_event import odeint_event

__all__ = ["InputError", "IntegrationError", "odeint", "odeint_adjoint", "odeint_dense", "odeint_event"]
