"""The doctor: each finding on a document where the truth is plain, none on clean data, and the known corpora."""

from __future__ import annotations

import io
import json
import re
import time

import pytest
from rich.console import Console

from kexue.errors import OptionError
from kexue.extraction.doctor import examine, render, spans
from kexue.extraction.doctor.case import open_cases
from kexue.extraction.doctor.finding import SEVERITIES
from kexue.extraction.document import Argument, Document, Event, Relation, Span, Unaligned
from kexue.extraction.formats import doccano

CLEAN = {
    "train": [
        Document(
            f"Drug{number} led to rash{number} in two patients.",
            [Span(0, 5, "drug"), Span(13, 18, "effect")],
            [Relation(Span(0, 5, "drug"), "causes", Span(13, 18, "effect"))],
        )
        for number in "ABCDEFGHIJ"
    ],
    "test": [Document("Drug9 helped.", [Span(0, 5, "drug")])],
}


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def entities(text: str, *ends: tuple[int, int], label: str = "x") -> Document:
    return Document(text, [Span(*pair, label) for pair in ends])


def found(document: Document, kind: str, **options) -> tuple[int, int, str]:
    """Count, total and first excerpt of the finding of a kind in one document."""
    finding = examine({"train": [document]}, **options).finding(kind)
    return (0, 0, "") if finding is None else (finding.count, finding.total, finding.examples[0].excerpt)


def test_clean_data_have_no_findings():
    diagnosis = examine(CLEAN, tokenize=words, max_length=20)
    assert diagnosis.findings == ()
    assert diagnosis.sizes["train"] == {
        "texts": 10,
        "entities": 20,
        "relations": 10,
        "events": 0,
        "unaligned": 0,
    }


def test_no_documents_at_all_are_no_error():
    assert examine({}).findings == () and examine({"train": []}).findings == ()


def test_unaligned_gold_is_found_and_shares_the_gold():
    document = entities("ab cd", (0, 2))
    document.unaligned.append(Unaligned("relation", "causes", ("Ab", "cd"), "no such text"))
    count, total, excerpt = found(document, "unaligned")
    assert (count, total) == (1, 2)
    assert excerpt == "ab cd  (relation causes: Ab | cd; no such text)"


def test_a_span_behind_the_last_token_that_is_read_is_truncated():
    document = entities("one two three four", (4, 7), (8, 13), (14, 18))
    assert found(document, "truncated", tokenize=words, max_length=2)[:2] == (2, 3)
    assert found(document, "truncated", tokenize=words, max_length=3)[:2] == (1, 3)
    assert found(document, "truncated", tokenize=words, max_length=4)[0] == 0


def test_a_span_end_inside_a_token_is_found_only_with_a_tokenizer():
    document = entities("rash10mg 药物治疗", (0, 4), (9, 11))
    assert found(document, "inside_token") == (0, 0, "")
    count, _, excerpt = found(document, "inside_token", tokenize=words)
    assert (count, excerpt) == (2, "⟦rash⟧10mg 药物治疗  (token 'rash10mg')")


@pytest.mark.parametrize(
    ("text", "ends", "count"),
    [
        ("Haitian", (0, 5), 1),
        ("the unicorn", (6, 11), 1),
        ("in 1987", (3, 5), 1),
        ("10mg daily", (0, 2), 0),
        ("阿司匹林治疗", (0, 4), 0),
        ("在Haiti发现", (1, 6), 0),
        ("cafe\u0301", (0, 4), 1),
        ("U.S. law", (0, 4), 0),
        ("ภาษาไทย", (0, 4), 0),
    ],
)
def test_a_span_end_inside_a_word_is_found_in_scripts_with_spaces(text, ends, count):
    assert found(entities(text, ends), "inside_word")[0] == count


def test_a_string_that_occurs_twice_is_ambiguous_for_its_relations():
    a, b, c = Span(0, 2), Span(3, 5), Span(9, 11)
    document = Document("ab cd ab ef", relations=[Relation(a, "r", b), Relation(b, "r", c), Relation(c, "r", b)])
    assert found(document, "ambiguous_occurrence")[:2] == (1, 3)
    assert found(document, "ambiguous_occurrence")[2] == "⟦ab⟧ ⟦cd⟧ ab ef  ('ab' 2 times)"


def test_each_further_copy_of_an_annotation_is_a_duplicate():
    a, b = Span(0, 2, "x"), Span(3, 5, "x")
    event = Event("e", (Argument("trigger", a),))
    document = Document("ab cd", [a, b, a], [Relation(a, "r", b)] * 3 + [Relation(b, "r", a)], [event, event])
    assert found(document, "duplicated")[:2] == (4, 9)


def test_nested_and_crossing_spans_are_told_apart_and_equal_ones_are_neither():
    document = entities("abcdefghij", (0, 6), (2, 4), (4, 8), (8, 10), (0, 6))
    document.entities.append(Span(2, 4, "y"))
    assert found(document, "nested")[0] == 2  # (2, 4) as x and as y in (0, 6)
    assert found(document, "crossing")[0] == 1  # (0, 6) with (4, 8)
    assert found(document, "crossing")[2] == "⟦abcd⟦ef⟧gh⟧ij"
    assert found(entities("abcd", (0, 4), (0, 2)), "nested")[0] == 1
    assert found(entities("abcd", (0, 4), (2, 4)), "nested")[0] == 1


def test_a_discontinuous_span_is_shown_in_its_pieces():
    document = Document("left and right arm", [Span(0, 18, "x", fragments=((0, 4), (15, 18)))])
    assert found(document, "discontinuous") == (1, 1, "⟦left⟧ and right ⟦arm⟧")


def test_an_end_of_a_relation_must_be_an_entity_with_its_label_where_there_are_entities():
    a, b = Span(0, 2, "x"), Span(3, 5, "x")
    relations = [Relation(a, "r", b), Relation(a, "r", Span(3, 5, "y"))]
    assert found(Document("ab cd", [a, b], relations), "absent_end")[:2] == (1, 2)
    assert found(Document("ab cd", [], relations), "absent_end")[0] == 0


def test_two_types_on_one_piece_of_text_conflict_but_no_type_does_not():
    document = Document("ab cd", [Span(0, 2, "x"), Span(0, 2, "y"), Span(3, 5, "x"), Span(3, 5, "")])
    assert found(document, "conflicting_labels")[0] == 1
    assert found(document, "conflicting_labels")[2] == "⟦ab⟧ cd  (x and y)"


def test_a_text_annotated_in_two_ways_counts_once():
    same, other = entities("ab cd", (0, 2)), entities("ab cd", (3, 5))
    finding = examine({"train": [same, entities("ab cd", (0, 2)), other, entities("ef", (0, 2))]}).finding(
        "annotated_differently"
    )
    assert (finding.count, finding.total) == (1, 2)
    assert finding.examples[0].excerpt.startswith("⟦ab⟧ ⟦cd⟧")
    assert examine({"train": [same, entities("ab cd", (0, 2))]}).finding("annotated_differently") is None


def test_empty_texts_and_texts_without_annotation_are_found():
    assert found(Document(" \n"), "empty_text")[:2] == (1, 1)
    assert found(Document("ab"), "no_annotation")[:2] == (1, 1)
    assert found(Document("ab", unaligned=[Unaligned("entity", "x", ("c",), "")]), "no_annotation")[0] == 0


def test_labels_that_training_lacks_or_hardly_has_are_named():
    train = [entities("ab cd", (0, 2))] * 9 + [entities("ab", (0, 2), label="y")] * 10
    diagnosis = examine({"train": train, "test": [entities("gh", (0, 2), label="z")]})
    unseen, rare = diagnosis.finding("unseen_label"), diagnosis.finding("rare_label")
    assert (unseen.count, unseen.total) == (1, 3) and unseen.message.endswith("'train': z")
    assert (rare.count, rare.total) == (1, 3) and rare.message.endswith("'train': x")
    assert [(label.label, dict(label.counts)) for label in diagnosis.labels] == [
        ("y", {"train": 10, "test": 0}),
        ("x", {"train": 9, "test": 0}),
        ("z", {"train": 0, "test": 1}),
    ]


def test_labels_that_differ_only_in_case_or_blanks_are_named_together():
    train = [entities("ab cd", (0, 2), label="Company"), entities("ef gh", (0, 2), label="company ")]
    test = [entities("ij kl", (0, 2), label="COMPANY"), entities("mn op", (0, 2), label="person")]
    ends = Span(0, 2, "person"), Span(3, 5, "person")
    test[1].relations.append(Relation(ends[0], "company", ends[1]))
    finding = examine({"train": train, "test": test}).finding("similar_label")
    assert (finding.severity, finding.count, finding.total) == ("warning", 3, 5)
    assert finding.message.endswith(": 'COMPANY' and 'Company' and 'company '")
    assert examine({"train": train[:1], "test": test[1:]}).finding("similar_label") is None


def test_lengths_and_distances_are_counted_in_bins():
    a, b = Span(0, 2), Span(5, 8)
    documents = [
        Document("ab cd efg", relations=[Relation(b, "r", a), Relation(b, "r", Span(6, 7))]),
        Document("ab"),
        Document("x " * 20),
    ]
    by_name = {one.name: one for one in examine({"train": documents}, tokenize=words).distributions}
    assert dict(by_name["text length (tokens)"].quantiles) == {"min": 1, "median": 3, "90%": 20, "99%": 20, "max": 20}
    assert by_name["text length (characters)"].bins == ((8, 1), (16, 1), (32, 0), (64, 1))
    distance = by_name["relation distance (characters)"]
    assert (distance.quantiles["min"], distance.quantiles["max"]) == (0, 3)


def test_sentences_shared_between_splits_are_found_exactly_and_nearly():
    train = [entities("Ab cd.", (0, 2)), entities("ef gh", (0, 2)), entities("ij", (0, 2))]
    test = [entities("Ab cd.", (0, 2)), entities("ＥＦ  gh!", (0, 2)), entities("kl", (0, 2))]
    diagnosis = examine({"train": train, "test": test})
    exact, near = diagnosis.finding("shared_text"), diagnosis.finding("nearly_shared_text")
    assert (exact.count, exact.total, exact.examples[0].excerpt) == (1, 3, "Ab cd.  (also train:1)")
    assert (near.count, near.total, near.examples[0].record) == (1, 3, 2)
    assert examine({"train": train + train}).finding("shared_text") is None


def test_further_copies_of_a_text_in_one_split_are_counted_with_their_places():
    one, two, alone = entities("ab cd", (0, 2)), entities("ef gh", (0, 2)), entities("ij", (0, 2))
    diagnosis = examine(
        {"train": [one, two, one, alone, one, two, one, one], "test": [alone, Document(""), Document("")]}
    )
    finding = diagnosis.finding("repeated_text")
    assert (finding.severity, finding.count, finding.total) == ("warning", 5, 11)
    assert [(example.record, example.excerpt) for example in finding.examples] == [
        (1, "ab cd  (also train:3, train:5, train:7, …)"),
        (2, "ef gh  (also train:6)"),
    ]
    assert diagnosis.finding("annotated_differently") is diagnosis.finding("duplicated") is None
    assert examine({"train": [one, two], "test": [one]}).finding("repeated_text") is None


@pytest.mark.parametrize(
    ("text", "ends", "kind"),
    [
        ("ab cd", (0, 3), "ragged_whitespace"),
        ("ab\u3000cd", (2, 5), "ragged_whitespace"),
        ("ab, cd", (0, 3), "ragged_punctuation"),
        ("，阿司匹林", (0, 5), "ragged_punctuation"),
        ("《雅典娜》", (1, 5), "ragged_punctuation"),
        ("(ab) cd", (0, 3), "ragged_punctuation"),
    ],
)
def test_ragged_ends_of_spans_are_found(text, ends, kind):
    assert found(entities(text, ends), kind)[:2] == (1, 1)


@pytest.mark.parametrize(("text", "ends"), [("《雅典娜》", (0, 5)), ("U.S. law", (0, 4)), ("f(x) is", (0, 4))])
def test_punctuation_that_belongs_to_a_name_is_left_alone(text, ends):
    assert found(entities(text, ends), "ragged_punctuation")[0] == 0


@pytest.mark.parametrize("character", ["\x00", "\ufffd", "\u200b", "\ufeff", "\u202e", "\x85"])
def test_damaged_texts_are_found(character):
    count, _, excerpt = found(Document(f"ab{character}cd"), "control_character")
    assert count == 1 and excerpt.endswith(f"(U+{ord(character):04X} at character 2)")


def test_emoji_tabs_and_line_ends_are_no_damage():
    assert found(Document("👩‍👩‍👧 می‌خواهم\ta\r\nb"), "control_character")[0] == 0


def test_a_relation_of_a_piece_of_text_to_itself_is_found():
    a, b = Span(0, 2, "x"), Span(3, 5, "x")
    document = Document("ab cd", relations=[Relation(a, "r", Span(0, 2, "y")), Relation(a, "r", b)])
    assert found(document, "self_relation") == (1, 2, "⟦ab⟧ cd  (r)")


def test_the_triple_that_gplinker_adds_is_found():
    # docs/extraction.md, the nested case: token spans (first, last) inclusive on one-character tokens
    def span(first: int, last: int) -> Span:
        return Span(first, last + 1)

    ends = [((1, 2), (5, 6)), ((3, 4), (7, 8)), ((1, 4), (9, 9)), ((10, 10), (5, 8))]
    document = Document("abcdefghijkl", relations=[Relation(span(*s), "r", span(*o)) for s, o in ends])
    count, _, excerpt = found(document, "added_by_decoding")
    assert (count, excerpt) == (1, "a⟦bcde⟧⟦fghi⟧jkl  (would also give r)")
    document.relations[0] = Relation(document.relations[0].subject, "q", document.relations[0].object)
    assert found(document, "added_by_decoding")[0] == 0


def test_findings_come_with_the_gravest_first_and_at_most_three_examples():
    documents = [Document("ab\x00 cd", [Span(0, 3, "x"), Span(0, 2, "x")]) for _ in range(5)]
    documents += [Document(""), entities("xyz", (0, 1))]
    findings = examine({"train": documents}).findings
    ranks = [SEVERITIES.index(finding.severity) for finding in findings]
    assert ranks == sorted(ranks) and findings[0].kind == "empty_text"
    warnings = [finding.share for finding in findings if finding.severity == "warning"]
    assert warnings == sorted(warnings, reverse=True) and len(set(warnings)) > 1
    control = next(finding for finding in findings if finding.kind == "control_character")
    assert (control.count, [example.record for example in control.examples]) == (5, [1, 2, 3])
    assert all(finding.remedy and 0 < finding.share <= 1 for finding in findings)


def test_long_texts_are_shortened_around_the_spans():
    document = entities("a" * 99 + " bb " + "c" * 99 + " dd " + "e" * 99, (100, 102), (100, 205))
    excerpt = found(document, "nested")[2]
    assert "⟦⟦bb⟧" in excerpt and "dd⟧" in excerpt and excerpt.startswith("…") and excerpt.endswith("…")
    assert len(excerpt) < 150


def test_a_maximum_length_without_a_tokenizer_is_refused():
    with pytest.raises(OptionError, match="give a tokenizer too"):
        examine(CLEAN, max_length=10)


def test_a_diagnosis_is_plain_json():
    record = json.loads(json.dumps(examine({"train": [Document("")]}).to_json()))
    assert record["findings"][0]["kind"] == "empty_text" and record["findings"][0]["share"] == 1.0
    assert record["sizes"]["train"]["texts"] == 1


def test_a_diagnosis_is_printed_with_examples_whatever_their_brackets():
    document = Document("[bold]x[/] ab", [Span(0, 4, "[/red]")], id="[1]")
    file = io.StringIO()
    render(examine({"[train]": [document, Document("")]}), Console(file=file, width=200))
    printed = file.getvalue()
    for expected in ("[train]:1 [1]  ⟦[bol⟧d]x[/] ab", "[/red]", "error empty_text", "1 of 2 texts (50.0%)", "up to"):
        assert expected in printed
    render(examine(CLEAN), Console(file=file, width=200))
    assert "Nothing found" in file.getvalue()


def test_twenty_thousand_sentences_take_seconds():
    documents = [
        Document(f"{number} {one.text}", one.entities, one.relations)
        for number in range(2000)
        for one in CLEAN["train"]
    ]
    start = time.perf_counter()
    examine({"train": documents})
    assert time.perf_counter() - start < 10  # under 1 s on an idle processor


def placed(record: dict) -> Document:
    """A record of a triple list, each string at its first occurrence: the rule of the study to compare with."""
    text = record["text"]
    triples = record.get("triple_list") or [
        (spo["subject"], spo["predicate"], spo["object"]) for spo in record["spo_list"]
    ]
    return Document(
        text,
        relations=[
            Relation(
                Span(text.index(subject), text.index(subject) + len(subject)),
                predicate,
                Span(text.index(object), text.index(object) + len(object)),
            )
            for subject, predicate, object in triples
            if subject in text and object in text
        ],
    )


@pytest.mark.parametrize(
    ("name", "ambiguous", "texts_with_copies"),
    [
        ("webnlg/train", 0.195, 1),
        ("webnlg/test", 0.204, 0),
        ("webnlg_star/train", 0.294, 82),
        ("webnlg_star/test", 0.304, 9),
    ],
)
def test_the_shares_of_a_study_of_webnlg_are_found_again(shared_data, name, ambiguous, texts_with_copies):
    path = shared_data / f"{name}_triples.json"
    documents = [placed(record) for record in json.loads(path.read_text(encoding="utf-8"))]
    diagnosis = examine({"train": documents})
    assert round(diagnosis.finding("ambiguous_occurrence").share, 3) == ambiguous
    copies = [case for case in open_cases({"train": documents}, None) if any(spans.duplicated(case))]
    assert len(copies) == texts_with_copies


def test_the_nested_entities_of_cmeee_are_found(shared_data):
    documents = list(doccano.read(shared_data / "cmeee" / "dev.json"))
    nested = [case for case in open_cases({"dev": documents}, None) if any(spans.nested(case))]
    assert len(nested) == 511  # counted by the source of the data
