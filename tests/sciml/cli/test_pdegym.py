"""``sciml data pdegym`` and ``sciml gains`` as a user calls them."""

import json

from sciml.benchmark import ScalingCurve, save_curves
from sciml.datasets.pdegym_catalogue import PDEGYM, pdegym_set
from tests.datasets.pdegym_files import write_set
from tests.sciml.cli.command import run


def test_every_set_is_listed_with_what_is_missing(tmp_path, capsys):
    write_set(tmp_path / "CE-RM.nc", pdegym_set("CE-RM"))
    write_set(tmp_path / "NS-BB" / "velocity_1.nc", pdegym_set("NS-BB"), shape=(1200, 21, 3, 128, 128))
    assert run("data", "pdegym", tmp_path) == 0
    shown = capsys.readouterr()
    assert all(f" {entry.name} " in shown.out for entry in PDEGYM)
    assert "camlab-ethz/NAME" in shown.out and "velocity_{1}.nc part" in shown.out
    assert "NS-BB: No velocity_{0}.nc." in shown.err and "CE-RM" not in shown.err
    assert run("data", "pdegym", tmp_path, "--json") == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["CE-RM"]["state"] == "whole" and found["NS-BB"]["shape"] == [1200, 21, 3, 128, 128]
    assert found["NS-Tracer-PwC"]["repository"] == "camlab-ethz/NS-PwC" and found["ACE"]["state"] == "missing"
    assert found["CE-RP"]["purpose"] == "pretraining"


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert run("data", "pdegym", tmp_path / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


def test_gains_from_curves(tmp_path, capsys):
    samples = tuple(2**k for k in range(11))
    curves = [
        ScalingCurve("ACE", "FNO", samples, tuple(100 * n**-0.5 for n in samples)),
        ScalingCurve("ACE", "mine", samples, tuple(30 * n**-0.5 for n in samples)),
    ]
    path = save_curves(tmp_path / "curves.json", curves)
    assert run("gains", path, "--published", "Poseidon-T", "--plot", tmp_path / "figures") == 0
    shown = capsys.readouterr().out
    assert "| ACE | 128 | 8.84 | 2.65 |" in shown and "| ACE | 11.1 / 3.3 | 9.8 / 7.2 |" in shown
    assert (tmp_path / "figures" / "ACE.png").stat().st_size > 1000
    assert run("gains", path, "--baseline", "CNO") == 2
    assert "Expected a curve of CNO" in capsys.readouterr().err
