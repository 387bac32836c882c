"""Implicit-explicit Runge-Kutta steps for y' = f_explicit + f_implicit, with only the second one stiff.

Source: C. Kennedy, M. Carpenter, "Additive Runge-Kutta schemes for convection-diffusion-reaction equations", Appl.
Numer. Math. 44 (2003).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ..arguments import BoundField
from ..state import State, broadcast, map_state
from ..stepper import Step
from .flat import Layout, RowField
from .newton import Newton
from .runge_kutta import ImplicitRungeKutta
from .stages import RowInterpolant, StagePolynomial, Stages, weighted
from .tableau import AdditiveTableau

VectorField = Callable[[Tensor, State], State]


class IMEX(nn.Module):
    """A stepper from a field that is cheap to treat explicitly, a stiff one, and an additive tableau.

    Args:
        explicit_field, implicit_field: ``(t, y) -> dy/dt`` with t of shape (batch,), the results structured and shaped
            as y; the equation's right-hand side is their sum. Modules' parameters are the stepper's.
        tableau: the method, such as ``KENCARP4``.
        solver: how the implicit stages are solved for; ``Newton(GMRES())`` for large states. A Jacobian given to it is
            that of the implicit field alone.
    """

    def __init__(
        self,
        explicit_field: VectorField,
        implicit_field: VectorField,
        tableau: AdditiveTableau,
        *,
        solver: Newton | None = None,
    ) -> None:
        super().__init__()
        self.explicit_field, self.implicit_field = explicit_field, implicit_field
        self.tableau = tableau
        self.solver = Newton() if solver is None else solver
        self.order = tableau.implicit.order
        self.error_order = tableau.implicit.error_order
        self.dense_order = tableau.implicit.dense_order

    def vector_field(self, t: Tensor, y: State, *args: Any) -> State:
        """The sum of both fields."""
        return map_state(lambda a, b: a + b, self.explicit_field(t, y, *args), self.implicit_field(t, y, *args))

    def over(self, vector_field: VectorField) -> IMEX | ImplicitRungeKutta:
        """The same method with arguments bound; over another field, which is not split, its implicit part."""
        if isinstance(vector_field, BoundField) and vector_field.field == self.vector_field:
            explicit, implicit = (BoundField(field, vector_field.args) for field in self._fields())
            return IMEX(explicit, implicit, self.tableau, solver=self.solver)
        return ImplicitRungeKutta(vector_field, self.tableau.implicit, solver=self.solver)

    def select(self, rows: Tensor) -> IMEX:
        """The stepper for these samples alone."""
        explicit, implicit = (field.select(rows) if hasattr(field, "select") else field for field in self._fields())
        return IMEX(explicit, implicit, self.tableau, solver=self.solver)

    def _fields(self) -> tuple[VectorField, VectorField]:
        return self.explicit_field, self.implicit_field

    def within(self, rtol: float | Tensor, atol: float | Tensor) -> IMEX:
        """The same method with its iterations stopped by the tolerances of the solve."""
        return IMEX(self.explicit_field, self.implicit_field, self.tableau, solver=self.solver.within(rtol, atol))

    def slope(self, t: Float[Tensor, " batch"], y: State, reuse: Any = None) -> State:
        """The time derivative at (t, y)."""
        return self.vector_field(t, y)

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State) -> Step:
        """One step. An evaluation of either field counts as one.

        Raises:
            ValueError: a field or the user's Jacobian returns another shape than y asks for.
        """
        layout, method = Layout(y), self.tableau.implicit
        rows, step = layout.flatten(y), broadcast(dt, layout.flatten(y))
        explicit = RowField(self.explicit_field, layout)
        implicit = RowField(self.implicit_field, layout)
        stiff, mild = [implicit(t, rows)], [explicit(t, rows)]
        differentiable = rows if rows.requires_grad else stiff[0] + mild[0]
        stages = Stages.begin(self.solver, implicit, t, dt, rows, differentiable, method.diagonal)
        for i in range(1, len(method.c)):
            at = t + method.c[i] * dt
            base = rows + step * (weighted(self.tableau.a[i], mild) + weighted(method.a[i], stiff))
            stiff.append(stages.slope(at, base, weighted(method.guesses[i], stiff)))
            mild.append(explicit(at, base + stages.shift * stiff[-1]))
        slopes = [a + b for a, b in zip(stiff, mild)]
        error = stages.mask(step * weighted(method.b_error, slopes), float("inf"))
        return Step(
            y=layout.restore(stages.mask(rows + step * weighted(method.b, slopes))),
            error=layout.restore(error),
            dense=RowInterpolant(layout, StagePolynomial(method.interpolant, rows, dt, slopes)),
            evaluations=stages.evaluations + len(mild) + 1,
        )

    def extra_repr(self) -> str:
        return self.tableau.implicit.name
