"""Gains are read off curves whose answers are known in closed form; the published table is quoted to the letter."""

import math

import pytest

from sciml.benchmark.gains import STEADY, accuracy_gain, all_gains, efficiency_gain, gains, gains_table
from sciml.benchmark.published_gains import MODELS, PUBLISHED, PUBLISHED_SUMMARY, published_gains
from sciml.benchmark.scaling import ScalingCurve, curves_table, load_curves, save_curves
from sciml.benchmark.scaling_figure import scaling_figure
from sciml.datasets.pdegym_catalogue import PDEGYM

SAMPLES = tuple(2**k for k in range(11))


def power_law(model, factor, rate=0.5, samples=SAMPLES, task="NS-PwC"):
    """E = factor * n^-rate: a straight line on logarithmic axes."""
    return ScalingCurve(task, model, samples, tuple(factor * n**-rate for n in samples))


FNO = power_law("FNO", 100.0)


@pytest.mark.parametrize("samples", [SAMPLES, (1, 3, 700, 5000)])
def test_gains_of_power_laws_are_exact_whatever_points_are_known(samples):
    """E_FNO(1024) = 100/32; the model has 30 n^-0.5, so reaches it at n = (30 * 32 / 100)^2 = 92.16."""
    model = power_law("P", 30.0, samples=samples)
    assert accuracy_gain(model, FNO) == pytest.approx(100 / 30)
    assert efficiency_gain(model, FNO).value == pytest.approx(1024 / 92.16)
    found = gains(model, FNO)
    assert (found.task, found.model, found.baseline) == ("NS-PwC", "P", "FNO")
    assert found.accuracy == pytest.approx(100 / 30) and not found.efficiency.bound


def test_a_model_that_never_gets_there_gains_nothing():
    worse = power_law("M", 400.0)
    assert efficiency_gain(worse, FNO).value == 0.0
    assert accuracy_gain(worse, FNO) == pytest.approx(0.25)
    longer = power_law("M", 200.0, samples=(*SAMPLES, 2048, 4096, 8192))
    assert efficiency_gain(longer, FNO).value == pytest.approx(0.25)


def test_a_model_better_from_the_first_trajectory_on_gains_at_least_so_much():
    best = power_law("P", 1.0)
    found = efficiency_gain(best, FNO)
    assert found.value == 1024 and found.bound
    some = efficiency_gain(power_law("P", 1.0, samples=(16, 1024)), FNO)
    assert some.value == 64 and some.bound
    exact = efficiency_gain(ScalingCurve("NS-PwC", "P", (1,), (100 / 32,)), FNO)
    assert exact.value == 1024 and not exact.bound
    assert "≥ 1024.0 / 100.0" in gains_table([gains(best, FNO)])


def test_the_first_crossing_counts_on_a_curve_that_goes_up_again():
    curve = ScalingCurve("NS-PwC", "P", (1, 4, 16, 64), (8.0, 2.0, 4.0, 1.0))
    assert curve.reaches(4.0).samples == pytest.approx(2)
    assert curve.error_at(8) == pytest.approx(math.sqrt(8.0))


def test_steady_maps_are_read_at_512_and_4096():
    assert {"SE-AF", "Poisson-Gauss", "Helmholtz"} == STEADY
    samples = tuple(4**k for k in range(7))
    fno, model = (power_law(name, f, samples=samples, task="SE-AF") for name, f in (("FNO", 100.0), ("P", 50.0)))
    found = gains(model, fno)
    assert found.efficiency.value == pytest.approx(4) and found.accuracy == pytest.approx(2)


def test_nothing_is_extrapolated():
    short = power_law("P", 30.0, samples=(1, 64))
    found = gains(short, FNO)
    assert found.accuracy is None and found.efficiency.value == 0.0
    assert "0.0 / ?" in gains_table([found])
    with pytest.raises(ValueError, match="from 1 to 64"):
        short.error_at(128)
    assert gains(short, FNO, accuracy_samples=32, efficiency_samples=32).accuracy == pytest.approx(100 / 30)


def test_curves_go_through_json(tmp_path):
    curves = [FNO, ScalingCurve.of("ACE", "P", [(4, 0.1), (1, 0.7)])]
    assert load_curves(save_curves(tmp_path / "curves.json", curves)) == curves
    assert [path.name for path in tmp_path.iterdir()] == ["curves.json"]
    assert "| ACE | 4 |  | 0.1 |" in curves_table(curves)
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="list of curves"):
        load_curves(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("samples", "errors", "says"),
    [((), (), "as many"), ((1, 2), (1.0,), "as many"), ((2, 1), (1.0, 1.0), "rise"), ((1,), (math.nan,), "positive")],
)
def test_curves_that_make_no_sense(samples, errors, says):
    with pytest.raises(ValueError, match=says):
        ScalingCurve("ACE", "P", samples, errors)


def test_curves_of_different_tasks_are_not_compared():
    with pytest.raises(ValueError, match="one task"):
        gains(power_law("P", 1.0, task="ACE"), FNO)
    with pytest.raises(ValueError, match="FNO for each task, got none for ACE"):
        all_gains([power_law("P", 1.0, task="ACE"), FNO])


def test_the_published_table():
    assert set(PUBLISHED) == {entry.name for entry in PDEGYM if not entry.pretraining} and len(PUBLISHED) == 15
    assert all(len(values) == len(MODELS) for values in PUBLISHED.values())
    assert PUBLISHED["NS-PwC"][2] == (1024.0, 19.8) and PUBLISHED["Helmholtz"][6] == (60.4, 9.0)
    table = gains_table(published_gains())
    for model, (median, *_) in PUBLISHED_SUMMARY.items():
        column = sorted(entry.efficiency.value for entry in published_gains(model))
        assert column[7] == median and f" {median} / " in table.splitlines()[-2]
    with pytest.raises(ValueError, match="Poseidon-L"):
        published_gains("GPT")


def test_our_gains_stand_beside_the_published():
    curves = [FNO, power_law("scOT", 30.0)]
    lines = gains_table([*all_gains(curves), *published_gains("Poseidon-T")]).splitlines()
    assert lines[0] == "| EG / AG over FNO | scOT | Poseidon-T (published) |"
    assert lines[2] == "| NS-PwC | 11.1 / 3.3 | 1024.0 / 19.8 |"
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 2 + 15 + 2


def test_the_figure_marks_where_the_gain_is_read_off():
    figure = scaling_figure([FNO, power_law("P", 30.0), power_law("Q", 1.0), power_law("R", 400.0)])
    axes = figure.axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["FNO with 1024", "FNO", "P (EG 11.1)", "Q (EG ≥ 1024.0)", "R (EG 0.0)"]
    circles = [line.get_xydata()[0] for line in axes.lines if len(line.get_xydata()) == 1]
    assert circles[0] == pytest.approx([92.16, 3.125]) and circles[1] == pytest.approx([1.0, 1.0])
    assert len(circles) == 2
    with pytest.raises(ValueError, match="one task"):
        scaling_figure([power_law("P", 1.0)])
