"""Text to facts: order, independence of neighbours, long texts, thresholds, constraints, errors of the caller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import kexue
from kexue.encoders.windows import owned, plan_windows
from kexue.errors import CheckpointError, OptionError, SchemaError
from kexue.extraction.document import Document
from kexue.pipelines.evaluation import predict_and_judge
from kexue.pipelines.extractor import Extractor
from tests.training.tiny import sentences

GOLD = sentences(10)
TEXTS = [item.text for item in GOLD]


def facts(document: Document) -> set[Any]:
    return {(fact.subject, fact.predicate, fact.object) for fact in document.relations}


def close(ours: list[Document], theirs: list[Document]) -> None:
    """The same spans and relations, their confidences equal up to rounding."""
    assert [item.text for item in ours] == [item.text for item in theirs]
    for left, right in zip(ours, theirs, strict=True):
        assert left.entities == right.entities and left.relations == right.relations
        for kind in ("entities", "relations"):
            scores = [[found.score for found in getattr(item, kind)] for item in (left, right)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_the_package_gives_the_extractor_by_its_public_name():
    assert kexue.Extractor is Extractor


def test_what_was_learnt_by_heart_is_found_in_the_order_given(extractor: Extractor):
    for order in (TEXTS, TEXTS[::-1], sorted(TEXTS, key=len)):
        found = extractor.extract(order)
        assert [item.text for item in found] == order
        gold = {item.text: facts(item) for item in GOLD}
        assert all(facts(item) == gold[item.text] for item in found)


def test_confidences_are_between_zero_and_one_and_spans_lie_in_their_text(extractor: Extractor):
    for item in extractor.extract(TEXTS):
        spans = item.entities + [end for fact in item.relations for end in (fact.subject, fact.object)]
        assert all(0 <= span.start < span.end <= len(item.text) and 0 <= span.score <= 1 for span in spans)
        assert all(0 <= fact.score <= 1 for fact in item.relations)


def test_relations_between_windows_are_found(extractor: Extractor):
    config = extractor.model.config
    across = 0
    for item, tokens in zip(GOLD, extractor.tokenizer(TEXTS), strict=True):
        own = owned(plan_windows(len(tokens), config.window, config.overlap))

        def window(place: int, tokens=tokens, own=own) -> int:
            token = tokens.starts.index(place)
            return next(index for index, part in enumerate(own) if token in part)

        found = facts(extractor(item.text))
        for fact in item.relations:
            across += window(fact.subject.start) != window(fact.object.start)
            assert (fact.subject, fact.predicate, fact.object) in found
    assert across > 3


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 3}, {"batch_tokens": 1}, {"batch_tokens": 60}])
def test_the_result_does_not_depend_on_the_batches(options: dict[str, int], extractor: Extractor):
    close(extractor.extract(TEXTS, **options), extractor.extract(TEXTS))


def test_the_result_does_not_depend_on_neighbours(extractor: Extractor):
    texts = [TEXTS[0], "", "  ", "字" * 500, TEXTS[1], "🙂 " * 50, TEXTS[0]]
    together = extractor.extract(texts)
    close(together, [extractor(text) for text in texts])
    assert together[0] == together[-1]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\ud800", "\0", "\u200b", "字" * 3000])
def test_odd_texts_are_texts_too(text: str, extractor: Extractor):
    found = extractor(text)
    assert found.text == text
    if not text.strip():
        assert not found.entities and not found.relations


def test_a_text_of_many_windows_gives_facts_along_its_whole_length(extractor: Extractor):
    filler = " ".join(TEXTS[5:])
    document = extractor.with_precision(0.99)(f"{TEXTS[0]} {10 * filler}")
    assert len(document.text) > 3000
    places = [fact.subject.start // 500 for fact in document.relations]
    assert set(places) == set(range(len(document.text) // 500))


def test_documents_keep_their_id_and_meta_and_lose_their_gold(extractor: Extractor):
    given = Document(TEXTS[0], GOLD[1].entities, id="a", meta={"page": 3, "cut": "spans"})
    found = extractor(given)
    assert (found.id, found.meta) == ("a", {"page": 3})
    assert found.entities == extractor(TEXTS[0]).entities
    assert given.meta == {"page": 3, "cut": "spans"} and given.entities == GOLD[1].entities


def test_a_stream_is_read_chunk_by_chunk(extractor: Extractor):
    read = 0

    def stream():
        nonlocal read
        for text in TEXTS:
            read += 1
            yield text

    found = extractor.pipe(stream(), chunk=3)
    assert next(found).text == TEXTS[0] and read == 3
    assert [item.text for item in found] == TEXTS[1:] and read == len(TEXTS)


def test_no_texts_give_no_documents(extractor: Extractor):
    assert extractor.extract([]) == [] == list(extractor.pipe([]))


@pytest.mark.parametrize("texts", ["one text", Document("one text")])
def test_one_text_in_place_of_many_is_refused(texts: Any, extractor: Extractor):
    for many in (extractor.extract, lambda items: list(extractor.pipe(items))):
        with pytest.raises(OptionError, match=r"call the extractor itself"):
            many(texts)


def test_what_is_no_text_is_refused(extractor: Extractor):
    with pytest.raises(OptionError, match="a text must be a string or a Document, got NoneType"):
        extractor.extract(["a", None])


# --- thresholds and constraints ---


def test_a_higher_threshold_reports_a_part_of_what_a_lower_one_does(extractor: Extractor):
    found = [facts(extractor.with_threshold(value)(TEXTS[0])) for value in (0.0, 0.2, 0.6, 1.0)]
    assert found[0] >= found[1] >= found[2] >= found[3]
    assert len(found[0]) > len(found[3])
    assert all(fact.score >= 0.6 for fact in extractor.with_threshold(0.6)(TEXTS[0]).relations)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_confidence(value: float, extractor: Extractor):
    with pytest.raises(OptionError, match="between 0 and 1"):
        extractor.with_threshold(value)


def test_a_wanted_precision_uses_the_thresholds_stored_for_it(extractor: Extractor):
    chosen = extractor.with_precision(0.9)
    assert chosen.decision.thresholds == extractor.decision.wanted["0.9"]
    assert facts(chosen(TEXTS[0])) == facts(GOLD[0])


def test_a_precision_that_is_not_stored_is_refused_with_those_that_are(extractor: Extractor):
    with pytest.raises(OptionError, match=r"0\.8, 0\.85, 0\.9, 0\.95, 0\.99"):
        extractor.with_precision(0.87)


def test_further_constraints_leave_the_original_as_it_was(extractor: Extractor):
    before = extractor(TEXTS[0])
    symmetric = extractor.with_schema({"causes": {"symmetric": True}})
    back = {(object_, predicate, subject) for subject, predicate, object_ in facts(GOLD[0])}
    assert facts(symmetric(TEXTS[0])) == facts(GOLD[0]) | back
    assert extractor(TEXTS[0]) == before
    assert not any(item.symmetric for item in extractor.schema.relation_types)


def test_constraints_on_types_change_what_is_decoded_and_share_the_weights(extractor: Extractor):
    swapped = extractor.with_schema({"causes": {"subject_types": ["effect"], "object_types": ["drug"]}})
    assert not {fact for fact in facts(swapped(TEXTS[0])) if fact[1] == "causes"} & facts(GOLD[0])
    assert facts(extractor(TEXTS[0])) == facts(GOLD[0])
    ours, theirs = swapped.model.state_dict(), extractor.model.state_dict()
    assert all(ours[name].data_ptr() == theirs[name].data_ptr() for name in theirs)
    assert swapped.model.config.schema != extractor.model.config.schema


def test_a_constraint_on_an_unknown_relation_is_refused_with_the_likeliest(extractor: Extractor):
    with pytest.raises(SchemaError, match="Did you mean 'causes'"):
        extractor.with_schema({"cause": {"functional": True}})


# --- hardware ---


def test_bfloat16_moves_confidences_a_little_and_does_not_leak_to_the_caller(fitted: Path, extractor: Extractor):
    fast = Extractor.from_pretrained(fitted, device="cpu", dtype="bfloat16")
    for _ in fast.candidates(TEXTS[:2]):
        assert not torch.is_autocast_enabled("cpu")
    found = fast.extract(TEXTS)
    right = sum(len(facts(item) & facts(gold)) for item, gold in zip(found, GOLD, strict=True))
    assert right >= 0.8 * sum(len(facts(gold)) for gold in GOLD)
    scores = [[fact.score for fact in each(TEXTS[0]).relations] for each in (fast, extractor)]
    assert scores[0] != scores[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "gpu"}, "device 'gpu' cannot be used here"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
        ({"dtype": "bfloat15"}, "unknown dtype 'bfloat15'. Did you mean 'bfloat16'"),
    ],
)
def test_hardware_that_is_not_there_is_refused_in_one_line(options: dict[str, str], said: str, fitted: Path):
    with pytest.raises(OptionError) as error:
        Extractor.from_pretrained(fitted, **options)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a/b/c", "no such folder", "./none", "runs/my model", "who/what?"])
def test_a_folder_that_is_absent_is_named(name: str):
    with pytest.raises(CheckpointError) as error:
        Extractor.from_pretrained(name)
    assert str(error.value).startswith(name.removeprefix("./"))


# --- on gold ---


def test_a_model_on_its_gold_is_calibrated_and_unknown_labels_are_passed_over(extractor: Extractor):
    predicted, extra = predict_and_judge(extractor, GOLD)
    assert [facts(item) for item in predicted] == [facts(item) for item in GOLD]
    assert extra["calibration_error"] == extractor.metrics["dev_calibration_error"]
    strange = [
        Document.from_json(record | {"entities": [{"start": 0, "end": 1, "label": "new"}]})
        for record in [GOLD[0].to_json()]
    ]
    assert len(predict_and_judge(extractor, strange)[0]) == 1
