"""Options of a method."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any


def known(options: dict[str, Any] | None, names: Iterable[str], method: str) -> dict[str, Any]:
    """The options of these names; a warning where there are others."""
    options = {} if options is None else options
    names = set(names)
    unknown = {name: value for name, value in options.items() if name not in names}
    if unknown:
        warnings.warn(f"Method {method!r} takes no options {unknown}.", stacklevel=5)
    return {name: value for name, value in options.items() if name in names}
