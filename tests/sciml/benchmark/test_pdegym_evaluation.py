"""The paper's protocol on operators whose error is known."""

import math

import pytest
import torch

from sciml.benchmark.pdegym_evaluation import evaluate_pdegym, measure_scaling, on_pairs
from sciml.datasets.pdegym_catalogue import pdegym_set
from sciml.datasets.pdegym_pairs import PDEGymPairs, final_pairs
from sciml.datasets.pdegym_windows import PDEGymWindows
from sciml.operators.poseidon import Poseidon, ScOT, ScOTConfig
from sciml.training.fit import fit
from tests.datasets.pdegym_files import write_set

POINTS = (16, 16)
TINY = {"image_size": 16, "embed_dim": 8, "depths": (1, 1), "num_heads": (2, 2), "window_size": 4}


def written(folder, name, count=30):
    """Test pairs of a set of ``count`` trajectories, all of them filled at the horizon's ends."""
    entry = pdegym_set(name)
    ends = [(n, t) for n in range(count) for t in {0, entry.last_frame}]
    write_set(folder / entry.file, entry, ends, shape=(count, *entry.shape[1:-2], *POINTS))
    return final_pairs(name, folder)


class Off(torch.nn.Module):
    """Predicts ``1 + error`` times a field that it knows; counts its steps."""

    def __init__(self, test, error):
        super().__init__()
        self.labels = torch.stack([test[k].labels for k in range(len(test))])
        self.error, self.leads, self.seen = torch.as_tensor(error)[:, None, None], [], []

    def forward(self, inputs, time):
        self.leads.append(time)
        self.seen.append(inputs)
        return self.labels * (1 + self.error)


def test_each_function_has_its_error(tmp_path):
    test = written(tmp_path, "NS-PwC")
    operator = Off(test, [0.5, 0.1, 0.1, 0.9])
    scores = evaluate_pdegym(operator, test)
    assert len(test) == 3 and scores.samples == 3 and scores.steps == 7 and len(operator.leads) == 7
    torch.testing.assert_close(operator.leads[0], torch.full((3,), 0.1))
    assert scores.functions["uv"] == pytest.approx(10, rel=1e-4) and scores.interest == scores.functions["uv"]
    assert scores.functions["rho"] == pytest.approx(50, rel=1e-4) and math.isnan(scores.functions["p"])
    assert scores.over_functions == pytest.approx(30, rel=1e-4)


def test_masked_pressure_counts_as_perfect_in_the_published_number(tmp_path):
    test = written(tmp_path, "NS-PwC")
    scores = evaluate_pdegym(Off(test, [0.5, 0.1, 0.1, 0.9]), test, steps=1, reference=True)
    assert scores.functions["p"] == 0 and scores.over_functions == pytest.approx(20, rel=1e-4) and scores.steps == 1


def test_a_rollout_is_fed_its_own_prediction_and_the_known_pressure(tmp_path):
    test = written(tmp_path, "NS-BB")
    operator = Off(test, [0.0, 0.2, 0.2, 5.0])
    operator.labels[:, 3] = 7.0  # nonsense, where the label is 0
    evaluate_pdegym(operator, test, steps=2)
    first, second = operator.seen
    torch.testing.assert_close(first[0], test[0].inputs)
    torch.testing.assert_close(second[:, 1], 1.2 * operator.labels[:, 1])
    assert not second[:, 3].any()


def test_the_inside_of_an_airfoil_is_left_out_or_counts_in_the_denominator(tmp_path):
    test = written(tmp_path, "SE-AF.time")
    item = test[0]
    honest = evaluate_pdegym(Off(test, [0.1]), test)
    published = evaluate_pdegym(Off(test, [0.1]), test, reference=True)
    assert honest.interest == pytest.approx(10, rel=1e-4)
    shares = [(~test[k].mask * test[k].labels).abs().sum() / test[k].labels.abs().sum() for k in range(3)]
    assert published.interest == pytest.approx(10 * torch.stack(shares).median().item(), rel=1e-4)
    assert item.time == 1.0 and published.interest < honest.interest


def test_several_functions_of_interest_are_averaged(tmp_path):
    test = written(tmp_path, "CE-RM")
    scores = evaluate_pdegym(Off(test, [0.3, 0.1, 0.1, 0.2]), test)
    assert scores.interest == pytest.approx(20, rel=1e-4) and scores.steps == 1
    only = evaluate_pdegym(Off(test, [0.3, 0.1, 0.1, 0.2]), test, interest=["p"])
    assert only.interest == pytest.approx(20, rel=1e-4)
    with pytest.raises(ValueError, match="rho, uv, p"):
        evaluate_pdegym(Off(test, [0.0] * 4), test, interest=["w"])
    with pytest.raises(ValueError, match="on_pairs"):
        evaluate_pdegym(lambda x, t: x[:, :1], test)


def test_steady_maps_are_not_rolled_out(tmp_path):
    test = written(tmp_path, "Helmholtz")
    with pytest.raises(ValueError, match="steady"):
        evaluate_pdegym(Off(test, [0.0]), test, steps=2)


def test_a_network_is_scored_on_pairs_as_it_is(tmp_path):
    test = written(tmp_path, "Helmholtz")
    network = ScOT(ScOTConfig.preset("T", **TINY, num_channels=2, num_out_channels=1))
    curve = measure_scaling("scOT", lambda n: network, test, samples=(1, 4))
    assert curve.task == "Helmholtz" and curve.samples == (1, 4) and curve.errors[0] == curve.errors[1]


def test_a_poseidon_is_fitted_and_scored_in_physical_units(tmp_path):
    """Normalised by the set's constants, the network gets the very items: both ways to score it agree."""
    test = written(tmp_path, "CE-RPUI")
    train = PDEGymPairs("CE-RPUI", tmp_path, trajectories=4, max_num_time_steps=1, time_step_size=14)
    windows = PDEGymWindows(train)
    torch.manual_seed(0)
    model = Poseidon(windows.channels, architecture=ScOTConfig.preset("T", **TINY), time_scale=1.0)
    before = evaluate_pdegym(model.network, test, steps=1).interest
    fit(model, windows, epochs=4, lr=3e-3)
    after = evaluate_pdegym(model.network, test, steps=1).interest
    assert after < before
    assert evaluate_pdegym(on_pairs(model, test), test, steps=1).interest == pytest.approx(after, rel=1e-3)
    with pytest.raises(ValueError, match="density, velocity_x"):
        on_pairs(Poseidon(["u"], architecture=ScOTConfig.preset("T", **TINY)), test)
