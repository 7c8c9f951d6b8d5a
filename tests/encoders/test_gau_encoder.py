"""The GAU encoder as a transformers model: sizes, start, round trips, padding, checkpointing."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoConfig, AutoModel

from kexue.encoders.gau import PRESETS, GAUConfig, GAUModel
from kexue.errors import OptionError
from kexue.layers.initialization import INITIALIZATIONS, UnitSizes
from kexue.layers.norm import NORMS
from kexue.ops.attention import ATTENTIONS


def model_of(**changes) -> GAUModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "key_dim": 16}
    return GAUModel(GAUConfig(**sizes | changes)).eval()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_saved_model_comes_back_through_auto_model(attention, norm, tmp_path):
    model = model_of(attention=attention, norm=norm)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    assert type(again) is GAUModel
    assert again.config.to_diff_dict() == model.config.to_diff_dict()
    ids = torch.randint(0, 50, (2, 7))
    assert torch.equal(again(ids).last_hidden_state, model(ids).last_hidden_state)
    assert not list(tmp_path.glob("*.bin"))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_padding_and_neighbours_in_the_batch_change_nothing(attention):
    model = model_of(attention=attention)
    ids = torch.randint(1, 50, (3, 9))
    mask = (torch.arange(9) < torch.tensor([5, 9, 1])[:, None]).long()
    together = model(ids, attention_mask=mask).last_hidden_state[0, :5]
    assert_close(together, model(ids[:1, :5]).last_hidden_state[0], atol=1e-6, rtol=0)


def test_the_weights_begin_at_the_size_that_depth_asks_for():
    model = model_of(hidden_size=256, num_hidden_layers=8, key_dim=128, vocab_size=4000)
    for layer in model.layers:
        assert layer.unit.input.weight.std().item() == pytest.approx(0.5 * 256**-0.5, rel=0.02)
        assert layer.unit.output.weight.std().item() == pytest.approx(0.5 * 512**-0.5, rel=0.02)
        assert (layer.unit.scale == 1).all() and (layer.unit.offset == 0).all()
    assert model.embedding.weight[1:].std().item() == pytest.approx(256**-0.5, rel=0.02)
    assert (model.embedding.weight[0] == 0).all()


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_the_weights_begin_as_the_initialization_says(name):
    model = model_of(hidden_size=128, num_hidden_layers=8, key_dim=64, initialization=name)
    gate, key, output = INITIALIZATIONS[name]().deviations(UnitSizes(128, 256, 64, 8))
    for layer in model.layers:
        assert layer.unit.input.weight[:512].std().item() == pytest.approx(gate, rel=0.03)
        assert layer.unit.input.weight[512:].std().item() == pytest.approx(key, rel=0.04)
        assert layer.unit.output.weight.std().item() == pytest.approx(output, rel=0.03)


def test_initializations_have_the_deviations_of_their_definitions():
    sizes = UnitSizes(dim=768, inner=1536, key_dim=128, num_units=24)
    found = {name: INITIALIZATIONS[name]().deviations(sizes) for name in INITIALIZATIONS}
    assert found["lecun"] == pytest.approx((768**-0.5, 768**-0.5, 1536**-0.5))
    assert found["xavier_fused"] == pytest.approx(((2 / 3968) ** 0.5, (2 / 3968) ** 0.5, (2 / 2304) ** 0.5))
    assert found["xavier"] == pytest.approx(((2 / 2304) ** 0.5, (2 / 896) ** 0.5, (2 / 2304) ** 0.5))
    assert found["normal"] == (0.02, 0.02, 0.02)
    assert found["depth_scaled"] == pytest.approx(tuple(x / 24 ** (1 / 3) for x in found["lecun"]))


def test_before_the_units_the_norm_leaves_the_state_and_stands_once_more_at_the_end():
    model = model_of(norm_position="pre")
    for weight in model.layers.parameters():
        torch.nn.init.zeros_(weight)
    ids = torch.randint(1, 50, (2, 6))
    states = model(ids, output_hidden_states=True)
    assert_close(states.hidden_states[-1], states.hidden_states[0])
    assert_close(states.last_hidden_state, torch.nn.functional.rms_norm(states.hidden_states[0], (32,)))


def test_a_causal_encoder_never_looks_ahead():
    model = model_of(causal=True)
    ids = torch.randint(1, 50, (1, 9))
    changed = ids.clone()
    changed[:, 5:] = 1
    assert torch.equal(model(changed).last_hidden_state[:, :5], model(ids).last_hidden_state[:, :5])
    assert not torch.equal(model_of()(changed).last_hidden_state[:, :5], model_of()(ids).last_hidden_state[:, :5])


def test_without_positions_the_encoder_is_permutation_equivariant():
    model = model_of(rotary_base=None)
    ids, order = torch.randint(1, 50, (1, 9)), torch.randperm(9)
    assert_close(model(ids[:, order]).last_hidden_state, model(ids).last_hidden_state[:, order])


def test_states_have_unit_size_after_every_layer():
    states = model_of()(torch.randint(1, 50, (2, 6)), output_hidden_states=True).hidden_states
    assert len(states) == 4
    for state in states:
        assert_close(state.square().mean(-1), torch.ones(2, 6), atol=1e-3, rtol=0)


def test_embeddings_may_be_given_in_place_of_tokens():
    model = model_of()
    ids = torch.randint(1, 50, (2, 6))
    given = model(inputs_embeds=model.get_input_embeddings()(ids)).last_hidden_state
    assert torch.equal(given, model(ids).last_hidden_state)


def test_checkpointing_changes_no_gradient():
    model = model_of(hidden_dropout=0.0, attention_dropout=0.0).train()
    ids = torch.randint(1, 50, (2, 6))

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(ids).last_hidden_state[..., 0].sum().backward()
        return [weight.grad.clone() for weight in model.parameters()]

    plain = gradients()
    model.layers[0].gradient_checkpointing = False
    model._set_gradient_checkpointing(
        enable=True,
        gradient_checkpointing_func=lambda f, *a: torch.utils.checkpoint.checkpoint(f, *a, use_reentrant=False),
    )
    assert all(layer.gradient_checkpointing for layer in model.layers)
    assert_close(gradients(), plain)


def test_it_learns_which_tokens_stand_beside_a_marked_one():
    """A task that needs both attention and positions: is the token before me a 7?"""
    torch.manual_seed(0)
    model = model_of(num_hidden_layers=2, hidden_dropout=0.0, attention_dropout=0.0).train()
    probe = torch.nn.Linear(32, 1)
    optimizer = torch.optim.Adam([*model.parameters(), *probe.parameters()], 3e-3)
    for _ in range(150):
        ids = torch.randint(1, 10, (16, 12))
        target = torch.nn.functional.pad(ids[:, :-1] == 7, (1, 0)).float()
        scores = probe(model(ids).last_hidden_state)[..., 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_sizes_they_name(name):
    with torch.device("meta"):
        model = GAUModel(GAUConfig.preset(name, vocab_size=100))
    millions = sum(weight.numel() for weight in model.layers.parameters()) / 1e6
    assert millions == pytest.approx({"gau-tiny": 2.56, "gau-small": 11.2, "gau-base": 87.3}[name], rel=0.01)


def test_auto_config_knows_the_model_type():
    assert type(AutoConfig.for_model("gau", hidden_size=64)) is GAUConfig


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"attention": "sofmax"}, "'softmax'"),
        ({"norm": "rsm"}, "'rms'"),
        ({"initialization": "xavir"}, "'xavier'"),
        ({"norm_position": "pst"}, "'post'"),
    ],
)
def test_a_misspelt_choice_is_refused_with_the_right_one(wrong, right):
    with pytest.raises(OptionError, match=f"Did you mean {right}"):
        GAUConfig(**wrong)


def test_a_misspelt_preset_is_refused_with_the_right_one():
    with pytest.raises(OptionError, match="Did you mean 'gau-tiny'"):
        GAUConfig.preset("gau-tinny")
