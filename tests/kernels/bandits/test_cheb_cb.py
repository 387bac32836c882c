"""ChebCB's rounds in C++ beside those in numpy: the same arms, sums and coefficients."""

import numpy as np
import pytest

from sciml.kernels.bandits import native
from sciml.kernels.bandits.cheb_cb import Regression

pytestmark = pytest.mark.skipif(not native.serves(), reason="needs a C++ compiler")


@pytest.mark.parametrize(("arms", "degree"), [(1, 0), (4, 1), (20, 5), (3, 9)])
@pytest.mark.parametrize("discount", [1.0, 0.97])
@pytest.mark.parametrize("stale", [0.0, 0.05])
@pytest.mark.parametrize("size", [1, 5])
def test_a_round_is_that_of_numpy(
    arms: int, degree: int, discount: float, stale: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each from the same past: errors of rounding, which exploration makes large, do not add up."""
    rng = np.random.default_rng(arms + degree)
    plain, compiled = (Regression(arms, degree, -1.0, 2.0, discount, stale) for _ in range(2))
    values = np.linspace(0, 1, arms)
    for k in range(150):
        # few contexts at first, so that the normal equations are singular for a while
        contexts = rng.integers(-1, 3, size) * 1.0 if k < 40 else rng.uniform(-1.2, 2.2, size)
        uniform, noise = rng.random(size), rng.exponential(2.0 if k % 50 else 30.0, size)
        for ours, theirs in zip(compiled.arrays, plain.arrays, strict=True):
            ours[...] = theirs
        monkeypatch.setattr(native, "serves", lambda: False)
        pulled = plain.pull(contexts, uniform)
        costs = 1 + 30 * (values[pulled[0]] - 0.3 * contexts) ** 2 + noise
        plain.update(*pulled, costs)
        monkeypatch.setattr(native, "serves", lambda: True)
        found = compiled.pull(contexts, uniform)
        compiled.update(*pulled, costs)
        assert np.array_equal(found[0], pulled[0])
        for one, other in zip((*found, *compiled.arrays), (*pulled, *plain.arrays), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-7 * max(1.0, plain.sums[1] ** 2))


def test_bounds_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise at contexts close to each other asks for large coefficients."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        known = [Regression(1, 6, 0.0, 1.0, 1.0, 0.0) for _ in range(2)]
        contexts, costs = rng.uniform(0.4, 0.6, 9), 1 + 10 ** rng.uniform(0, 3, 9)
        for regression, serves in zip(known, (False, True), strict=True):
            monkeypatch.setattr(native, "serves", lambda serves=serves: serves)
            regression.update(*regression.pull(contexts, np.full(9, 0.5)), costs)
        assert (np.abs(known[1].theta) == known[1].settings[6:]).any()
        np.testing.assert_allclose(known[1].theta, known[0].theta, atol=1e-9)
