"""The Radau IIA methods (B. Ehle, 1969): collocation with the end of the step as last node; L-stable.

Source: E. Hairer, G. Wanner, "Solving Ordinary Differential Equations II", tables IV.5.5 and IV.5.6. The fifth-order
one with its error estimate is their code RADAU5.
"""

from ..tableau import CollocationTableau

RADAU_IIA3 = CollocationTableau(name="RadauIIA3", order=3, c=(1 / 3, 1.0), dense_order=2)
RADAU_IIA5 = CollocationTableau(
    name="RadauIIA5",
    order=5,
    c=((4 - 6**0.5) / 10, (4 + 6**0.5) / 10, 1.0),
    error_order=4,
    dense_order=3,
)
