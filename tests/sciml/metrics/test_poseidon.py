import pytest
import torch

from sciml.metrics import poseidon

GROUPS = (1, 2, 1)


@pytest.fixture
def fields(poseidon_golden):
    return [poseidon_golden[name][:, None] for name in ("predictions", "labels")]


def test_equals_the_original_code(fields, poseidon_golden):
    relative = {p: poseidon.relative_error(*fields, groups=GROUPS, order=p, reference=True)[:, 0] for p in (1, 2)}
    absolute = {p: poseidon.absolute_error(*fields, groups=GROUPS, order=p)[:, 0] for p in (1, 2)}
    for group in range(3):
        expected = poseidon_golden["expected"][f"group{group}"]
        for p in (1, 2):
            torch.testing.assert_close(relative[p][:, group], expected[f"relative_l{p}_percent"], rtol=1e-5, atol=0)
            torch.testing.assert_close(absolute[p][:, group], expected[f"l{p}"], rtol=1e-5, atol=0)
        median = poseidon.median_over_samples(relative[1][:, None])[0, group]
        assert median.item() == pytest.approx(expected["median_rel_l1"], rel=1e-6)


def test_the_published_mean_over_groups_counts_a_masked_group_as_perfect(fields):
    mask = torch.tensor([True, True, True, False])[:, None, None]
    options = {"groups": GROUPS, "mask": mask}
    honest = poseidon.median_relative_error(*fields, **options)
    published = poseidon.median_relative_error(*fields, **options, reference=True)
    torch.testing.assert_close(published * 3, honest * 2)


def test_masked_values_do_not_count_whatever_they_are(fields):
    prediction, target = (u.clone() for u in fields)
    mask = torch.rand(target.shape) > 0.3
    before = poseidon.relative_error(prediction, target, groups=GROUPS, mask=mask)
    prediction[~mask], target[~mask] = torch.nan, 7.0
    torch.testing.assert_close(
        poseidon.relative_error(prediction, target, groups=GROUPS, mask=mask), before, equal_nan=True
    )


def test_a_masked_label_stays_in_the_published_denominator():
    target, mask = torch.ones(1, 1, 1, 4), torch.tensor([True, True, True, False])
    assert poseidon.relative_error(1.5 * target, target, mask=mask).item() == pytest.approx(50)
    assert poseidon.relative_error(1.5 * target, target, mask=mask, reference=True).item() == pytest.approx(37.5)


def test_relative_error_is_blind_to_scale(pair):
    prediction, target = pair
    for order in (1, 2):
        before = poseidon.relative_error(prediction, target, order=order)
        torch.testing.assert_close(poseidon.relative_error(4 * prediction, 4 * target, order=order), before)


def test_median_is_blind_to_one_outlier_but_not_to_nan():
    errors = torch.tensor([1.0, 2.0, 4.0, 1e30])[:, None, None]
    assert poseidon.median_over_samples(errors).item() == 3.0
    errors[0] = torch.nan
    assert poseidon.median_over_samples(errors).isnan().all()


def test_an_error_names_the_way_out(fields):
    with pytest.raises(ValueError, match=r"groups that add up to 4 channels, got \(1, 2\)"):
        poseidon.relative_error(*fields, groups=(1, 2))
    with pytest.raises(ValueError, match="mask to broadcast over"):
        poseidon.relative_error(*fields, mask=torch.ones(4, dtype=torch.bool))
