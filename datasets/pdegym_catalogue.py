"""The sets of PDEGym: 20 files, 21 tasks, 15 of them downstream.

M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024; channels, constants, splits and names
are those of its reference code, rollouts and what is scored those of the paper's table 6. Values of items are
(stored - shift - mean) / std. Shapes are those published; readers take the file's own.
"""

from __future__ import annotations

from dataclasses import replace

from .pdegym_record import KOLMOGOROV, Group, PDEGymSet, Quantity

RHO, UV, P, G = Group("rho", 1), Group("uv", 2), Group("p", 1), Group("g", 1)
U, C, TRACER = Group("u", 1), Group("c", 1), Group("tracer", 1)

_INCOMPRESSIBLE = (
    Quantity("density", None, 0.80, 0.31, value=1.0),
    Quantity("velocity_x", 0, 0.0, 0.391),
    Quantity("velocity_y", 1, 0.0, 0.356),
    Quantity("pressure", None, 0.0, 0.185),
)
_WITH_TRACER = (*_INCOMPRESSIBLE, Quantity("tracer", 2, 0.19586183, 0.37))
_FORCED = (
    _INCOMPRESSIBLE[0],
    Quantity("velocity_x", 0, -2.2424793e-13, 0.22017328),
    Quantity("velocity_y", 1, 4.1510376e-12, 0.22078253),
    _INCOMPRESSIBLE[3],
    Quantity("forcing", None, -1.2996679288335145e-09, 0.0707106739282608, value=KOLMOGOROV),
)


def _compressible(pressure_mean: float) -> tuple[Quantity, ...]:
    return (
        Quantity("density", 0, 0.80, 0.31),
        Quantity("velocity_x", 1, 0.0, 0.391),
        Quantity("velocity_y", 2, 0.0, 0.356),
        Quantity("pressure", 3, 0.0, 0.185, shift=pressure_mean),
    )


_RICHTMYER_MESHKOV = (
    Quantity("density", 0, 1.1964245, 0.5543239),
    Quantity("velocity_x", 1, -7.164812e-06, 0.24304213),
    Quantity("velocity_y", 2, 2.8968952e-06, 0.2430597),
    Quantity("pressure", 3, 1.5648036, 0.89639103),
)
_RAYLEIGH_TAYLOR = (
    Quantity("density", 0, 0.8970493, 0.12857835),
    Quantity("velocity_x", 1, 4.0316996e-13, 0.014896976),
    Quantity("velocity_y", 2, -1.3858967e-13, 0.014896975),
    Quantity("pressure", 3, 0.7133829, 0.21293919),
    Quantity("potential", 5, -1.7055787, 0.40131348),
)
_WAVE_LAYER = (
    Quantity("u", 0, 0.03467443221585092, 0.10442421752963911),
    Quantity("c", "c", 3498.5644380917424, 647.843958567462),
)
_WAVE_GAUSS = (Quantity("u", 0, 0.0334376316, 0.1171879068), Quantity("c", "c", 2618.4593933, 601.51658913))
_ALLEN_CAHN = (Quantity("u", 0, 0.002484262, 0.65351176),)

_SINES = PDEGymSet(
    id="fluids.incompressible.Sines",
    name="NS-Sines",
    repository="NS-Sines",
    variable="velocity",
    shape=(20000, 21, 3, 128, 128),
    inputs=_INCOMPRESSIBLE,
    outputs=_INCOMPRESSIBLE,
    groups=(RHO, UV, P),
    masks="channels",
    masked=("pressure",),
    interest=("uv",),
    rollout=7,
    pretraining=True,
    frame_time=0.05,
    gigabytes=82.6,
)


def _like_sines(id: str, name: str) -> PDEGymSet:
    return replace(_SINES, id=f"fluids.incompressible.{id}", name=name, repository=name, pretraining=name == "NS-Gauss")


_PWC = _like_sines("PiecewiseConstants", "NS-PwC")
_RIEMANN = PDEGymSet(
    id="fluids.compressible.Riemann",
    name="CE-RP",
    repository="CE-RP",
    variable="data",
    shape=(10000, 21, 5, 128, 128),
    inputs=_compressible(0.215),
    outputs=_compressible(0.215),
    groups=(RHO, UV, P),
    masks="channels",
    interest=("rho", "uv", "p"),
    rollout=7,
    pretraining=True,
    frame_time=0.05,
    gigabytes=68.8,
)


def _like_riemann(id: str, name: str, pressure_mean: float) -> PDEGymSet:
    channels, id = _compressible(pressure_mean), f"fluids.compressible.{id}"
    pretraining = name != "CE-RPUI"
    return replace(
        _RIEMANN, id=id, name=name, repository=name, inputs=channels, outputs=channels, pretraining=pretraining
    )


_WAVE = PDEGymSet(
    id="wave.Layer",
    name="Wave-Layer",
    repository="Wave-Layer",
    variable="solution",
    shape=(10512, 21, 128, 128),
    valid=60,
    inputs=_WAVE_LAYER,
    outputs=_WAVE_LAYER,
    groups=(U, C),
    interest=("u",),
    boundary="absorbing",
    gigabytes=15.2,
)

PDEGYM: tuple[PDEGymSet, ...] = (
    _SINES,
    _like_sines("Gaussians", "NS-Gauss"),
    _PWC,
    replace(
        _PWC,
        id="fluids.incompressible.PiecewiseConstants.tracer",
        name="NS-Tracer-PwC",
        inputs=_WITH_TRACER,
        outputs=_WITH_TRACER,
        groups=(RHO, UV, P, TRACER),
        interest=("uv", "tracer"),
    ),
    _like_sines("VortexSheet", "NS-SVS"),
    _like_sines("BrownianBridge", "NS-BB"),
    replace(_like_sines("ShearLayer", "NS-SL"), shape=(40000, 21, 2, 128, 128), swapped=True, gigabytes=110.0),
    replace(
        _like_sines("forcing.KolmogorovFlow", "FNS-KF"),
        variable="solution",
        shape=(20000, 21, 2, 128, 128),
        inputs=_FORCED,
        outputs=_FORCED,
        groups=(RHO, UV, P, G),
        rollout=1,
        gigabytes=55.1,
    ),
    _RIEMANN,
    _like_riemann("RiemannCurved", "CE-CRP", 0.553),
    _like_riemann("KelvinHelmholtz", "CE-KH", 1.0),
    _like_riemann("Gaussians", "CE-Gauss", 2.513),
    _like_riemann("RiemannKelvinHelmholtz", "CE-RPUI", 1.33),
    replace(
        _RIEMANN,
        id="fluids.compressible.RichtmyerMeshkov",
        name="CE-RM",
        repository="CE-RM",
        variable="solution",
        shape=(1260, 21, 5, 128, 128),
        valid=100,
        test=130,
        inputs=_RICHTMYER_MESHKOV,
        outputs=_RICHTMYER_MESHKOV,
        rollout=1,
        pretraining=False,
        frame_time=0.1,
        gigabytes=8.67,
    ),
    replace(
        _RIEMANN,
        id="fluids.compressible.gravity.RayleighTaylor",
        name="GCE-RT",
        repository="GCE-RT",
        variable="solution",
        shape=(1260, 11, 6, 128, 128),
        valid=100,
        test=130,
        stride=1,
        time_constant=10,
        inputs=_RAYLEIGH_TAYLOR,
        outputs=_RAYLEIGH_TAYLOR,
        groups=(RHO, UV, P, G),
        interest=("rho", "uv", "p", "g"),
        rollout=1,
        pretraining=False,
        frame_time=0.5,
        gigabytes=5.45,
    ),
    PDEGymSet(
        id="fluids.compressible.steady.Airfoil",
        name="SE-AF",
        repository="SE-AF",
        variable="solution",
        shape=(10869, 2, 128, 128),
        steps=0,
        long_steps=None,
        time_constant=None,
        inputs=(Quantity("shape", 0),),
        outputs=(Quantity("density", 1, 0.92984116, 0.10864315),),
        groups=(RHO,),
        masks="domain",
        interest=("rho",),
        boundary="free stream",
        gigabytes=1.43,
    ),
    PDEGymSet(
        id="elliptic.poisson.Gaussians",
        name="Poisson-Gauss",
        repository="Poisson-Gauss",
        variable="solution",
        shape=(20000, 128, 128),
        steps=0,
        long_steps=None,
        time_constant=None,
        inputs=(Quantity("source", "source", 0.014822142414492256, 4.755138816607612),),
        outputs=(Quantity("u", 0, 0.0005603458434937093, 0.02401226126952699),),
        groups=(U,),
        interest=("u",),
        boundary="Dirichlet, 0",
        gigabytes=2.62,
    ),
    PDEGymSet(
        id="elliptic.Helmholtz",
        name="Helmholtz",
        repository="Helmholtz",
        variable="u",
        shape=(19675, 128, 128),
        valid=128,
        test=512,
        steps=0,
        long_steps=None,
        time_constant=None,
        inputs=(Quantity("a", "a", shift=1.0), Quantity("bc", "bc")),
        outputs=(Quantity("u", 0, 0.11523915668552, 0.8279975746000605),),
        groups=(U,),
        grouped=True,
        interest=("u",),
        boundary="Dirichlet, bc",
        gigabytes=5.2,
    ),
    _WAVE,
    replace(
        _WAVE,
        id="wave.Gaussians",
        name="Wave-Gauss",
        repository="Wave-Gauss",
        shape=(10512, 16, 128, 128),
        long_steps=None,
        time_constant=15,
        inputs=_WAVE_GAUSS,
        outputs=_WAVE_GAUSS,
        gigabytes=11.7,
    ),
    PDEGymSet(
        id="reaction_diffusion.AllenCahn",
        name="ACE",
        repository="ACE",
        variable="solution",
        shape=(15000, 20, 128, 128),
        valid=60,
        long_steps=9,
        time_constant=19,
        inputs=_ALLEN_CAHN,
        outputs=_ALLEN_CAHN,
        groups=(U,),
        interest=("u",),
        frame_time=0.0002 / 19,
        gigabytes=19.7,
    ),
)


def pdegym_set(name: str) -> PDEGymSet:
    """The set of a dotted name, of the paper's or of a file's.

    A name may end in ``.out`` (the longer horizon), ``.time`` (a steady map with a lead time) and ``.tracer`` (a flow
    with its tracer).

    Raises:
        ValueError: there is none, or it has no such variant; the message names those there are.
    """
    base, suffixes = _split(name)
    tracer = "tracer" in suffixes
    found = next((entry for entry in PDEGYM if base in (entry.id, entry.name, entry.file)), None)
    if found is not None and tracer:
        found = next((entry for entry in PDEGYM if entry.id == f"{found.id}.tracer"), None)
        if found is None:
            having = [entry.id for entry in PDEGYM if entry.id.endswith(".tracer")]
            raise ValueError(f"Expected a set with a tracer, got {name!r}. Only {', '.join(having)} has one.")
    if found is None:
        known = ", ".join(f"{entry.id} ({entry.name})" for entry in PDEGYM)
        raise ValueError(
            f"Expected the name of a PDEGym set, got {name!r}. Known: {known}; with .tracer, .out or .time."
        )
    for suffix in sorted(suffixes - {"tracer"}):
        found = _variant(found, suffix, name)
    return found


def _split(name: str) -> tuple[str, set[str]]:
    base, suffixes = name, set[str]()
    while base.rpartition(".")[2] in ("tracer", "out", "time"):
        base, _, suffix = base.rpartition(".")
        suffixes.add(suffix)
    return base, suffixes


def _variant(entry: PDEGymSet, suffix: str, name: str) -> PDEGymSet:
    if suffix == "time":
        if not entry.steady:
            raise ValueError(f"Expected .time after a steady map, got {name!r}. It depends on time: leave out .time.")
        return replace(entry, id=f"{entry.id}.time", timed=True)
    if entry.long_steps is None:
        having = ", ".join(other.name for other in PDEGYM if other.long_steps)
        raise ValueError(f"Expected .out after a set with a longer horizon, got {name!r}. Those are {having}.")
    rollout = entry.long_steps if entry.rollout > 1 else 1
    return replace(entry, id=f"{entry.id}.out", steps=entry.long_steps, rollout=rollout)
