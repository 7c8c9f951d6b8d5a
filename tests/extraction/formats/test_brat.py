"""brat: every kind of line, references checked, offsets in what the tool counted, and a round trip."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.document import Argument, Document, Event, Relation, Span
from kexue.extraction.formats import brat
from kexue.extraction.formats.source import Sample
from tests.extraction.formats.annotated import documents_with_events

TEXT = "Aspirin caused a rash and no pain in the left and right arm."
NAMES = st.sampled_from(["drug", "症状", "Loc-1"])


def write(folder: Path, annotation: str, text: str = TEXT, name: str = "a") -> Path:
    (folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
    (folder / f"{name}.ann").write_text(annotation, encoding="utf-8", newline="")
    return folder


def read(folder: Path, annotation: str, text: str = TEXT) -> Document:
    (document,) = brat.read(write(folder, annotation, text))
    return document


DRUG, RASH, PAIN = Span(0, 7, "Drug"), Span(17, 21, "Effect"), Span(29, 33, "Effect")
SPANS = "T1\tDrug 0 7\tAspirin\nT2\tEffect 17 21\trash\nT3\tEffect 29 33\tpain\nT4\tCausing 8 14\tcaused\n"


def test_spans_and_relations_are_read_whatever_their_order(tmp_path):
    document = read(tmp_path, "R1\tCauses Arg2:T2 Arg1:T1\t\nR2\tLike Thing:T2 Other:T1\n" + SPANS)
    assert document.entities == [DRUG, RASH, PAIN, Span(8, 14, "Causing")]
    assert document.relations == [Relation(DRUG, "Causes", RASH), Relation(RASH, "Like", DRUG)]
    assert document.id == "a"


def test_an_event_has_its_trigger_as_one_more_role_and_repeated_roles_lose_their_number(tmp_path):
    document = read(tmp_path, SPANS + "E1\tCausing:T4 Agent:T1 Theme:T2 Theme2:T3 Arg2:T1\n")
    roles = [(argument.role, argument.span.surface(TEXT)) for argument in document.events[0].arguments]
    assert document.events[0].type == "Causing"
    assert roles == [
        ("trigger", "caused"),
        ("Agent", "Aspirin"),
        ("Theme", "rash"),
        ("Theme", "pain"),
        ("Arg2", "Aspirin"),
    ]
    assert document.entities == [DRUG, RASH, PAIN]


def test_an_event_that_is_an_argument_stands_for_its_trigger(tmp_path):
    document = read(tmp_path, SPANS + "E2\tEffect:T3 Of:E1\nE1\tCausing:T4\nR1\tAfter Arg1:E1 Arg2:T2\n")
    assert document.events[0].arguments[1] == Argument("Of", Span(8, 14, "Causing"))
    assert document.relations == [Relation(Span(8, 14, "Causing"), "After", RASH)]


def test_a_discontinuous_span_keeps_its_pieces(tmp_path):
    left, right = TEXT.index("left"), TEXT.index("arm")
    document = read(tmp_path, f"T1\tBody {left} {left + 4};{right} {right + 3}\tleft arm\n")
    (span,) = document.entities
    assert span == Span(left, right + 3, "Body", fragments=((left, left + 4), (right, right + 3)))
    assert span.surface(TEXT) == "left arm"


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_pieces_that_only_a_line_break_divides_are_one_span(tmp_path, line_break):
    after = 3 + len(line_break)
    document = read(tmp_path, f"T1\tX 0 3;{after} {after + 3}\tabc def\n", f"abc{line_break}def")
    assert document.entities == [Span(0, after + 3, "X")]


def test_a_surface_may_go_on_in_the_next_line(tmp_path):
    document = read(tmp_path, "T1\tX 0 7\tabc\ndef\nT2\tX 0 3\tabc\n", "abc\ndef")
    assert document.entities == [Span(0, 7, "X"), Span(0, 3, "X")]


def test_remarks_become_meta_that_refers_to_lists_of_the_document(tmp_path):
    document = read(
        tmp_path,
        SPANS
        + "E1\tCausing:T4 Agent:T1\nR1\tCauses Arg1:T1 Arg2:T2\n*\tEquiv T2 T3\nA1\tNegation E1\n"
        + "M2\tConfidence R1 High\nN1\tReference T1 Drugs:7\tacetylsalicylic acid\n#1\tAnnotatorNotes T4\tsure?\n",
    )
    assert document.meta == {
        "equivalences": [{"type": "Equiv", "members": [["entities", 1], ["entities", 2]]}],
        "attributes": [
            {"type": "Negation", "target": ["events", 0]},
            {"type": "Confidence", "target": ["relations", 0], "value": "High"},
        ],
        "normalizations": [
            {
                "type": "Reference",
                "target": ["entities", 0],
                "value": "Drugs:7",
                "text": "acetylsalicylic acid",
            }
        ],
        "notes": [{"type": "AnnotatorNotes", "target": ["events", 0], "text": "sure?"}],
    }
    brat.write([document], tmp_path / "again")
    assert list(brat.read(tmp_path / "again")) == [document]


def test_gold_on_a_surface_that_its_offsets_do_not_show_is_kept_as_unaligned(tmp_path):
    wrong = SPANS.replace("\tAspirin", "\tIbuprofen")
    document = read(tmp_path, wrong + "E1\tCausing:T4 Agent:T1\nR1\tCauses Arg1:T1 Arg2:T2\nA1\tNegation T1\n")
    assert document.entities == [RASH, PAIN]
    assert (document.relations, document.events) == ([], [])
    assert [(item.kind, item.label, item.strings) for item in document.unaligned] == [
        ("entity", "Drug", ("Ibuprofen",)),
        ("event", "Causing", ("caused", "Ibuprofen")),
        ("relation", "Causes", ("Ibuprofen", "rash")),
    ]
    assert "a.ann:1" in document.unaligned[0].reason
    assert document.meta["attributes"] == [{"type": "Negation", "target": ["unaligned", 0]}]
    brat.write([document], tmp_path / "again")
    (again,) = brat.read(tmp_path / "again")
    assert (again.entities, again.meta) == ([RASH, PAIN], {})


@pytest.mark.parametrize("count", [len, lambda text: len(text.encode("utf-16-le")) // 2])
def test_offsets_may_count_characters_or_utf16_units(tmp_path, count):
    text = "😀👍🏽 阿司匹林 caused"
    start, end = count("😀👍🏽 "), count("😀👍🏽 阿司匹林")
    assert read(tmp_path, f"T1\tDrug {start} {end}\t阿司匹林\n", text).entities == [Span(4, 8, "Drug")]


@pytest.mark.parametrize("shift", [0, 2])
def test_offsets_may_have_been_counted_before_lf_became_crlf(tmp_path, shift):
    document = read(tmp_path, f"T1\tX {4 + shift} {7 + shift}\tdef\n", "a\r\nb\r\ndef")
    assert document.entities == [Span(6, 9, "X")]


def test_a_file_with_crlf_of_its_own_is_read(tmp_path):
    assert read(tmp_path, SPANS.replace("\n", "\r\n")).entities[:3] == [DRUG, RASH, PAIN]


def test_a_folder_is_read_with_all_below_it_and_a_single_path_alone(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path, SPANS, name="b.1")
    write(tmp_path / "sub", "", name="c")
    (tmp_path / "a.txt").write_text("no annotation", encoding="utf-8")
    documents = list(brat.read(tmp_path))
    assert [(document.id, len(document.entities)) for document in documents] == [
        ("a", 0),
        ("b.1", 4),
        ("sub/c", 0),
    ]
    for name in ("b.1.txt", "b.1.ann"):
        assert [document.id for document in brat.read(tmp_path / name)] == ["b.1"]


def test_folders_and_paths_of_brat_are_recognised(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "b.txt").write_text("x", encoding="utf-8")
    write(tmp_path, SPANS)
    recognised = [brat.detect(Sample(tmp_path / name, "", None)) for name in ("", "a.ann", "a.txt", "b.txt", "empty")]
    assert recognised == [True, True, True, False, False]


def without_line_breaks_at_the_ends(document: Document) -> bool:
    return all(span.surface(document.text) == span.surface(document.text).strip("\r\n") for span in document.entities)


@settings(max_examples=50, deadline=None)
@given(documents_with_events(NAMES).filter(without_line_breaks_at_the_ends))
def test_what_is_written_is_read_again(tmp_path_factory, document):
    folder = tmp_path_factory.mktemp("brat") / "out"
    brat.write([document], folder)
    assert list(brat.read(folder)) == [document]


def test_line_breaks_at_the_ends_of_a_span_are_left_out_and_a_span_of_them_is_refused(tmp_path):
    brat.write([Document("a\nb\n", [Span(1, 4, "X")])], tmp_path / "out")
    assert next(iter(brat.read(tmp_path / "out"))).entities == [Span(2, 3, "X")]
    with pytest.raises(DataError, match="line breaks only"):
        brat.write([Document("a\nb", [Span(1, 2, "X")])], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_ends_that_are_no_entities_and_labels_with_spaces_are_written(tmp_path):
    subject, object = Span(0, 7), Span(17, 21)
    brat.write([Document(TEXT, relations=[Relation(subject, "may cause", object)])], tmp_path / "out")
    (document,) = brat.read(tmp_path / "out")
    assert document.relations == [Relation(Span(0, 7, "entity"), "may_cause", Span(17, 21, "entity"))]


def test_ids_name_the_files_and_never_lead_out_of_the_folder(tmp_path):
    documents = [Document("x", id=name) for name in ("../../b", "c/d", None)]
    brat.write(documents, tmp_path / "deep" / "out")
    assert [document.id for document in brat.read(tmp_path / "deep" / "out")] == ["000003", "_/_/b", "c/d"]
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    with pytest.raises(DataError, match="two documents have the id 'e'"):
        brat.write([Document("x", id="e"), Document("y", id="e")], tmp_path / "twice")


def test_an_event_without_trigger_is_refused(tmp_path):
    event = Event("Causing", (Argument("Agent", DRUG),))
    with pytest.raises(DataError, match='has no argument "trigger"'):
        brat.write([Document(TEXT, [DRUG], events=[event])], tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T5\tDrug 0", "T5 must be: id, tab, label start end, tab, text; was the file cut short"),
        ("T5\tDrug 0 7", "T5 must be"),
        ("T5", "is not a brat annotation: 'T5'"),
        ("T5 Drug 0 7 Aspirin", "is not a brat annotation"),
        ("R1\tCauses Arg1:T1", "R1 must be: id, tab, type Arg1:id Arg2:id"),
        ("R1\tCauses Arg1:T1 Arg2:", "R1 must list role:id pairs"),
        ("R1\tCauses Arg1:T1 Arg2:T9", "R1 refers to T9, which the file does not define"),
        ("E1\tCausing:T9", "E1 refers to T9"),
        ("E1\tCausing", "E1 must list role:id pairs"),
        ("A1\tNegation", "A1 must name what it refers to"),
        ("A1\tNegation T9", "A1 refers to T9"),
    ],
)
def test_a_wrong_or_cut_line_is_refused_with_its_number(tmp_path, line, message):
    with pytest.raises(DataError, match=rf"a.ann:5: {message}"):
        read(tmp_path, SPANS + line)


def test_missing_empty_and_mis_encoded_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no .txt and .ann files"):
        list(brat.read(tmp_path))
    (tmp_path / "a.ann").write_text(SPANS, encoding="utf-8")
    with pytest.raises(DataError, match=r"a.txt: cannot be read"):
        list(brat.read(tmp_path))
    (tmp_path / "a.txt").write_bytes(b"")
    with pytest.raises(DataError, match=r"a.txt: is empty"):
        list(brat.read(tmp_path))
    (tmp_path / "a.txt").write_bytes("阿司匹林".encode("gb18030"))
    with pytest.raises(DataError, match=r"a.txt:1: is not UTF-8 .* iconv -f GB18030"):
        list(brat.read(tmp_path))
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "a.ann").write_bytes("T1\tX 0 1\tA\nT2\tX 0 1\t阿".encode("gb18030"))
    with pytest.raises(DataError, match=r"a.ann:2: is not UTF-8"):
        list(brat.read(tmp_path))


def test_a_real_corpus_is_read_whole(shared_data, tmp_path):
    with tarfile.open(shared_data / "zh_literature_nerre.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    documents = list(brat.read(tmp_path / "zh_literature_nerre" / "relation_extraction" / "Testing"))
    lost = [item.kind for document in documents for item in document.unaligned]
    assert len(documents) == 84
    assert sum(len(document.entities) for document in documents) + lost.count("entity") == 16811
    assert sum(len(document.relations) for document in documents) + lost.count("relation") == 1675
    assert len(lost) < 100
