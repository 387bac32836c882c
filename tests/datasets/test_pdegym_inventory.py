"""What a folder holds of PDEGym, and what is missing."""

import pytest

from sciml.datasets.pdegym_catalogue import PDEGYM, pdegym_set
from sciml.datasets.pdegym_inventory import inventory
from tests.datasets.pdegym_files import write_set


def test_each_set_is_found_or_said_to_be_missing(tmp_path):
    write_set(tmp_path / "CE-RM.nc", pdegym_set("CE-RM"))
    write_set(tmp_path / "GCE-RT" / "GCE-RT.nc", pdegym_set("GCE-RT"), shape=(1260, 11, 6, 64, 64))
    (tmp_path / "ACE.nc").write_bytes(b"nothing")
    for number in (0, 1, 3, 11):
        path = tmp_path / "NS-PwC" / f"velocity_{number}.nc"
        write_set(path, pdegym_set("NS-PwC"), shape=(1200, 21, 3, 128, 128))
    found = {holding.entry.name: holding for holding in inventory(tmp_path)}
    assert list(found) == [entry.name for entry in PDEGYM]
    assert found["CE-RM"].state == "whole" and found["CE-RM"].shape == (1260, 21, 5, 128, 128)
    assert found["CE-RM"].files == "CE-RM.nc" and found["CE-RM"].size > 0
    assert "published (11, 6, 128, 128)" in found["GCE-RT"].problems[0]
    assert found["ACE"].state == "unreadable" and "HDF5" in found["ACE"].problems[0]
    for name in ("NS-PwC", "NS-Tracer-PwC"):
        part = found[name]
        assert part.state == "part" and part.files == "velocity_{0-1,3,11}.nc" and part.shape[0] == 4800
        assert part.problems == ("No velocity_{2,4-10}.nc.", "15200 of 20000 trajectories are missing.")
    assert found["CE-RP"].state == "missing" and "CE-RP/data_0.nc" in found["CE-RP"].problems[0]


def test_loose_shards_belong_to_the_set_that_the_folder_is_named_after(tmp_path):
    write_set(tmp_path / "NS-SVS" / "velocity_0.nc", pdegym_set("NS-SVS"), shape=(9, 21, 3, 8, 8))
    states = {holding.entry.name: holding.state for holding in inventory(tmp_path / "NS-SVS")}
    assert states.pop("NS-SVS") == "part" and set(states.values()) == {"missing"}


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="Expected a folder"):
        inventory(tmp_path / "nowhere")
