"""The datasets that the benchmark makes for itself when it is given none.

They are to be made in under a minute on two idle cores, and to tell operators apart: between frames the fields must
move so far that repeating the last one fails, and so nonlinearly that no matrix can advance them.

- Eddies at 64 x 64, Reynolds number 2000 on the box: where the flow is fastest, vorticity is carried 6 cells per frame.
  Persistence has a relative error of 0.45 from the first frame to the second, 0.37 in the mean over a trajectory and
  0.27 at its end, as the eddies merge and slow down. The 64 x 64 grid itself would be off by up to 4.5 % from one twice
  as fine, hence supersample 2 (five times the work).
- Burgers at 256 points: sines that steepen into shocks over the first frames and decay; each trajectory has its own
  viscosity. Persistence has 0.34 at the first frame and 0.13 in the mean.
"""

from __future__ import annotations

from sciml.generation.families.burgers import BURGERS_1D
from sciml.generation.families.navier_stokes import NAVIER_STOKES_2D
from sciml.generation.recipe import Recipe

DEFAULT_BENCH: dict[str, Recipe] = {
    "navier-stokes-2d": Recipe(
        NAVIER_STOKES_2D,
        trajectories=72,
        size=64,
        frames=21,
        dt=0.1,
        supersample=2,
        parameters={"viscosity": 5e-4},
        splits=(48, 8, 16),
    ),
    "burgers-1d": Recipe(BURGERS_1D, trajectories=72, size=256, frames=21, dt=0.05, supersample=2, splits=(48, 8, 16)),
}
