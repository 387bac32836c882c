"""The datasets that the benchmark makes for itself when it is given none.

They are to be made in well under a minute on two cores, and to tell operators apart: the fields must move so far between
frames that repeating the last one fails, and so nonlinearly that no matrix can advance them.

- Eddies at 64 x 64, Reynolds number 2000 on the box: vorticity is carried 6 cells per frame where the flow is fastest.
  Persistence has a relative error of 0.45 from the first frame to the second, 0.37 in the mean over the trajectory and
  0.27 at its end, as the eddies merge and slow down. A solver on the 64 x 64 grid itself would be off by 4 %, hence the
  finer one (supersample 2).
- Burgers at 256 points: sines that steepen into shocks over the first frames and decay; each trajectory has its own
  viscosity. Persistence has 0.34 at the first frame and 0.13 in the mean. Twice the grid suffices: a grid of eight times
  the points changes the fields by less than 1e-4.
"""

from __future__ import annotations

from sciml.generation.families.burgers import BURGERS_1D
from sciml.generation.families.navier_stokes import NAVIER_STOKES_2D
from sciml.generation.recipe import Recipe

DEFAULT_BENCH: dict[str, Recipe] = {
    "navier-stokes-2d": Recipe(
        NAVIER_STOKES_2D,
        trajectories=88,
        size=64,
        frames=21,
        dt=0.1,
        supersample=2,
        parameters={"viscosity": 5e-4},
        splits=(64, 8, 16),
    ),
    "burgers-1d": Recipe(BURGERS_1D, trajectories=88, size=256, frames=21, dt=0.05, supersample=2, splits=(64, 8, 16)),
}
