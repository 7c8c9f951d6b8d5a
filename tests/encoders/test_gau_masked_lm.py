"""The GAU encoder as a masked language model: tied scores, loss, round trips, and the encoder inside its folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModel, AutoModelForMaskedLM

from kexue.encoders.gau import GAUConfig, GAUForMaskedLM, GAUModel
from kexue.ops.attention import ATTENTIONS

DEVICES = [
    pytest.param("cpu", marks=pytest.mark.long),
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]


def model_of(**changes) -> GAUForMaskedLM:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "key_dim": 16}
    return GAUForMaskedLM(GAUConfig(**sizes | changes)).eval()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(1, 50, (2, 7), generator=torch.Generator().manual_seed(0))


def test_the_scores_are_products_of_states_and_embeddings(ids):
    model = model_of()
    states = model.gau(ids).last_hidden_state
    assert_close(model(ids).logits, states @ model.gau.embedding.weight.T)


def test_it_has_no_parameter_beside_those_of_the_encoder():
    model = model_of()
    assert sum(weight.numel() for weight in model.parameters()) == sum(w.numel() for w in model.gau.parameters())


@pytest.mark.parametrize("sparse", [False, True])
def test_the_loss_is_the_mean_of_minus_log_p_over_labelled_tokens(ids, sparse):
    model = model_of(sparse_prediction=sparse)
    labels = torch.full_like(ids, -100)
    places = [(0, 2), (1, 0), (1, 6)]
    for row, column in places:
        labels[row, column] = ids[row, column]
    log_p = model(ids).logits.log_softmax(-1)
    expected = -sum(log_p[row, column, ids[row, column]] for row, column in places) / len(places)
    out = model(ids, labels=labels)
    assert_close(out.loss, expected)
    assert out.logits.shape == ((3, 50) if sparse else (2, 7, 50))


@pytest.mark.parametrize("sparse", [False, True])
def test_without_any_label_the_loss_is_zero_and_has_a_gradient(ids, sparse):
    model = model_of(sparse_prediction=sparse)
    loss = model(ids, labels=torch.full_like(ids, -100)).loss
    loss.backward()
    assert loss == 0
    assert all((weight.grad == 0).all() for weight in model.parameters())


@pytest.mark.parametrize("segments", [0, 2])
def test_a_saved_model_comes_back_and_its_folder_holds_the_encoder(ids, segments, tmp_path):
    model = model_of(type_vocab_size=segments)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    assert type(again) is GAUForMaskedLM
    assert again.decoder.weight is again.gau.embedding.weight
    assert torch.equal(again(ids).logits, model(ids).logits)
    encoder, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(encoder) is GAUModel
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert torch.equal(encoder.eval()(ids).last_hidden_state, model.gau(ids).last_hidden_state)


def test_segments_shift_the_tokens_and_are_zero_where_left_out(ids):
    model = model_of(type_vocab_size=2)
    zeros, ones = torch.zeros_like(ids), torch.ones_like(ids)
    assert torch.equal(model(ids).logits, model(ids, token_type_ids=zeros).logits)
    embedded = model.gau.embedding(ids) + model.gau.segment_embedding.weight[1] - model.gau.segment_embedding.weight[0]
    assert_close(model(ids, token_type_ids=ones).logits, model(inputs_embeds=embedded).logits)


def test_padding_changes_no_score(ids):
    model = model_of()
    padded = torch.nn.functional.pad(ids, (0, 5))
    assert_close(model(padded, padded != 0).logits[:, :7], model(ids).logits, atol=1e-6, rtol=0)


def compiled(*arguments: str) -> list[str]:
    """The attentions of the layers for which `compiled.py` found that compiled and plain model agree."""
    program = Path(__file__).with_name("compiled.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_the_whole_model_is_one_graph_with_every_attention_in_training_too():
    assert compiled("aot_eager", "cpu", *ATTENTIONS) == list(ATTENTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_compiled_code_gives_the_same_numbers(device):
    assert compiled("inductor", device, "squared_relu") == ["squared_relu"]
