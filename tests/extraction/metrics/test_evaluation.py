import io
import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.reference import metrics as reference

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.metrics import evaluate, render
from kexue.extraction.metrics.distance import DISTANCES, distance, word_starts

TEXT = "a b a  b c\na b"


@st.composite
def spans(draw):
    start = draw(st.integers(0, 6))
    return Span(start, draw(st.integers(start + 1, 8)), draw(st.sampled_from(["", "x"])))


relations = st.builds(Relation, spans(), st.sampled_from("pqr"), spans())
documents = st.builds(lambda found: Document(TEXT, relations=found), st.lists(relations, max_size=7))
corpora = st.lists(st.tuples(documents, documents), min_size=1, max_size=4)


def counts_of(score):
    return score.counts.correct, score.counts.predicted, score.counts.gold


@settings(max_examples=60, deadline=None)
@given(corpora)
def test_every_matching_counts_what_comparing_all_pairs_counts(pairs):
    gold, predicted = map(list, zip(*pairs, strict=True))
    found = evaluate(gold, predicted, bootstrap_samples=0).relations
    for name, same in reference.SAME.items():
        expected = reference.count(gold, predicted, same)
        assert counts_of(found.matchings[name]) == expected
        counts = found.matchings[name].counts
        assert (counts.precision, counts.recall, counts.f1) == pytest.approx(reference.scores(*expected))


@settings(max_examples=60, deadline=None)
@given(corpora)
def test_labels_and_macro_equal_those_of_comparing_all_pairs(pairs):
    gold, predicted = map(list, zip(*pairs, strict=True))
    found = evaluate(gold, predicted, bootstrap_samples=0).relations
    present = sorted({r.predicate for document in gold + predicted for r in document.relations})
    assert list(found.by_label) == present
    each = [reference.count(gold, predicted, reference.same_strict, name) for name in present]
    assert [counts_of(score) for score in found.by_label.values()] == each
    means = [sum(column) / len(present) for column in zip(*(reference.scores(*c) for c in each), strict=True)]
    macro = found.macro
    assert [macro.precision, macro.recall, macro.f1] == pytest.approx(means or [0, 0, 0])
    assert macro.num_labels == len(present)


@settings(max_examples=40, deadline=None)
@given(corpora)
def test_each_breakdown_by_size_and_distance_sums_to_the_whole(pairs):
    gold, predicted = map(list, zip(*pairs, strict=True))
    evaluation = evaluate(gold, predicted, bootstrap_samples=0)
    whole = counts_of(evaluation.relations.headline)
    by_size = [subset.counts for subset in evaluation.breakdown.by_triple_count.values()]
    for parts in (by_size, evaluation.breakdown.by_distance.values()):
        assert tuple(sum(getattr(c, name) for c in parts) for name in ("correct", "predicted", "gold")) == whole
    mistakes = evaluation.breakdown.mistakes.values()
    assert sum(kind["missed"] for kind in mistakes) == whole[2] - whole[0]
    assert sum(kind["spurious"] for kind in mistakes) == whole[1] - whole[0]


def relation(subject, predicate, object, score=None):
    return Relation(Span(*subject), predicate, Span(*object), score)


def test_nothing_predicted_and_nothing_to_predict_score_zero():
    found = evaluate([Document(TEXT)], [Document(TEXT)])
    assert found.relations.headline.counts.f1 == 0
    assert found.relations.headline.interval == (0, 0)
    assert found.relations.macro.num_labels == 0
    assert found.events is None
    assert found.breakdown.calibration is None


def test_the_report_holds_the_scores_under_nested_names_and_is_json():
    gold = Document(TEXT, relations=[relation((0, 1), "p", (2, 3)), relation((0, 1), "q", (2, 3))])
    predicted = Document(TEXT, relations=[relation((0, 1), "p", (2, 3), 0.75)])
    report = json.loads(json.dumps(evaluate([gold] * 5, [predicted] * 5, bootstrap_samples=50, seed=3).to_json()))
    assert report["documents"] == 5
    assert report["relations"]["precision"] == 1
    assert report["relations"]["recall"] == 0.5
    assert report["relations"]["f1"] == report["relations"]["strict"]["f1"] == pytest.approx(2 / 3)
    assert report["relations"]["interval"] == pytest.approx([2 / 3, 2 / 3])
    assert report["relations"]["matching"] == "strict"
    assert report["relations"]["macro"]["f1"] == 0.5
    assert report["relations"]["by_label"]["q"]["gold"] == 5
    assert report["relations"]["by_pattern"]["EPO"]["documents"] == 5
    assert report["relations"]["by_triple_count"]["2"]["gold"] == 10
    assert report["relations"]["mistakes"]["nothing near"] == {"missed": 5, "spurious": 0}
    assert report["relations"]["calibration"]["expected_calibration_error"] == pytest.approx(0.25)
    assert report["entities"]["f1"] == report["entities"]["boundaries"]["f1"] == 1
    assert report["as_peers_count"]["casrel_partial"]["correct"] == 5
    assert report["bootstrap"] == {"samples": 50, "seed": 3, "confidence": 0.95, "resampled": "documents"}
    assert "events" not in report


def test_documents_that_do_not_belong_together_are_named():
    one, other = Document("abc", id="1"), Document("abd", id="1")
    with pytest.raises(DataError, match="2 gold documents but 1 predicted"):
        evaluate([one, one], [one])
    with pytest.raises(DataError, match=r"document 2 \(id '1'\): .* from character 2: gold 'c', predicted 'd'"):
        evaluate([one, one], [one, other])
    with pytest.raises(DataError, match="from character 3: gold '', predicted '!'"):
        evaluate([one], [Document("abc!", id="1")])
    with pytest.raises(DataError, match="document 1 has id '1' in the gold but '2'"):
        evaluate([one], [replace(one, id="2")])
    with pytest.raises(DataError, match="no documents"):
        evaluate([], [])
    evaluate([one], [replace(one, id=None)], bootstrap_samples=0)


def test_a_negative_number_of_resamples_is_refused():
    with pytest.raises(OptionError, match="-1"):
        evaluate([Document("a")], [Document("a")], bootstrap_samples=-1)


def test_without_resamples_there_are_no_intervals():
    report = evaluate([Document("a")], [Document("a")], bootstrap_samples=0).to_json()
    assert report["relations"]["interval"] is None


@pytest.mark.parametrize(
    ("text", "one", "other", "words"),
    [
        ("a b c d", (0, 1), (2, 3), 0),
        ("a b c d", (0, 1), (6, 7), 2),
        ("a b c d", (6, 7), (0, 1), 2),
        ("a b c d", (0, 5), (2, 3), 0),
        ("in Haitian", (0, 2), (8, 10), 1),
        ("雀巢由亨利创立", (0, 2), (3, 5), 1),
        ("雀巢由 Henri 创立", (0, 2), (10, 12), 2),
    ],
)
def test_the_distance_counts_words_and_chinese_characters_between_the_ends(text, one, other, words):
    assert distance(word_starts(text), one, other) == words


def test_distances_fall_into_their_buckets_and_unplaced_gold_into_its_own():
    text = " ".join("abcdefghijklmnopqrstuvwxyz" * 2)
    gold = [relation((0, 1), "p", (2 * n, 2 * n + 1)) for n in (5, 6, 10, 11, 20, 21, 40, 41)]
    lost = Unaligned("relation", "p", ("a", "?"), "not in the text")
    evaluation = evaluate([Document(text, relations=gold, unaligned=[lost])], [Document(text)])
    assert [evaluation.breakdown.by_distance[name].gold for name in DISTANCES] == [1, 2, 2, 2, 1, 1]


def test_a_correct_relation_keeps_the_confidence_of_its_prediction():
    gold = Document(TEXT, relations=[relation((0, 1), "p", (2, 3))])
    predicted = Document(TEXT, relations=[relation((0, 1), "p", (2, 3), 0.9), relation((0, 1), "q", (2, 3), 0.4)])
    found = evaluate([gold], [predicted], bootstrap_samples=0).breakdown.calibration
    assert found is not None
    assert found.brier == pytest.approx((0.1**2 + 0.4**2) / 2)
    assert [(row.confidence, row.accuracy) for row in found.bins] == [(0.4, 0), (0.9, 1)]


def test_five_thousand_documents_are_evaluated_in_seconds():
    gold = [Document(TEXT, relations=[relation((0, 1), p, (2, 3)) for p in "pq"]) for _ in range(5000)]
    start = time.process_time()
    evaluate(gold, gold)
    assert time.process_time() - start < 8


def shown(evaluation):
    console = Console(width=130, file=io.StringIO())
    render(evaluation, console)
    return console.file.getvalue()


def test_the_terminal_shows_scores_labels_and_mistakes_and_takes_labels_as_they_are():
    gold = Document(TEXT, relations=[relation((0, 1), "[bold]p", (2, 3))])
    predicted = Document(TEXT, relations=[relation((0, 1), "q", (2, 3))])
    text = shown(evaluate([gold], [predicted]))
    for words in (
        "relations, strict",
        "[bold]p",
        "wrong predicate",
        "casrel_partial",
        "seed 0",
        "1 documents",
    ):
        assert words in text


def test_only_the_labels_of_most_support_are_shown_and_the_rest_is_counted():
    relations = [relation((0, 1), f"p{number:02}", (2, 3)) for number in range(30)]
    gold = [Document(TEXT, relations=relations), Document(TEXT, relations=relations[-1:])]
    text = shown(evaluate(gold, gold, bootstrap_samples=0))
    assert "p29" in text
    assert "p20" not in text
    assert "10 more in the report" in text


def test_each_prediction_is_calibrated_with_its_own_documents_confidence():
    def with_score(score):
        return Document(TEXT, relations=[relation((0, 1), "p", (2, 3), score)])

    predicted = [with_score(0.9), with_score(0.1)]
    found = evaluate([with_score(None), Document(TEXT)], predicted, bootstrap_samples=0).breakdown.calibration
    assert found is not None
    assert found.brier == pytest.approx(0.01)


def test_the_interval_of_a_label_is_that_of_the_documents_with_this_label_alone():
    def document(*predicates):
        return Document(TEXT, relations=[relation((0, 1), name, (2, 3)) for name in predicates])

    gold = [document("p", "q"), document("q"), document("p"), document("q", "r")] * 3
    predicted = [document("p"), document("q"), document("q"), document("p", "r")] * 3
    both = evaluate(gold, predicted, bootstrap_samples=200).relations
    for name in "pqr":
        only = [
            [replace(d, relations=[r for r in d.relations if r.predicate == name]) for d in documents]
            for documents in (gold, predicted)
        ]
        alone = evaluate(*only, bootstrap_samples=200).relations.headline
        assert both.by_label[name] == alone
        assert alone.interval is not None
        assert alone.interval[0] <= alone.counts.f1 <= alone.interval[1]
