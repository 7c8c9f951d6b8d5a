"""Encoders by name or folder: float32, no pooler, no pickle, and one clear line for whatever is wrong."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    BartConfig,
    BartModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5Model,
)
from transformers.utils import logging

from kexue.encoders.gau import GAUModel
from kexue.encoders.loading import build_encoder, load_encoder, load_tokenizer, position_limit
from kexue.encoders.masked_lm import load_masked_lm
from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.windows import collate, merge_windows
from kexue.errors import CheckpointError, OptionError

TEXTS = ["周星驰主演了《喜剧之王》", "Marie Curie was born in Warsaw."] * 3
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def saved(model, tokenizer, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def bert_folder(word_piece, tmp_path) -> Path:
    return saved(BertModel(BertConfig(vocab_size=len(word_piece), **SMALL)), word_piece, tmp_path / "bert")


def test_minilm_gives_the_states_that_transformers_gives(minilm):
    model, tokenizer = load_encoder(minilm)
    reference = AutoModel.from_pretrained(minilm).eval()
    wrapped = TextTokenizer(tokenizer)
    batch = collate(wrapped(["Aspirin caused a rash.", ""]), wrapped, window=254, overlap=64)
    with torch.no_grad():
        states = model.eval()(input_ids=batch.input_ids, attention_mask=batch.attention_mask)[0]
        whole = reference(**tokenizer("Aspirin caused a rash.", return_tensors="pt", padding=False))[0]
    torch.testing.assert_close(merge_windows(states, batch)[0][batch.mask[0]], whole[0, 1:-1])
    assert model.pooler is None
    assert tokenizer.model_max_length == 512


def test_an_encoder_built_from_its_configuration_takes_the_loaded_weights(bert_folder):
    model, _ = load_encoder(bert_folder)
    config = AutoConfig.for_model(**model.config.to_dict())
    build_encoder(config).load_state_dict(model.state_dict())


def test_weights_saved_in_half_precision_are_loaded_in_single(bert_folder):
    BertModel.from_pretrained(bert_folder).half().save_pretrained(bert_folder)
    assert load_encoder(bert_folder)[0].dtype == torch.float32


def test_the_tokenizer_knows_how_many_positions_roberta_really_has(byte_level, tmp_path):
    config = RobertaConfig(vocab_size=400, max_position_embeddings=12, pad_token_id=1, **SMALL)
    model, tokenizer = load_encoder(saved(RobertaModel(config), byte_level, tmp_path))
    assert tokenizer.model_max_length == position_limit(model) == 10
    full = torch.full((1, 10), 5)
    model(full)
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, 11), 5))


def test_of_an_encoder_decoder_the_encoder_is_used(unigram, tmp_path):
    vocab = len(unigram)
    t5 = T5Model(T5Config(vocab_size=vocab, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    bart = BartModel(
        BartConfig(vocab_size=vocab, d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16,
                   encoder_attention_heads=2, decoder_attention_heads=2, decoder_ffn_dim=16,
                   pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None)
    )  # fmt: skip
    ids = torch.randint(4, vocab, (1, 5))
    for whole in (t5, bart):
        encoder, _ = load_encoder(saved(whole.eval(), unigram, tmp_path / type(whole).__name__))
        assert not any("decoder" in name for name, _ in encoder.named_parameters())
        torch.testing.assert_close(encoder.eval()(input_ids=ids)[0], whole.get_encoder()(input_ids=ids)[0])
        build_encoder(encoder.config).load_state_dict(encoder.state_dict())


def test_a_gau_encoder_begins_from_scratch_and_comes_back_from_its_folder(tmp_path):
    model, tokenizer = load_encoder("gau-tiny", texts=TEXTS, vocab_size=100)
    assert isinstance(model, GAUModel)
    assert model.config.vocab_size == len(tokenizer)
    again, tokenizer = load_encoder(saved(model.eval(), tokenizer, tmp_path))
    ids = torch.tensor([tokenizer("周星驰")["input_ids"]])
    assert torch.equal(again.eval()(ids)[0], model(ids)[0])
    assert TextTokenizer(tokenizer).max_window is None


def test_a_gau_encoder_from_scratch_needs_texts_and_its_right_name():
    with pytest.raises(OptionError, match="needs texts"):
        load_encoder("gau-tiny")
    with pytest.raises(OptionError, match="Did you mean 'gau-small'"):
        load_encoder("gau-smal", texts=TEXTS)


def test_a_tokenizer_is_loaded_without_the_weights(bert_folder, word_piece):
    (bert_folder / "model.safetensors").unlink()
    assert load_tokenizer(bert_folder).get_vocab() == word_piece.get_vocab()
    with pytest.raises(OptionError, match="there is no folder"):
        load_tokenizer("./nowhere")


def test_a_folder_that_holds_no_vocabulary_is_not_taken_for_an_empty_one(bert_folder):
    (bert_folder / "tokenizer.json").unlink()
    (bert_folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    with pytest.raises(CheckpointError, match="no vocabulary"):
        load_tokenizer(bert_folder)


def test_weights_that_are_a_pickle_are_refused_and_never_opened(bert_folder):
    (bert_folder / "model.safetensors").unlink()
    (bert_folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is a pickle, .*save_pretrained"):
        load_encoder(bert_folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights"),
        ("tokenizer.json", "has no vocab"),
    ],
)
def test_a_missing_file_is_named(bert_folder, name, message):
    (bert_folder / name).unlink()
    with pytest.raises(CheckpointError, match=message):
        load_encoder(bert_folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_truncated_file_is_an_error_of_the_folder(bert_folder, name):
    content = (bert_folder / name).read_bytes()
    (bert_folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=str(bert_folder)):
        load_encoder(bert_folder)


def test_weights_of_another_model_are_refused_rather_than_made_up(bert_folder, word_piece, tmp_path):
    other = saved(
        RobertaModel(RobertaConfig(vocab_size=len(word_piece), **SMALL | {"num_hidden_layers": 2})),
        word_piece,
        tmp_path / "other",
    )
    config = json.loads((bert_folder / "config.json").read_text())
    (bert_folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(CheckpointError, match="lack 32 tensors of BertModel"):
        load_encoder(bert_folder)
    shutil.copy(other / "model.safetensors", bert_folder)
    with pytest.raises(CheckpointError):
        load_encoder(bert_folder)


@pytest.mark.parametrize("masked", [False, True], ids=["encoder", "masked language model"])
def test_weights_that_are_no_numbers_and_sizes_that_none_fill_are_refused(masked, word_piece, tmp_path):
    kind = BertForMaskedLM if masked else BertModel
    bert = kind(BertConfig(vocab_size=len(word_piece), **SMALL))
    load = partial(load_masked_lm, tokenizer=word_piece) if masked else load_encoder
    folder = saved(bert, word_piece, tmp_path)
    load(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1000}))
    with pytest.raises(CheckpointError, match="a far larger network"):
        load(folder)
    bert.base_model.embeddings.word_embeddings.weight.data[0, 0] = torch.nan
    with pytest.raises(CheckpointError, match="hold NaN or infinity"):
        load(saved(bert, word_piece, tmp_path))


def test_a_masked_language_model_that_lets_no_token_through_is_refused(word_piece, tmp_path):
    bert = BertForMaskedLM(BertConfig(vocab_size=len(word_piece), type_vocab_size=1, **SMALL))
    folder = saved(bert, word_piece, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"chunk_size_feed_forward": "a"}))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_masked_lm(folder, word_piece)


def test_a_tokenizer_larger_than_the_embeddings_is_refused(word_piece, tmp_path):
    folder = saved(BertModel(BertConfig(vocab_size=50, **SMALL)), word_piece, tmp_path)
    with pytest.raises(CheckpointError, match="only 50 embeddings"):
        load_encoder(folder)


def test_a_model_type_that_nobody_knows_and_code_from_the_folder_are_refused(bert_folder):
    config = json.loads((bert_folder / "config.json").read_text())
    strange = config | {
        "model_type": "strange",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.M"},
    }
    (bert_folder / "config.json").write_text(json.dumps(strange))
    (bert_folder / "evil.py").write_text("raise SystemExit('code from the folder was run')")
    with pytest.raises(CheckpointError, match=str(bert_folder)):
        load_encoder(bert_folder)


@pytest.mark.parametrize("name", ["./nowhere", "~/nowhere", "/nowhere/at/all", "a/b/c"])
def test_a_path_without_a_folder_is_not_asked_of_the_hub(name, monkeypatch):
    monkeypatch.setattr(AutoConfig, "from_pretrained", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(OptionError, match="there is no folder"):
        load_encoder(name)


def test_a_hub_that_cannot_be_reached_is_said_in_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OptionError, match=r"(?s)no folder 'nobody/nothing', and the hub .* gau-tiny") as caught:
        load_encoder("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_loading_writes_nothing_to_the_terminal_and_leaves_logging_as_it_was(bert_folder, capfd):
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_encoder(bert_folder)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
