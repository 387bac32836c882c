"""Items of PDEGym are those of the reference: recorded ones to round-off, others by the formula of their files."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sciml.datasets.errors import DatasetError
from sciml.datasets.open import open_dataset
from sciml.datasets.pdegym import family_of
from sciml.datasets.pdegym_catalogue import PDEGYM, pdegym_set
from sciml.datasets.pdegym_pairs import PDEGymPairs, collate, final_pairs
from sciml.datasets.pdegym_windows import PDEGymWindows
from tests.datasets.pdegym_files import airfoil, raw, write_set

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "poseidon" / "datasets_expected.json").read_text())
POINTS = (8, 8)


def small(tmp_path, name, count=1000, points=POINTS, filled=((0, 0),), **options):
    """Pairs of a set on few points, of whose trajectories only the filled are stored."""
    entry = pdegym_set(name)
    frames = list(entry.shape[1:-2])
    write_set(tmp_path / entry.file, entry, filled, shape=(count, *frames, *points))
    return PDEGymPairs(name, tmp_path, **options)


def constants(name):
    entry = pdegym_set(name)
    return [np.array([getattr(q, k) for q in entry.outputs])[:, None, None] for k in ("shift", "mean", "std")]


@pytest.mark.parametrize("record", RECORDED["records"], ids=lambda r: f"{r['dataset']}-{r['which']}-{r['kwargs']}")
def test_equals_the_reference(record, tmp_path):
    entry = pdegym_set(record["dataset"])
    options = {"split": record["which"], "trajectories": record["num_trajectories"], **record["kwargs"]}
    write_set(tmp_path / "shape" / entry.file, entry)
    places = PDEGymPairs(record["dataset"], tmp_path / "shape", **options)
    read = {(n, t) for item in record["items"] for n, *pair in [places.locate(item["idx"])] for t in pair}
    write_set(tmp_path / entry.file, entry, read)
    pairs = PDEGymPairs(record["dataset"], tmp_path, **options)
    assert len(pairs) == record["length"] and pairs.slices == record["channel_slice_list"] and not pairs.notes
    assert [group.name for group in pairs.entry.groups] == record["printable_channel_description"]
    assert (len(pairs.entry.inputs), len(pairs.entry.outputs)) == (record["input_dim"], record["output_dim"])
    for expected in record["items"]:
        item = pairs[expected["idx"]]
        assert item.time == expected.get("time")
        check_field(item.inputs, expected["pixel_values"])
        check_field(item.labels, expected["labels"])
        check_mask(item.mask, expected.get("pixel_mask"))


def check_field(field, expected):
    assert list(field.shape) == expected["shape"] and field.dtype == torch.float32
    probes = [[row[i, j].item() for i, j in RECORDED["probe_positions"]] for row in field]
    torch.testing.assert_close(torch.tensor(probes), torch.tensor(expected["probes"]), rtol=2e-6, atol=2e-6)
    means = torch.tensor(expected["mean_per_channel"])
    torch.testing.assert_close(field.mean((1, 2)), means, rtol=1e-5, atol=1e-5)


def check_mask(mask, expected):
    if expected is None:
        assert mask is None
    elif "values" in expected:
        assert mask.tolist() == expected["values"]
    else:
        assert list(mask.shape) == expected["shape"] and int(mask.sum()) == expected["n_true"]


@pytest.mark.parametrize(
    ("name", "stored", "masked"),
    [
        ("NS-BB", [None, 0, 1, None], [3]),
        ("NS-Tracer-PwC", [None, 0, 1, None, 2], [3]),
        ("CE-KH", [0, 1, 2, 3], []),
        ("CE-RM", [0, 1, 2, 3], []),
        ("GCE-RT", [0, 1, 2, 3, 5], []),
        ("ACE", [0], None),
    ],
)
def test_channels_of_evolutions(tmp_path, name, stored, masked):
    entry = pdegym_set(name)
    frames = [0, entry.stride]
    pairs = small(tmp_path, name, filled=[(0, t) for t in frames])
    item = pairs[1]
    shift, mean, std = constants(name)
    for field, t in ((item.inputs, 0), (item.labels, frames[1])):
        values = [np.full(POINTS, float(k == 0)) if c is None else raw(0, t, c, POINTS) for k, c in enumerate(stored)]
        np.testing.assert_allclose(field, (np.stack(values) - shift - mean) / std, rtol=2e-5, atol=2e-5)
    assert item.time == entry.stride / entry.time_constant
    assert (item.mask is None) if masked is None else (item.mask.nonzero().flatten().tolist() == masked)
    assert np.allclose(pairs.physical(item.labels)[-1], pairs.physical(item.labels[None])[0, -1])


def test_the_shear_layer_is_turned_and_its_components_are_not(tmp_path):
    pairs = small(tmp_path, "NS-SL", points=(6, 4))
    _, mean, std = constants("NS-SL")
    assert pairs.shape == (4, 6)
    for k in (0, 1):
        expected = (raw(0, 0, k, (6, 4)).T - mean[k + 1]) / std[k + 1]
        np.testing.assert_allclose(pairs[0].inputs[k + 1], expected, rtol=1e-5)
    turned = PDEGymPairs("NS-SL", tmp_path, transpose=True)
    assert torch.equal(turned[0].inputs, pairs[0].inputs.mT)


def test_the_forcing_is_made(tmp_path):
    pairs = small(tmp_path, "FNS-KF")
    x = np.linspace(0, 1, 8)
    forcing = (0.1 * np.sin(2 * np.pi * (x[:, None] + x)) + 1.2996679288335145e-09) / 0.0707106739282608
    item = pairs[0]
    np.testing.assert_allclose(item.inputs[4], forcing, atol=1e-5)
    assert torch.equal(item.inputs[4], item.labels[4]) and item.mask.tolist() == [False] * 3 + [True, False]
    np.testing.assert_allclose(item.inputs[1], raw(0, 0, 0, POINTS) / 0.22017328, rtol=1e-5)
    fewer = PDEGymPairs("FNS-KF", tmp_path, just_velocities=True)
    assert len(fewer[0].labels) == 3 and fewer.slices == [0, 2, 3] and not fewer[0].mask.any()


@pytest.mark.parametrize("name", ["Wave-Layer", "Wave-Gauss"])
def test_the_wave_speed_is_in_the_label_too(tmp_path, name):
    pairs = small(tmp_path, name, filled=[(0, 0), (0, 2)])
    _, mean, std = constants(name)
    item, speed = pairs[1], 2000 + 1000 * raw(0, 0, 7, POINTS)
    np.testing.assert_allclose(item.labels[1], (speed - mean[1]) / std[1], rtol=1e-5, atol=1e-6)
    assert torch.equal(item.inputs[1], item.labels[1]) and item.mask is None
    assert item.time == 2 / (15 if name == "Wave-Gauss" else 20)


def test_steady_maps(tmp_path):
    air = small(tmp_path / "air", "SE-AF.time")
    item, inside = air[0], airfoil(0, POINTS) == 1
    expected = np.where(inside, 1.0, (raw(0, 0, 1, POINTS) - 0.92984116) / 0.10864315)
    np.testing.assert_allclose(item.labels[0], expected, rtol=2e-5, atol=1e-6)
    assert np.array_equal(item.inputs[0], inside) and np.array_equal(item.mask[0], inside) and item.time == 1.0

    poisson = small(tmp_path / "poisson", "Poisson-Gauss")[0]
    np.testing.assert_allclose(poisson.inputs[0], (raw(0, 0, 0, POINTS) - 0.0148221424) / 4.7551388, rtol=1e-5)
    np.testing.assert_allclose(poisson.labels[0], (raw(0, 0, 3, POINTS) - 0.00056034584) / 0.0240122612, rtol=1e-5)
    assert poisson.time is None and poisson.mask is None


def test_helmholtz_samples_by_number(tmp_path):
    pairs = small(tmp_path, "Helmholtz.time", count=1300, split="test")
    assert len(pairs) == 512 and pairs.locate(3) == (791, 0, 0)
    item, n = pairs[3], 791 % 97
    np.testing.assert_allclose(item.inputs[0], raw(n, 0, 0, POINTS) - 1, atol=1e-6)
    np.testing.assert_allclose(item.inputs[1], np.full(POINTS, 0.25 + 0.001 * n), rtol=1e-6)
    np.testing.assert_allclose(item.labels[0], (raw(n, 0, 1, POINTS) - 0.1152391567) / 0.8279975746, atol=2e-6)
    assert item.labels.dtype == torch.float32 and item.time == 1.0


def test_pairs_are_all_those_of_the_paper(tmp_path):
    pairs = small(tmp_path, "NS-PwC", trajectories=3)
    assert [tuple(pair) for pair in pairs.pairs[:9].tolist()] == [*((0, 2 * j) for j in range(8)), (2, 2)]
    assert len(pairs.pairs) == 36 and len(pairs) == 108 and pairs.locate(-1) == (2, 14, 14)
    few = PDEGymPairs("NS-PwC", tmp_path, allowed_time_transitions=[1, 3], max_num_time_steps=4)
    assert sorted(set(np.ptp(few.pairs, axis=1).tolist())) == [2, 6] and len(few.pairs) == 6
    with pytest.raises(IndexError):
        pairs[108]


@pytest.mark.parametrize(("code", "count"), [(-1, 640), (-2, 320), (-8, 80), (5, 5)])
def test_numbers_of_trajectories_and_splits(tmp_path, code, count):
    pairs = small(tmp_path, "NS-PwC", trajectories=code)
    assert len(pairs) == 36 * count
    assert PDEGymPairs("NS-PwC", tmp_path, split="val", trajectories=code).locate(0)[0] == 640
    assert PDEGymPairs("NS-PwC", tmp_path, split="test", trajectories=code).locate(0)[0] == 760


@pytest.mark.parametrize(
    ("name", "steps", "last"),
    [("NS-SVS.out", 10, 20), ("GCE-RT.out", 10, 10), ("GCE-RT", 7, 7), ("Wave-Layer.out", 10, 20), ("ACE.out", 9, 18)],
)
def test_horizons(tmp_path, name, steps, last):
    pairs = small(tmp_path, name)
    assert len(pairs.pairs) == (steps + 1) * (steps + 2) // 2 and pairs.pairs.max() == last
    final = final_pairs(name, tmp_path)
    assert final.pairs.tolist() == [[0, last]] and len(final) == pdegym_set(name).test


def test_shards_are_read_as_one_set(tmp_path):
    entry = pdegym_set("NS-BB")
    for number, (first, count) in enumerate([(0, 500), *((500 + 10 * k, 10) for k in range(11))]):
        last = [(0, 0), (count - 1, 0)]
        write_set(tmp_path / "NS-BB" / f"velocity_{number}.nc", entry, last, shape=(count, 21, 3, *POINTS), first=first)
    pairs = PDEGymPairs("NS-BB", tmp_path, split="test")
    assert pairs.count == 610 and pairs.paths[2].name == "velocity_2.nc" and "of 20000" in pairs.notes[0]
    expected = raw(609, 0, 1, POINTS) / 0.356  # the last frame of the shard that sorts as a person sorts
    np.testing.assert_allclose(pairs[-36].inputs[2], expected, rtol=1e-5)
    assert torch.equal(PDEGymPairs("NS-BB", tmp_path / "NS-BB", split="test")[-36].inputs, pairs[-36].inputs)
    assert len(open_dataset(tmp_path / "NS-BB")) == 610
    (tmp_path / "NS-BB" / "velocity_3.nc").unlink()
    assert "No shards 3" in " ".join(PDEGymPairs("NS-BB", tmp_path, split="test").notes)


@pytest.mark.parametrize("contiguous", [False, True])
def test_workers_open_their_own_files(tmp_path, contiguous):
    entry = pdegym_set("ACE")
    path = write_set(tmp_path / "ACE.nc", entry, [(n, t) for n in range(4) for t in (0, 2)], shape=(400, 3, *POINTS))
    if contiguous:
        with h5py.File(path, "a") as file:
            values = file["solution"][:]
            del file["solution"]
            file["solution"] = values
    pairs = PDEGymPairs("ACE", tmp_path, max_num_time_steps=1, trajectories=4)
    alone = list(DataLoader(pairs, batch_size=3, collate_fn=collate))
    forked = list(DataLoader(pairs, batch_size=3, collate_fn=collate, num_workers=2, multiprocessing_context="fork"))
    assert len(alone) == 4
    for one, other in zip(alone, forked):
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.labels, other.labels)
        assert torch.equal(one.time, other.time) and one.mask is None and one.time.dtype == torch.float32


def test_windows_give_an_operator_the_very_items(tmp_path):
    pairs = small(tmp_path, "CE-KH", filled=[(0, 0), (0, 2)])
    windows = PDEGymWindows(pairs)
    t, u = windows[1]
    assert t.tolist() == [0, 0.1] and windows.dt == pytest.approx(0.7)
    scale = windows.statistics
    mean, std = (torch.tensor(values).float()[:, None, None] for values in (scale.mean, scale.std))
    torch.testing.assert_close((u - mean) / std, torch.stack(pairs[1][:2]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(u[0, 2], raw(0, 0, 2, POINTS), atol=1e-6)  # physical, as the file has it,
    np.testing.assert_allclose(u[0, 3], raw(0, 0, 3, POINTS) - 1.0, atol=1e-6)  # pressure about the set's mean
    torch.testing.assert_close(windows.labels(u[1:])[0], pairs[1].labels, rtol=1e-5, atol=1e-5)


def test_windows_of_several_sets_follow_one_another(tmp_path):
    first, second = small(tmp_path, "CE-KH", trajectories=2), small(tmp_path, "NS-Sines", trajectories=3)
    both = PDEGymWindows(first, second)
    assert len(both) == 72 + 108
    for index, alone in (
        (71, PDEGymWindows(first)[71]),
        (72, PDEGymWindows(second)[0]),
        (-1, PDEGymWindows(second)[107]),
    ):
        assert torch.equal(both[index].u, alone.u) and torch.equal(both[index].t, alone.t)
    with pytest.raises(IndexError):
        both[180]
    with pytest.raises(ValueError, match="same channels and constants"):
        PDEGymWindows(first, small(tmp_path, "ACE"))


def test_windows_of_steady_maps_have_static_inputs(tmp_path):
    windows = PDEGymWindows(small(tmp_path, "Helmholtz", count=700))
    assert [(c.name, c.static) for c in windows.channels] == [("u", False), ("a", True), ("bc", True)]
    t, u = windows[0]
    assert t.tolist() == [0, 1] and not u[0, 0].any() and torch.equal(u[0, 1:], u[1, 1:])
    np.testing.assert_allclose(u[1, 0], raw(0, 0, 1, POINTS), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("NS-PwC", {"split": "dev"}, "Expected split"),
        ("NS-PwC", {"trajectories": 0}, "-8"),
        ("NS-PwC", {"trajectories": 641}, "<= 640"),
        ("NS-PwC", {"max_num_time_steps": 11}, "frames up to 20"),
        ("NS-PwC", {"fix_input_to_time_step": 8}, "frames up to 20"),
        ("NS-PwC", {"time_step_size": 0}, ">= 1"),
        ("NS-PwC", {"allowed_time_transitions": [9]}, "among 0 to 7"),
        ("NS-PwC", {"fix_input_to_time_step": 0, "allowed_time_transitions": [1]}, "got both"),
        ("NS-PwC", {"resolution": 9}, "from 1 to"),
        ("CE-RP", {"just_velocities": True}, "incompressible"),
        ("Wave-Layer", {"resolution": 4}, "periodic"),
        ("SE-AF", {"time_step_size": 2}, "steady map"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, name, options, says):
    with pytest.raises(ValueError, match=says):
        small(tmp_path, name, **options)


def test_files_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Expected NS-BB.nc.* camlab-ethz/NS-BB"):
        PDEGymPairs("NS-BB", tmp_path)
    write_set(tmp_path / "NS-SL.nc", pdegym_set("NS-SL"), shape=(500, 21, 2, *POINTS))
    os.rename(tmp_path / "NS-SL.nc", tmp_path / "NS-PwC.nc")
    assert PDEGymPairs("NS-PwC", tmp_path).count == 500  # its tracer is not needed
    with pytest.raises(DatasetError, match=r"velocity: has 2 channels .* expected 3 or more"):
        PDEGymPairs("NS-PwC.tracer", tmp_path)
    with pytest.raises(DatasetError, match="data"):
        PDEGymPairs("CE-RP", tmp_path / "NS-PwC.nc")


def test_absurd_sizes_are_refused(tmp_path):
    huge = {"samples": ((1 << 24, 20, 8, 8), (1, 1, 8, 8)), "points": ((4, 2, 1 << 20, 1 << 20), (1, 1, 8, 8))}
    for name, (shape, chunks) in huge.items():
        with h5py.File(tmp_path / f"{name}.nc", "w") as file:
            file.create_dataset("solution", shape, "f4", chunks=chunks)[0, 0, :8, :8] = 1.0
        with pytest.raises(DatasetError):
            PDEGymPairs("ACE", tmp_path / f"{name}.nc")
    with h5py.File(tmp_path / "empty.nc", "w") as file:
        file.create_dataset("solution", (400, 20, 8, 8), "f4", chunks=(1, 1, 8, 8))
    with pytest.raises(DatasetError, match="never filled"):
        PDEGymPairs("ACE", tmp_path / "empty.nc")


def test_batches_are_of_one_kind(tmp_path):
    items = [small(tmp_path / name, name)[0] for name in ("Poisson-Gauss", "Poisson-Gauss.time")]
    with pytest.raises(ValueError, match="lead time"):
        collate(items)


def test_links_into_other_files_are_not_followed(tmp_path):
    secret = write_set(tmp_path / "secret.nc", pdegym_set("ACE"), shape=(500, 20, *POINTS))
    with h5py.File(tmp_path / "ACE.nc", "w") as file:
        file["solution"] = h5py.ExternalLink(secret, "/solution")
    with pytest.raises(DatasetError, match="external link"):
        PDEGymPairs("ACE", tmp_path)


@pytest.mark.parametrize("entry", PDEGYM, ids=lambda entry: entry.name)
def test_the_catalogue_adds_up(entry):
    assert sum(group.channels for group in entry.groups) == len(entry.outputs)
    assert set(entry.interest) <= {group.name for group in entry.groups}
    assert pdegym_set(entry.id) is entry and pdegym_set(entry.name) is entry
    assert pdegym_set(entry.file).repository == entry.repository
    family = family_of(entry.name)
    assert (family.valid, family.test, family.time_constant) == (entry.valid, entry.test, entry.time_constant)
    if not entry.grouped:  # the published sizes are those of the arrays
        others = len({q.source for q in entry.inputs if isinstance(q.source, str)})
        values = np.prod(entry.shape, dtype=float) + others * entry.count * 128**2
        assert values * 4e-9 == pytest.approx(entry.gigabytes, rel=0.01)
    if not entry.steady:
        assert entry.last_frame < entry.shape[1] and (entry.long_steps or 0) * entry.stride < entry.shape[1]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("NS-Pw", "fluids.incompressible.PiecewiseConstants"),
        ("NS-BB.tracer", "PiecewiseConstants.tracer"),
        ("wave.Gaussians.out", "longer horizon"),
        ("elliptic.Helmholtz.out", "longer horizon"),
        ("ACE.time", "steady"),
    ],
)
def test_names_that_are_not_there(name, says):
    with pytest.raises(ValueError, match=says):
        pdegym_set(name)


def test_suffixes_in_any_order():
    assert pdegym_set("fluids.incompressible.PiecewiseConstants.out.tracer").name == "NS-Tracer-PwC"
    assert pdegym_set("NS-PwC.tracer.out").steps == pdegym_set("NS-PwC.out").rollout == 10
    assert pdegym_set("ACE.out").rollout == 1
