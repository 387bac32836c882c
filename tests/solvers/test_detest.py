"""The 25 DETEST problems as one batch: their tolerances met, at no more work than scipy's RK45."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from sciml.solvers import PIDController, RungeKutta, max_norm, solve
from sciml.solvers.adams import Adams
from sciml.solvers.tableaus import DOPRI5, TSIT5
from tests.detest import DETEST, END, GRAVITY, MASSES, POSITIONS, SUN, DetestField, DetestProblem, initial_states

ENDS = Path(__file__).parents[1] / "data" / "detest" / "ends.json"
STEPPERS = {
    "Tsit5": lambda field: RungeKutta(field, TSIT5),
    "Dopri5": lambda field: RungeKutta(field, DOPRI5),
    "Adams-Bashforth-Moulton 5": lambda field: Adams(field, 5),
}
# Global error at the end, in units of tolerance * (1 + |y|). An orbit that is ahead stays ahead, and the error adds up.
MOST_ERROR = {"A": 60, "B": 150, "C": 10, "D": 1500, "E": 100}
MOST_WORK = 1.75  # evaluations, in units of those of scipy's RK45 at the same tolerance


def by_scipy(problem: DetestProblem, method: str, tolerance: float) -> Any:
    def field(t: float, y: np.ndarray) -> np.ndarray:
        return problem.field(torch.tensor([t], dtype=torch.float64), torch.from_numpy(y)[None])[0].numpy()

    return solve_ivp(field, (0, END), np.array(problem.y0), method=method, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("Tsit5", 1e-3),
        ("Tsit5", 1e-6),
        pytest.param("Tsit5", 1e-9, marks=pytest.mark.slow),
        ("Dopri5", 1e-6),
        pytest.param("Dopri5", 1e-3, marks=pytest.mark.slow),
        pytest.param("Dopri5", 1e-9, marks=pytest.mark.slow),
        ("Adams-Bashforth-Moulton 5", 1e-3),
        pytest.param("Adams-Bashforth-Moulton 5", 1e-6, marks=pytest.mark.slow),
        pytest.param("Adams-Bashforth-Moulton 5", 1e-9, marks=pytest.mark.slow),
    ],
)
def test_every_problem_meets_its_tolerance_at_no_more_work(name: str, tolerance: float) -> None:
    known = json.loads(ENDS.read_text())
    ts = torch.tensor([0.0, END], dtype=torch.float64)
    # The largest error and not the mean one: the zeros that fill a sample up must not dilute it.
    controller = PIDController(rtol=tolerance, atol=tolerance, norm=max_norm)
    solution = solve(STEPPERS[name](DetestField(DETEST)), initial_states(DETEST), ts, controller)
    for sample, problem in enumerate(DETEST):
        end = torch.tensor(known[problem.name]["end"], dtype=torch.float64)
        error = (solution.ys[sample, -1, : len(end)] - end).abs().max() / (tolerance * (1 + end.abs().max()))
        work = int(solution.statistics.evaluations[sample]) / known[problem.name]["evaluations"][f"{tolerance:.0e}"]
        assert float(error) < MOST_ERROR[problem.name[0]], problem.name
        assert work < MOST_WORK, problem.name


@pytest.mark.slow
@pytest.mark.parametrize("problem", DETEST, ids=lambda problem: problem.name)
def test_the_stored_ends_are_scipys(problem: DetestProblem) -> None:
    stored = json.loads(ENDS.read_text())[problem.name]
    end = by_scipy(problem, "DOP853", 1e-12).y[:, -1]
    np.testing.assert_allclose(stored["end"], end, rtol=1e-8, atol=1e-9)
    for tolerance, evaluations in stored["evaluations"].items():
        assert abs(by_scipy(problem, "RK45", float(tolerance)).nfev / evaluations - 1) < 0.05


def test_stored_ends_agree_with_closed_forms() -> None:
    end = {name: stored["end"] for name, stored in json.loads(ENDS.read_text()).items()}
    assert end["A1"][0] == pytest.approx(math.exp(-END), abs=1e-11)
    assert end["A2"][0] == pytest.approx(1 / math.sqrt(1 + END), rel=1e-10)
    assert end["A3"][0] == pytest.approx(math.exp(math.sin(END)), rel=1e-9)
    assert end["A4"][0] == pytest.approx(20 / (1 + 19 * math.exp(-END / 4)), rel=1e-10)
    assert sum(end["B2"]) == pytest.approx(3, rel=1e-10)
    assert end["B5"][0] ** 2 + end["B5"][1] ** 2 == pytest.approx(1, rel=1e-9)
    for chain in ("C1", "C2"):
        assert sum(end[chain]) == pytest.approx(1, rel=1e-10)
    assert end["E1"][0] == pytest.approx(math.sqrt(2 / math.pi / 21) * math.sin(21), abs=1e-10)
    assert end["E4"][1] == pytest.approx(math.sqrt(0.08) * math.tanh(math.sqrt(0.0128) * END), rel=1e-10)


@pytest.mark.parametrize("name", ["D1", "D2", "D3", "D4", "D5"])
def test_stored_orbits_obey_keplers_equation(name: str) -> None:
    eccentricity = 0.2 * int(name[1]) - 0.1
    anomaly = END
    for _ in range(100):
        residual = anomaly - eccentricity * math.sin(anomaly) - END
        anomaly -= residual / (1 - eccentricity * math.cos(anomaly))
    x, y, _, _ = json.loads(ENDS.read_text())[name]["end"]
    assert x == pytest.approx(math.cos(anomaly) - eccentricity, abs=1e-8)
    assert y == pytest.approx(math.sqrt(1 - eccentricity**2) * math.sin(anomaly), abs=1e-8)


def test_the_planets_move_about_the_sun_as_newton_has_it() -> None:
    """C5 against the six bodies in a frame at rest: the planets' accelerations less the sun's."""
    problem = next(problem for problem in DETEST if problem.name == "C5")
    y = torch.tensor([problem.y0], dtype=torch.float64)
    places = np.array([(0.0, 0.0, 0.0), *POSITIONS])
    masses = np.array([SUN, *MASSES])
    pulls = np.zeros_like(places)
    for i in range(6):
        for j in range(6):
            if i != j:
                apart = places[j] - places[i]
                pulls[i] += GRAVITY * masses[j] * apart / np.linalg.norm(apart) ** 3
    slope = problem.field(torch.zeros(1, dtype=torch.float64), y)[0].reshape(2, 5, 3)
    np.testing.assert_allclose(slope[1], pulls[1:] - pulls[0], rtol=1e-10, atol=1e-14)
