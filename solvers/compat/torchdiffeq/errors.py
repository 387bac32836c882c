"""Errors that code written for torchdiffeq catches.

It asserts where this library raises ``ValueError`` or ``SolveError``: these are both.
"""

from __future__ import annotations


class InputError(ValueError, AssertionError):
    """An argument is not what was expected."""


class InputTypeError(InputError, TypeError):
    """An argument is of another type than was expected."""


class IntegrationError(RuntimeError, AssertionError):
    """The integration did not reach its end."""
