"""The Gauss methods (J. Butcher, "Implicit Runge-Kutta processes", Math. Comp. 18 (1964)).

A-stable and symplectic, of the highest order for their stages; no error estimate. No dense output either: the
collocation polynomial falls behind the order at the end of the step by as much as there are stages.
"""

from ..tableau import CollocationTableau

GAUSS4 = CollocationTableau(name="Gauss4", order=4, c=(0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6))
GAUSS6 = CollocationTableau(name="Gauss6", order=6, c=(0.5 - 15**0.5 / 10, 0.5, 0.5 + 15**0.5 / 10))
