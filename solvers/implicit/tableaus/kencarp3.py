"""C. Kennedy, M. Carpenter, "Additive Runge-Kutta schemes for convection-diffusion-reaction equations", Appl. Numer.
Math. 44 (2003): ARK3(2)4L[2]SA, third order in four stages, with their second-order dense output.

The implicit part is L-stable and stiffly accurate.
"""

from ..tableau import AdditiveTableau, ImplicitTableau

_G = 1767732205903 / 4055673282236
_B = (1471266399579 / 7840856788654, -4482444167858 / 7529755066697, 11266239266428 / 11593286722821, _G)
_EMBEDDED = (
    2756255671327 / 12835298489170,
    -10771552573575 / 22201958757719,
    9247589265047 / 10645013368117,
    2193209047091 / 5459859503100,
)

KENCARP3 = AdditiveTableau(
    implicit=ImplicitTableau(
        name="KenCarp3",
        order=3,
        c=(0.0, 2 * _G, 3 / 5, 1.0),
        a=(
            (0.0,),
            (_G, _G),
            (2746238789719 / 10658868560708, -640167445237 / 6845629431997, _G),
            _B,
        ),
        b=_B,
        b_error=tuple(b - e for b, e in zip(_B, _EMBEDDED)),
        error_order=3,
        interpolant=(
            (4655552711362 / 22874653954995, -215264564351 / 13552729205753),
            (-18682724506714 / 9892148508045, 17870216137069 / 13817060693119),
            (34259539580243 / 13192909600954, -28141676662227 / 17317692491321),
            (584795268549 / 6622622206610, 2508943948391 / 7218656332882),
        ),
        dense_order=2,
    ),
    a=(
        (),
        (2 * _G,),
        (5535828885825 / 10492691773637, 788022342437 / 10882634858940),
        (6485989280629 / 16251701735622, -4246266847089 / 9704473918619, 10755448449292 / 10357097424841),
    ),
)
