"""Faults that were found in other implementations of these methods; each test is one that ours must not have.

The faults of the losses are in `tests/ops/test_published.py`, those of aligning strings in `test_occurrence.py`, those
of counting in `metrics/`, those of decoding untrained models in `test_decoding.py`.
"""

from __future__ import annotations

import pytest
import torch

from kexue.encoders.gau import GAUConfig, GAUModel
from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.vocabulary import train_tokenizer
from kexue.encoders.windows import collate
from kexue.extraction.assembly import assemble
from kexue.extraction.decision import Decision
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.inference import find_candidates
from kexue.extraction.links import LinkEncoder
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from kexue.extraction.schema import RelationType, Schema

SCHEMA = Schema((), (RelationType("p"), RelationType("q")))
WINDOW, OVERLAP = 16, 4


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(train_tokenizer(["alpha beta gamma delta epsilon zeta eta theta"] * 3, vocab_size=200))


@pytest.fixture(scope="module")
def model(tokenizer: TextTokenizer) -> ExtractionModel:
    return new_model(tokenizer).eval()


def new_model(tokenizer: TextTokenizer) -> ExtractionModel:
    torch.manual_seed(0)
    encoder = GAUModel(
        GAUConfig(vocab_size=len(tokenizer.tokenizer), hidden_size=32, num_hidden_layers=2, key_dim=16, pad_token_id=0)
    )
    config = ExtractionConfig(
        encoder.config.to_dict(), SCHEMA.to_json(), head_dim=16, window=WINDOW, overlap=OVERLAP, hidden_dropout=0.0
    )
    return ExtractionModel(config, encoder)


def text_of(num_words: int) -> str:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    return " ".join(words[index * index % 8] for index in range(num_words))


def fact(text: str, first: int, last: int) -> Document:
    """A document with one relation between the first word at or after each place."""

    def word(place: int) -> Span:
        start = text.index(" ", place) + 1
        return Span(start, text.index(" ", start))

    return Document(text, [], [Relation(word(first), "p", word(last))])


def loss_of(model: ExtractionModel, tokenizer: TextTokenizer, documents: list[Document]) -> torch.Tensor:
    tokens = tokenizer([document.text for document in documents])
    encode = LinkEncoder(SCHEMA)
    links = [encode(document, own) for document, own in zip(documents, tokens, strict=True)]
    assert not any(link.unplaced for link in links)
    batch = collate(tokens, tokenizer, window=WINDOW, overlap=OVERLAP)
    targets = model.head.targets(links)
    return model(batch.input_ids, batch.attention_mask, batch.gather, batch.mask, **targets)["loss"]


def test_gold_far_behind_any_maximum_length_is_trained_on(model, tokenizer):
    """Elsewhere: entities beyond `maxlen` are dropped in silence."""
    text = text_of(400)
    document = fact(text, 5, len(text) - 40)
    loss = loss_of(model, tokenizer, [document])
    without = loss_of(model, tokenizer, [Document(text)])
    assert loss.isfinite()
    assert not torch.isclose(loss, without)


def test_a_relation_between_the_first_and_the_last_window_is_learnt_and_found(tokenizer):
    """Elsewhere: windows are decoded apart, so a relation between two of them cannot be found."""
    model = new_model(tokenizer).train()
    words = ["alpha"] * 200
    words[3], words[190] = "beta", "gamma"
    text = " ".join(words)
    subject, object_ = (Span(text.index(word), text.index(word) + len(word)) for word in ("beta", "gamma"))
    document = Document(text, [], [Relation(subject, "q", object_)])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss_of(model, tokenizer, [document]).backward()
        optimizer.step()
    (found,) = find_candidates(model.eval(), tokenizer, [text])
    assert assemble(text, found.tokens, found.candidates, model.head.labels, Decision()).relations == document.relations


def test_the_loss_of_a_batch_is_the_mean_of_its_documents_whatever_the_padding(model, tokenizer):
    """Elsewhere: padded rows enter the loss, or the loss is summed over the batch."""
    documents = [fact(text_of(length), 5, 30) for length in (9, 40, 14)]
    alone = torch.stack([loss_of(model, tokenizer, [document]) for document in documents])
    torch.testing.assert_close(loss_of(model, tokenizer, documents), alone.mean(), rtol=1e-5, atol=1e-5)


def test_offsets_in_later_windows_are_those_of_the_document(model, tokenizer):
    """Elsewhere: spans of later windows are shifted once per linked head."""
    text = text_of(60)
    (found,) = find_candidates(model, tokenizer, [text], floor=-1e9)
    document = assemble(text, found.tokens, found.candidates, model.head.labels, Decision(floor=-1e9))
    for span in document.entities:
        assert span.surface(text).strip() == span.surface(text)
        assert span.start == 0 or text[span.start - 1] == " "
        assert span.end == len(text) or text[span.end] == " "
    assert max(span.end for span in document.entities) > 0.8 * len(text)


def test_separators_of_shorter_texts_in_a_batch_can_never_end_a_span(model, tokenizer):
    """Elsewhere: only the last row of the padded matrix is masked, so the real [SEP] stays a legal end."""
    texts = ["alpha", text_of(50), "beta gamma"]
    for found in find_candidates(model, tokenizer, texts, floor=-1e9):
        ends = found.candidates.spans[:, 2]
        assert len(ends)
        assert int(ends.max()) < len(found.tokens)


def test_spaces_of_the_text_are_kept(model, tokenizer):
    """Elsewhere: every space is replaced before tokenising, so English words fall apart."""
    text = "alpha  beta\tgamma\u3000delta"
    tokens = tokenizer([text])[0]
    assert [text[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)] == [
        "alpha",
        "beta",
        "gamma",
        "delta",
    ]


def test_an_entity_in_several_triples_is_one_positive(model, tokenizer):
    """Elsewhere: a shared subject takes a slot for each triple and makes the loss negative."""
    text = text_of(12)
    one = fact(text, 3, 20)
    relation = one.relations[0]
    several = Document(text, [], [relation, Relation(relation.subject, "q", relation.object), relation])
    links = LinkEncoder(SCHEMA)(several, tokenizer([text])[0])
    assert len(links.spans) == 2
    assert len(links.starts) == 2
    assert loss_of(model, tokenizer, [several]) > 0
