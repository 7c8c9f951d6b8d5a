"""A compiled extractor: two graphs for all shapes, made when it is loaded, without a break, and the same facts."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from transformers import BertConfig

from kexue.encoders import graph
from kexue.encoders.gau import GAUConfig, GAUModel
from kexue.encoders.loading import build_encoder
from kexue.errors import OptionError
from tests.training.tiny import run_module


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.long)])
def test_all_texts_run_through_two_graphs_that_are_made_at_the_start(backend: str, fitted: Path):
    run = run_module("tests.pipelines.compiled", backend, str(fitted))
    assert run.stdout.split() == ["loaded", "2", "graphs", "2", "breaks", "0"], run.stdout + run.stderr


def test_what_cannot_be_compiled_is_refused_and_not_run_otherwise(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("no compiler\nwas found")

    monkeypatch.setattr(graph, "BACKEND", broken)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    encoder = build_encoder(BertConfig(vocab_size=20, **sizes)).eval()
    with pytest.raises(OptionError, match=r"cannot be compiled here: .*no compiler was found.*leave out compile"):
        graph.compile_encoder(encoder, width=16, precision=nullcontext)


def test_an_encoder_that_goes_by_chunks_is_not_compiled():
    encoder = GAUModel(
        GAUConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, key_dim=8, attention="mixed_chunk")
    )
    with pytest.raises(OptionError, match="the attention MixedChunk reads a text chunk by chunk"):
        graph.refuse_many_graphs(encoder)
