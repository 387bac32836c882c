"""What every learner promises: batches, seeds, states that go on as if never stopped, and errors with a way out."""

import io
from typing import Any

import numpy as np
import pytest
import torch

from sciml.solvers.bandits import UCB, Bandit, Binned, ChebCB, EpsilonGreedy, Thompson, TsallisINF
from tests.solvers.bandits.learners import ARMS, CONTEXTUAL, DISCOUNTED, NAMES, make, noisy, place, plain, play

MEANS = 10 + 100 * (ARMS - 1.4) ** 2
RANDOM = [name for name in NAMES if name != "UCB"]


def saved(learner: Bandit) -> dict[str, Any]:
    """Its state, through a file."""
    file = io.BytesIO()
    torch.save(learner.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def batches(learner: Bandit, rounds: int, size: int, seed: int) -> list[torch.Tensor]:
    """Pulls for batches of contexts, with costs of noise."""
    rng, pulls = np.random.default_rng(seed), []
    for _ in range(rounds):
        pulled = learner.pull(torch.from_numpy(rng.random(size)))
        assert isinstance(pulled, torch.Tensor)
        pulls.append(pulled)
        learner.update(10 + 100 * (pulled - 1.4) ** 2 + torch.from_numpy(rng.random(size)))
    return pulls


@pytest.mark.parametrize("name", NAMES)
def test_learners_follow_the_protocol(name: str) -> None:
    learner = make(name)
    assert isinstance(learner, Bandit) and np.array_equal(learner.arms, ARMS)
    pulled = learner.pull(0.5)
    assert type(pulled) is float and pulled in ARMS


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("contexts", [torch.rand(7), np.linspace(0, 1, 7), torch.rand(7, requires_grad=True)])
def test_batches_give_as_many_parameters(name: str, contexts: Any) -> None:
    learner = make(name)
    for _ in range(5):
        for arguments in ({}, {"count": 7}):
            pulled = learner.pull(contexts, **arguments)
            assert isinstance(pulled, torch.Tensor) and pulled.dtype == torch.float64 and pulled.shape == (7,)
            assert all(parameter in ARMS for parameter in pulled.tolist())
            learner.update(torch.arange(1, 8))
    if name not in CONTEXTUAL:
        pulled = learner.pull(count=3)
        assert isinstance(pulled, torch.Tensor) and pulled.shape == (3,)
        learner.update(np.ones(3, dtype=np.float32))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_is_a_scalar(name: str) -> None:
    scalar, batch, rng = make(name, seed=2), make(name, seed=2), np.random.default_rng(0)
    for _ in range(150):
        context = float(rng.random())
        one, several = scalar.pull(context), batch.pull(torch.tensor([context], dtype=torch.float64))
        assert isinstance(several, torch.Tensor) and several.tolist() == [one]
        cost = float(MEANS[place(scalar, one)] + rng.random())
        scalar.update(cost)
        batch.update(torch.tensor([cost], dtype=torch.float64))
    forms: tuple[Any, ...] = (0.5, torch.tensor(0.5), np.float32(0.5), np.array(0.5))
    for form in forms:
        assert type(scalar.pull(form)) is float
        scalar.update(torch.tensor(3))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 3, 20])
def test_every_arm_is_tried_early_in_any_batch(name: str, size: int) -> None:
    learner = make(name)
    seen = set(torch.cat(batches(learner, 200 // size, size, seed=0)).tolist())
    assert seen == set(ARMS.tolist())
    if name in ("UCB", "Thompson", "EpsilonGreedy"):  # once each, before any is preferred
        first = torch.cat(batches(make(name), -(-len(ARMS) // size), size, seed=0))[: len(ARMS)]
        assert sorted(first.tolist()) == ARMS.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_determines_all(name: str) -> None:
    table, contexts = noisy(np.tile(MEANS, (120, 1)), 3.0, seed=0), np.random.default_rng(1).random(120)
    chosen = [play(make(name, seed=seed), table, contexts) for seed in (4, 4, 5)]
    assert np.array_equal(chosen[0], chosen[1])
    assert np.array_equal(chosen[0], chosen[2]) != (name in RANDOM)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("discount", [1.0, 0.9])
@pytest.mark.parametrize("pending", [False, True])
def test_a_state_goes_on_as_if_never_stopped(name: str, discount: float, pending: bool) -> None:
    for rounds in (0, 1, 5, 40):
        whole, resumed = make(name, seed=1, discount=discount), make(name, seed=9, discount=discount)
        batches(resumed, 3, 2, seed=3)  # what it knew is forgotten
        batches(whole, rounds, 4, seed=0)
        if pending:
            whole.pull(torch.tensor([0.1, 0.9, 0.5]))
        resumed.load_state_dict(saved(whole))
        if pending:
            whole.update(torch.tensor([4.0, 90.0, 7.0]))
            resumed.update(torch.tensor([4.0, 90.0, 7.0]))
        else:
            with pytest.raises(ValueError, match="Expected pull"):
                resumed.update(1.0)
        for one, other in zip(batches(whole, 30, 2, seed=1), batches(resumed, 30, 2, seed=1), strict=True):
            assert torch.equal(one, other)
        assert plain(whole.state_dict()) == plain(resumed.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_a_state_is_a_copy(name: str) -> None:
    learner = make(name)
    batches(learner, 5, 4, seed=0)
    state = learner.state_dict()
    before = plain(state)
    batches(learner, 5, 4, seed=0)
    other = make(name)
    other.load_state_dict(state)
    batches(other, 5, 4, seed=0)
    assert plain(state) == before


@pytest.mark.parametrize("name", NAMES)
def test_states_of_others_are_refused(name: str) -> None:
    learner = make(name)
    batches(learner, 5, 4, seed=0)
    before = plain(learner.state_dict())
    for arms in (ARMS[:-1], ARMS + 0.01):
        with pytest.raises(ValueError, match="Expected the state of the arms"):
            learner.load_state_dict(make(name, arms=arms).state_dict())
    for other in NAMES:
        alike = {name, other} <= {"UCB", "Thompson", "EpsilonGreedy"}  # who know the same
        if other != name and not alike:
            with pytest.raises(ValueError, match=r"another learner|Expected the state of 3 bins, got that of 0"):
                learner.load_state_dict(make(other).state_dict())
    with pytest.raises(ValueError, match="Expected a state with"):
        learner.load_state_dict({})
    assert plain(learner.state_dict()) == before


def test_states_of_other_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected products of shape \(8, 6, 6\), got \(8, 5, 5\)"):
        ChebCB(ARMS, 0, 1, degree=4).load_state_dict(make("ChebCB").state_dict())
    with pytest.raises(ValueError, match="Expected the state of 4 bins, got that of 3"):
        Binned(lambda k: TsallisINF(ARMS), 0, 1, bins=4).load_state_dict(make("Binned").state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_costs_must_belong_to_a_pull(name: str) -> None:
    learner = make(name)
    with pytest.raises(ValueError, match=r"Expected pull\(\) before update"):
        learner.update(3.0)
    learner.pull(torch.rand(4))
    before = plain(learner.state_dict())
    for costs in (1.0, torch.ones(3), np.ones(5), torch.ones(0)):
        with pytest.raises(ValueError, match="Expected 4 costs, one for each pull, got"):
            learner.update(costs)
    for wrong in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match="Expected costs that are finite and not negative"):
            learner.update(torch.tensor([1.0, 2.0, wrong, 3.0]))
    assert plain(learner.state_dict()) == before
    learner.update(torch.ones(4))  # a refused update takes nothing away
    with pytest.raises(ValueError, match=r"Expected pull\(\) before update"):
        learner.update(torch.ones(4))


@pytest.mark.parametrize("name", CONTEXTUAL)
def test_contexts_are_asked_for(name: str) -> None:
    learner = make(name)
    for arguments in ({}, {"count": 3}):
        with pytest.raises(ValueError, match="Expected a context"):
            learner.pull(**arguments)
    for context in (float("nan"), float("inf"), torch.tensor([0.1, float("nan")]), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="Expected one finite context for each instance"):
            learner.pull(context)
    for context in (0.5, torch.rand(2)):
        with pytest.raises(ValueError, match=r"Expected one finite context .* for count=3"):
            learner.pull(context, count=3)


@pytest.mark.parametrize("name", NAMES)
def test_there_must_be_an_instance(name: str) -> None:
    with pytest.raises(ValueError, match="Expected one instance or more, got 0"):
        make(name).pull(torch.zeros(0))
    if name not in CONTEXTUAL:
        for count in (0, -2):
            with pytest.raises(ValueError, match=f"Expected one instance or more, got {count}"):
                make(name).pull(count=count)


@pytest.mark.parametrize("name", NAMES)
def test_arms_must_be_different_finite_numbers(name: str) -> None:
    with pytest.raises(ValueError, match="Expected arms that differ"):
        make(name, arms=np.array([1.0, 1.5, 1.0]))
    for arms in (np.array([1.0, np.nan]), np.zeros(0), np.zeros((2, 2)), np.array(1.0)):
        with pytest.raises(ValueError, match="Expected arms as a list of one finite number or more"):
            make(name, arms=arms)


@pytest.mark.parametrize("name", DISCOUNTED)
@pytest.mark.parametrize("discount", [0.0, -0.5, 1.01, float("nan")])
def test_discounts_are_of_the_unit_interval(name: str, discount: float) -> None:
    with pytest.raises(ValueError, match="discount <= 1"):
        make(name, discount=discount)


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf")), (-float("inf"), 0.0)]
)
def test_intervals_must_have_a_length(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="Expected low < high"):
        Binned(lambda k: TsallisINF(ARMS), low, high)
    with pytest.raises(ValueError, match="Expected low < high"):
        ChebCB(ARMS, low, high)


def test_other_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="degree >= 0"):
        ChebCB(ARMS, 0, 1, degree=-1)
    with pytest.raises(ValueError, match="bins >= 1"):
        Binned(lambda k: TsallisINF(ARMS), 0, 1, bins=0)
    with pytest.raises(ValueError, match="Expected bins of the same arms"):
        Binned(lambda k: UCB(ARMS + k), 0, 1)


@pytest.mark.parametrize("arms", [torch.tensor([1.0, 1.5]), [1.0, 1.5], np.array([1.0, 1.5], dtype=np.float32)])
def test_arms_come_in_any_form(arms: Any) -> None:
    for learner in (UCB(arms), Thompson(arms), EpsilonGreedy(arms), TsallisINF(arms), ChebCB(arms, 0, 1)):
        assert learner.arms.dtype == np.float64 and learner.arms.tolist() == [1.0, 1.5]
        assert learner.pull(0.3) in (1.0, 1.5)


@pytest.mark.parametrize("name", NAMES)
def test_one_arm_is_enough(name: str) -> None:
    learner = make(name, arms=np.array([1.5]))
    assert play(learner, np.arange(1.0, 21.0)[:, None]).tolist() == [0] * 20


@pytest.mark.parametrize("name", NAMES)
def test_equal_or_huge_costs_and_long_forgetting_do_no_harm(name: str) -> None:
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        for cost in (0.0, 1.0, 1e12):
            play(make(name), np.full((40, len(ARMS)), cost))
        chosen = play(make(name, discount=0.05), noisy(np.tile(MEANS, (600, 1)), 3.0, seed=0))
    assert len(np.unique(chosen[-100:])) > 1
