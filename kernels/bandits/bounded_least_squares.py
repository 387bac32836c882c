"""Small least-squares problems with bounds, from their normal equations."""

from __future__ import annotations

import numpy as np

_CONDITION = 1e8  # up to which G is inverted
_RANK = 1e-10  # eigenvalues below this part of the largest count as 0


def bounded_least_squares(
    gram: np.ndarray, moment: np.ndarray, bound: np.ndarray, guess: np.ndarray | None = None
) -> np.ndarray:
    """theta with |theta| <= bound that minimises theta G theta - 2 g theta; without active bounds the shortest.

    Stark, Parker, "Bounded-variable least squares: an algorithm and applications", 1995: coefficients that want to
    leave are held at their bounds, and let go where that lowers the sum.

    Args:
        gram: G, symmetric and positive semidefinite.
        moment: g.
        bound: > 0, of each coefficient.
        guess: the solution of a similar problem; those that it has at their bounds are held at first.
    """
    gram = np.ascontiguousarray(gram)
    theta = guess
    held = np.zeros(len(bound), dtype=bool) if theta is None else np.abs(theta) >= bound
    if theta is None or not held.any():
        theta = _least(gram, moment)
        held = np.abs(theta) >= bound
        if not held.any():
            return theta
    theta = np.clip(theta, -bound, bound)
    for _ in range(4 * len(bound)):
        theta, held = _descend(gram, moment, bound, theta, held)
        slope = gram @ theta - moment
        wrong = np.where(held, slope * np.sign(theta), 0.0)
        if wrong.max() <= 1e-12 * max(np.abs(moment).max(), 1e-300):
            break
        held[wrong.argmax()] = False
    return theta


def _descend(
    gram: np.ndarray, moment: np.ndarray, bound: np.ndarray, theta: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The least sum over the coefficients that are free, holding those that reach a bound on the way."""
    while not held.all():
        free = ~held
        rows, wanted = gram[free], theta.copy()
        wanted[free] = _least(rows[:, free], moment[free] - rows[:, held] @ theta[held])
        over = free & (np.abs(wanted) > bound)
        if not over.any():
            return wanted, held
        way = wanted - theta
        room = (np.sign(way) * bound - theta)[over] / way[over]
        part = np.clip(room.min(), 0.0, 1.0)
        first = np.flatnonzero(over)[room.argmin()]
        theta = theta + part * way
        theta[first] = np.sign(way[first]) * bound[first]
        held = held.copy()
        held[first] = True
    return theta, held


def _least(gram: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """The shortest solution of G theta = g."""
    try:
        inverse = np.linalg.inv(gram)  # half as long as eigenvalues
    except np.linalg.LinAlgError:
        return _shortest(gram, moment)
    condition = float(np.vdot(gram, gram)) * float(np.vdot(inverse, inverse))
    return inverse @ moment if condition < _CONDITION**2 else _shortest(gram, moment)


def _shortest(gram: np.ndarray, moment: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(gram)
    kept = values > _RANK * max(values[-1], 1e-300)
    return vectors[:, kept] @ ((vectors[:, kept].T @ moment) / values[kept])
