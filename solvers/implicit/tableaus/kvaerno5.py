"""A. Kvaerno, "Singly diagonally implicit Runge-Kutta methods with an explicit first stage", BIT 44 (2004).

Her 5/4 pair in seven stages: both methods stiffly accurate; the fifth-order one, L-stable, is carried on. Its third
stage lies beyond the step, at 1.23 dt, so that a field is evaluated past the last output time.

The dense output is ours: of all weights b_i(theta) of degree 4 that satisfy the order conditions up to order four at
every theta, and join smoothly from step to step (b(1) = b, b'(0) and b'(1) the first and the last stage), those of
least norm.
"""

from ..tableau import ImplicitTableau

_G = 0.26
_A6 = (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676, _G)
_A7 = (
    0.13659751177640291,
    0.0,
    -0.05496908796538376,
    -0.04118626728321046,
    0.62993304899016403,
    0.06962479448202728,
    _G,
)

KVAERNO5 = ImplicitTableau(
    name="Kvaerno5",
    order=5,
    c=(0.0, 0.52, 1.23033320996790809, 0.89576598435007589, 0.43639360985864758, 1.0, 1.0),
    a=(
        (0.0,),
        (_G, _G),
        (0.13, 0.84033320996790809, _G),
        (0.22371961478320505, 0.47675532319799699, -0.06470895363112615, _G),
        (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998, _G),
        _A6,
        _A7,
    ),
    b=_A7,
    b_error=tuple(b - a for b, a in zip(_A7, (*_A6, 0.0))),
    error_order=5,
    interpolant=(
        (1.0, -2.072037588795683, 1.6904652246969776, -0.4818301241248917),
        (),
        (0.0, 0.8427243190616526, -1.9053249899848401, 1.0076315829578038),
        (0.0, -0.6665857136422407, 1.1684263581516396, -0.5430269117926094),
        (0.0, 3.256928814399353, -3.99412543283805, 1.367129667428861),
        (0.0, -0.6050255205696824, 1.488550219067474, -0.8138999040157643),
        (0.0, -0.7560043104533993, 1.5520086209067987, -0.5360043104533994),
    ),
    dense_order=4,
)
