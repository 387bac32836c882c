"""Groups of parameters with rates of their own, Poseidon's, and its frozen latent."""

from dataclasses import replace

import pytest
import torch

from sciml.operators import Poseidon, ScOTConfig
from sciml.training import Constant, Cosine, FitSettings, ParameterGroup, PoseidonGroups, Warmup, fit, freeze_latent
from sciml.training.groups import adamw_groups, trainable_groups
from tests.sciml.training.tiny import Decay, small_poseidon, small_waves, tiny, weights

QUIET = FitSettings(quiet=True, device="cpu", epochs=1, batch_size=4, lr=1e-3)


@pytest.fixture(scope="module")
def poseidon_t():
    """Without memory for its weights."""
    with torch.device("meta"):
        return Poseidon(["a", "b", "c", "d"], architecture=ScOTConfig.preset("T"))


def sizes(groups, operator):
    parameters = dict(operator.named_parameters())
    return [sum(parameters[name].numel() for name in group.names) for group in groups(operator)]


# Embedding, standard, time, no decay: counted in the published code.
@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"lr_embedding": 5e-4, "lr_time": 5e-4}, [6_788, 20_431_272, 52_800, 283_584]),
        ({"lr_time": 5e-4}, [0, 20_437_816, 52_992, 283_636]),
        ({"lr_embedding": 5e-4}, [6_788, 20_431_272, 0, 283_584 + 52_800]),
        ({}, [0, 20_437_816, 0, 283_636 + 52_992]),
    ],
    ids=["four groups", "three groups", "without time", "two groups"],
)
def test_groups_of_poseidon_t_are_those_of_the_reference(poseidon_t, rates, expected):
    assert sizes(PoseidonGroups(**rates, reference=True), poseidon_t) == expected
    # By default the weights of the position bias network decay: 2 x 512 and heads x 512 in each of 8 blocks a level.
    bias_networks = sum(8 * 512 * (2 + heads) for heads in (3, 6, 12, 24))
    embedding, standard, time, rest = expected
    corrected = [embedding, standard + bias_networks, time, rest - bias_networks]
    assert sizes(PoseidonGroups(**rates), poseidon_t) == corrected


def test_only_the_norms_that_know_the_time_are_in_the_group_of_their_name(poseidon_t):
    _, standard, time, rest = PoseidonGroups(lr_embedding=1e-3, lr_time=1e-3)(poseidon_t)
    assert all("norm" in name for name in time.names) and not any("norm" in name for name in rest.names)
    assert {name.rpartition(".")[2] for name in rest.names} == {"bias"}
    assert any(name.endswith("logit_scale") for name in standard.names)


def test_groups_have_their_rates_and_decays():
    groups = PoseidonGroups(lr_embedding=5e-4, lr_time=2e-4)(small_poseidon())
    assert [(group.lr, group.weight_decay) for group in groups] == [
        (5e-4, None),
        (None, None),
        (2e-4, 0.0),
        (None, 0.0),
    ]


def test_plain_norms_do_not_decay_and_know_no_time():
    architecture = ScOTConfig.preset("T", image_size=16, embed_dim=8, depths=(1, 1), num_heads=(2, 2))
    model = Poseidon(["a"], architecture=replace(architecture, use_conditioning=False))
    embedding, _, time, rest = PoseidonGroups(lr_embedding=1e-3, lr_time=1e-3)(model)
    assert not time.names and any("layernorm_before.weight" in name for name in rest.names)
    assert any("embeddings.norm.weight" in name for name in embedding.names)


@pytest.mark.parametrize("wrap", [PoseidonGroups(lr_embedding=1.0), freeze_latent], ids=["groups", "freeze"])
def test_another_operator_is_refused(wrap):
    with pytest.raises(ValueError, match=r"Expected a Poseidon.* got a Tiny"):
        wrap(tiny())


def test_every_group_follows_the_schedule_from_its_own_rate():
    """In one step AdamW moves a parameter by its learning rate, whatever the gradient."""
    operator = small_poseidon()
    before = {name: parameter.detach().clone() for name, parameter in operator.named_parameters()}
    settings = replace(
        QUIET,
        batch_size=8,
        weight_decay=0.0,
        clip_norm=None,
        eps=1e-20,
        schedule=Warmup(1, Cosine(warmup=0.0)),  # half the rate in the only step of the first epoch
        groups=PoseidonGroups(lr_embedding=4e-3, lr_time=2e-3),
    )
    fit(operator, small_waves(8), settings=settings)
    for group, rate in zip(settings.groups(operator), (4e-3, 1e-3, 2e-3, 1e-3)):
        for name in group.names:
            moved = (dict(operator.named_parameters())[name].detach() - before[name]).abs().max()
            assert float(moved) == pytest.approx(rate / 2, rel=2e-2), name


def test_the_betas_are_adams():
    trained = [fit(tiny(), Decay(), settings=replace(QUIET, betas=b)).operator for b in ((0.9, 0.999), (0.5, 0.9))]
    assert not torch.equal(*(weights(operator) for operator in trained))


def test_a_group_of_ones_own():
    def groups(operator):
        names = [name for name, _ in operator.named_parameters()]
        return [ParameterGroup(tuple(names[:1]), lr=1e-12), ParameterGroup(tuple(names[1:]))]

    operator, before = tiny(), tiny()
    fit(operator, Decay(), settings=replace(QUIET, groups=groups, weight_decay=0.0))
    torch.testing.assert_close(operator.inner.weight, before.inner.weight, rtol=0, atol=1e-9)
    assert not torch.allclose(operator.outer.weight, before.outer.weight, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([("inner.weight", "inner.bias", "outer.weight")], "in no group: outer.bias"),
        ([("inner.weight", "inner.bias", "outer.weight", "outer.bias"), ("inner.bias",)], "several groups: inner.bias"),
        ([("inner.weight", "inner.bias", "outer.weight", "outer.bias", "hat")], "unknown: hat"),
    ],
    ids=["missing", "twice", "unknown"],
)
def test_groups_that_do_not_hold_each_parameter_once_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        trainable_groups(tiny(), lambda operator: [ParameterGroup(group) for group in names])


def test_by_default_matrices_decay_and_vectors_do_not():
    operator = tiny()
    decaying, rest = adamw_groups(operator, trainable_groups(operator, None), lr=1.0, weight_decay=0.1)
    assert [p.dim() for p in decaying["params"]] == [3, 3] and decaying["weight_decay"] == 0.1
    assert [p.dim() for p in rest["params"]] == [1, 1] and rest["weight_decay"] == 0.0


def test_a_frozen_latent_leaves_less_than_half_a_percent(poseidon_t):
    with freeze_latent(poseidon_t) as frozen:
        learning = sum(p.numel() for p in poseidon_t.parameters() if p.requires_grad)
        assert learning == 6_788 < 0.005 * sum(p.numel() for p in poseidon_t.parameters())
        assert not any("embeddings" in name or "patch_recovery" in name for name in frozen.names)
    assert all(p.requires_grad for p in poseidon_t.parameters())


def test_what_was_frozen_before_stays_frozen():
    operator = small_poseidon()
    operator.network.decoder.requires_grad_(False)
    freeze_latent(operator).undo()
    assert not any(p.requires_grad for p in operator.network.decoder.parameters())
    assert all(p.requires_grad for p in operator.network.encoder.parameters())


def test_only_embedding_and_recovery_learn_then():
    operator, before = small_poseidon(), dict(small_poseidon().named_parameters())
    with freeze_latent(operator) as frozen:
        fit(operator, small_waves(8), settings=replace(QUIET, groups=PoseidonGroups(lr_time=1e-2), ema_decay=0.9))
    for name, parameter in operator.named_parameters():
        assert torch.equal(parameter, before[name]) == (name in frozen.names), name


def test_checkpointing_does_not_change_what_is_learnt():
    operators = [small_poseidon(), small_poseidon()]
    operators[1].network.checkpointing = True
    for operator in operators:
        fit(operator, small_waves(4), settings=QUIET)
    torch.testing.assert_close(weights(operators[0]), weights(operators[1]), rtol=1e-6, atol=1e-7)


def test_a_frozen_training_in_groups_is_resumed_to_the_last_bit_and_not_unfrozen(tmp_path):
    settings = replace(QUIET, groups=PoseidonGroups(lr_embedding=5e-3), schedule=Constant(), ema_decay=0.9, noise=0.1)

    def trained(out, epochs):
        operator = small_poseidon()
        freeze_latent(operator)
        return fit(operator, small_waves(6), valid=small_waves(2, seed=1), epochs=epochs, out=out, settings=settings)

    undisturbed = trained(None, 3)
    trained(tmp_path, 1)
    assert torch.equal(weights(trained(tmp_path, 3).operator), weights(undisturbed.operator))
    with pytest.raises(ValueError, match=r"parameters that learn.*: 9, now 169, among the others network\.encoder"):
        fit(small_poseidon(), small_waves(6), epochs=4, out=tmp_path, settings=settings)
