"""A scene as a TOML file.

cells = 64
gravity = [0.0, -9.81]
duration = 2.0
frames = 61
walls = { x = "slip", y = ["no_slip", "slip"] }      # or one for all; { friction = 0.4 }, "none"

[[bodies]]
shape = { box = [[0.05, 0.0], [0.35, 0.6]] }
material = { fluid = { viscosity = 0.5 } }             # or "water"
velocity = [0.0, 0.0]

[[obstacles]]
shape = { sphere = { center = [0.7, 0.1], radius = 0.1 } }
contact = "slip"

Shapes are tables of one name: ``box`` (two corners), ``sphere``, ``capsule``, ``half_space``, ``mesh`` (a file,
relative to this one), ``union`` and ``intersection`` (lists of shapes), ``complement``, ``turned``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sciml.kernels.material_point.contact import ADHERING_SLIP, NO_SLIP, SLIP, STICKY, Contact
from sciml.scenes.body import Body, Emitter
from sciml.scenes.materials import material_named
from sciml.scenes.mesh import read_mesh
from sciml.scenes.sampling import BlueNoise, Pattern, Regular
from sciml.scenes.scene import Scene
from sciml.solvers.material_point.material import Material
from sciml.solvers.material_point.obstacle import Obstacle
from sciml.solvers.signed_distance import (
    SignedDistance,
    box,
    capsule,
    complement,
    half_space,
    intersection,
    sphere,
    turned,
    union,
)

CONTACTS = {"slip": SLIP, "no_slip": NO_SLIP, "sticky": STICKY, "adhering_slip": ADHERING_SLIP, "none": None}
_FILLING = ("shape", "material", "velocity", "points_per_cell", "spacing", "jitter", "blue_noise", "name")


def read_scene(path: str | Path) -> Scene:
    """The scene in a TOML file.

    Raises:
        ValueError: the file cannot be read or is not TOML, or an entry is not what it should be; the message names the
            file and the entry.
    """
    path = Path(path)
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}). Check the name.") from None
    except ValueError as error:
        raise ValueError(f"{path}: is not TOML: {error}.") from None
    try:
        return _Reader(path.parent).scene(entries)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path}: an entry is not of the kind expected: {error}.") from None


class _Reader:
    """Makes entries into objects; bodies of the same material share the object."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._materials: dict[str, Material] = {}
        self._shapes: dict[str, Callable[[Any], SignedDistance]] = {
            "box": self._box,
            "sphere": lambda given: sphere(**_known("sphere", given, "center", "radius")),
            "capsule": lambda given: capsule(**_known("capsule", given, "start", "end", "radius")),
            "half_space": lambda given: half_space(**_known("half_space", given, "point", "normal")),
            "mesh": self._mesh,
            "union": lambda given: union(*map(self._shape, given)),
            "intersection": lambda given: intersection(*map(self._shape, given)),
            "complement": lambda given: complement(self._shape(given)),
            "turned": self._turned,
        }

    def scene(self, entries: Mapping[str, Any]) -> Scene:
        known = [field.name for field in fields(Scene)]
        given = dict(_known("a scene", entries, *known))
        for name, read in (("bodies", self._body), ("emitters", self._emitter), ("obstacles", self._obstacle)):
            given[name] = tuple(_in(f"{name}[{k}]", read, part) for k, part in enumerate(given.get(name, ())))
        given["dtype"] = _dtype(given.get("dtype", "float32"))
        gravity = given.get("gravity", (0.0, -9.81))
        if "walls" in given:
            given["walls"] = _walls(given["walls"], len(gravity))
        return Scene(**given)

    def _body(self, given: Mapping[str, Any]) -> Body:
        return Body(**self._filling(given, "spin"))

    def _emitter(self, given: Mapping[str, Any]) -> Emitter:
        return Emitter(**self._filling(given, "until", "start", "every"))

    def _obstacle(self, given: Mapping[str, Any]) -> Obstacle:
        given = _known("an obstacle", given, "shape", "contact", "velocity")
        contact = _contact(given.get("contact", "no_slip"))
        if contact is None:
            raise ValueError("Expected a contact of an obstacle, got 'none'. Leave the obstacle out.")
        velocity = given.get("velocity")
        path = None if velocity is None else _straight(velocity)
        if "mesh" in given.get("shape", {}):
            raise ValueError("Expected an obstacle's shape to have a distance: a mesh has none. Build it of others.")
        return Obstacle(self._shape(given["shape"]), contact, path=path)

    def _filling(self, given: Mapping[str, Any], *own: str) -> dict[str, Any]:
        values = dict(_known("this", given, *_FILLING, *own))
        for name in ("shape", "material"):
            if name not in values:
                raise ValueError(f"Expected {name}, got none.")
        values["name"] = values.get("name") or _label(values["material"])
        values["shape"], values["material"] = self._shape(values["shape"]), self._material(values["material"])
        values["pattern"] = _pattern(values.pop("jitter", None), values.pop("blue_noise", False))
        return values

    def _material(self, given: Any) -> Material:
        name, parameters = _one("material", given)
        key = repr((name, sorted((parameters or {}).items())))
        if key not in self._materials:
            self._materials[key] = material_named(name, parameters)
        return self._materials[key]

    def _shape(self, given: Any) -> SignedDistance:
        name, value = _one("shape", given)
        if name not in self._shapes:
            raise ValueError(f"Expected a shape, one of {', '.join(self._shapes)}; got {name!r}.")
        return self._shapes[name](value)

    def _box(self, given: Any) -> SignedDistance:
        if isinstance(given, Sequence) and len(given) == 2:
            return box(*given)
        return box(**_known("box", given, "low", "high"))

    def _mesh(self, given: Any) -> SignedDistance:
        given = {"path": given} if isinstance(given, str) else dict(_known("mesh", given, "path", "size", "center"))
        return read_mesh(self._folder / given.pop("path"), **given)

    def _turned(self, given: Any) -> SignedDistance:
        given = _known("turned", given, "shape", "rotation", "about")
        return turned(self._shape(given["shape"]), given["rotation"], given["about"])


def _in(where: str, read: Callable[[Any], Any], given: Any) -> Any:
    """``read(given)``; an error says where."""
    try:
        return read(given)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _known(what: str, given: Any, *names: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"Expected a table of {', '.join(names)} for {what}, got {given!r}.")
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ValueError(f"Expected entries of {what} among {', '.join(names)}; got {', '.join(unknown)}.")
    return given


def _one(what: str, given: Any) -> tuple[str, Any]:
    """A name alone, or a table of a single name."""
    if isinstance(given, str):
        return given, None
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ValueError(f"Expected {what} as {{ name = ... }}, a table of one name, got {given!r}.")
    ((name, value),) = given.items()
    return name, value


def _label(given: Any) -> str:
    return given if isinstance(given, str) else next(iter(given), "")


def _pattern(jitter: float | None, blue_noise: bool) -> Pattern:
    if jitter is not None and blue_noise:
        raise ValueError("Expected jitter or blue_noise, got both. Give one.")
    return BlueNoise() if blue_noise else Regular(jitter or 0.0)


def _contact(given: Any) -> Contact | None:
    if isinstance(given, str):
        if given not in CONTACTS:
            raise ValueError(
                f"Expected a contact, one of {', '.join(CONTACTS)} or {{ friction = 0.4 }}, got {given!r}."
            )
        return CONTACTS[given]
    return Contact(**_known("a contact", given, "friction", "separating"))


def _walls(given: Any, dim: int) -> Any:
    """One contact for all axes; or a table of axes, each with one or with a pair (low, high); slip where not named."""
    if isinstance(given, str) or (isinstance(given, Mapping) and not set(given) <= set("xyz")):
        return _contact(given)
    table = _known("walls", given, *"xyz"[:dim])
    return [_sides(table.get(axis, "slip")) for axis in "xyz"[:dim]]


def _sides(given: Any) -> Any:
    if not isinstance(given, Sequence) or isinstance(given, str):
        return _contact(given)
    if len(given) != 2:
        raise ValueError(f"Expected one contact of an axis, or two for its low and high side, got {given}.")
    return tuple(_contact(side) for side in given)


def _straight(velocity: Sequence[float]) -> Callable[[Tensor], Tensor]:
    return lambda t: t[:, None] * torch.as_tensor(velocity, dtype=t.dtype, device=t.device)


def _dtype(name: Any) -> torch.dtype:
    known = {"float32": torch.float32, "float64": torch.float64}
    if name not in known:
        raise ValueError(f"Expected dtype float32 or float64, got {name!r}.")
    return known[name]
