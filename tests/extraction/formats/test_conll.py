"""CoNLL columns in their several shapes, and the schemes of tags."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.document import Span
from kexue.extraction.formats import conll
from kexue.extraction.formats.tags import spans_of_tags

from .samples import CONLL, PERSON, TEXT, token_lists


def written(tmp_path, content):
    path = tmp_path / "x.txt"
    path.write_text(content, encoding="utf-8", newline="")
    return path


def tagged(spans, length, first, inner, last, single):
    """The tags of non-overlapping spans, in the scheme with these letters."""
    tags = ["O"] * length
    for start, end, label in spans:
        tags[start:end] = [f"{inner}-{label}"] * (end - start)
        tags[start], tags[end - 1] = f"{first}-{label}", f"{last}-{label}"
        if end - start == 1:
            tags[start] = f"{single}-{label}"
    return tags


@st.composite
def flat_spans(draw, length):
    """Spans that do not overlap, often touching, from left to right."""
    cuts = sorted(draw(st.sets(st.integers(0, length), max_size=6)))
    pairs = [(a, b) for a, b in pairwise(cuts) if draw(st.booleans())]
    return [(a, b, draw(st.sampled_from(["X", "Y-Z"]))) for a, b in pairs]


@given(flat_spans(8), st.sampled_from(["BIIB", "BIES", "BILU", "BMES"]))
def test_each_scheme_gives_back_the_spans_it_was_made_of(spans, scheme):
    assert spans_of_tags(tagged(spans, 8, *scheme)) == spans


@given(flat_spans(8))
def test_the_scheme_of_conll2003_marks_only_the_second_of_two_neighbours(spans):
    tags = tagged(spans, 8, *"IIII")
    for (_, end, label), (start, _, next_label) in pairwise(spans):
        if end == start and label == next_label:
            tags[start] = f"B-{label}"
    assert spans_of_tags(tags) == spans


@pytest.mark.parametrize("last", ["E", "L"])
def test_an_end_closes_a_span_also_where_no_beginning_follows(last):
    assert spans_of_tags(["I-X", f"{last}-X", "I-X", f"{last}-X"]) == [(0, 2, "X"), (2, 4, "X")]
    assert spans_of_tags(["U-X", "I-X"]) == spans_of_tags(["S-X", "I-X"]) == [(0, 1, "X"), (1, 2, "X")]


def test_a_tag_without_a_type_is_a_span_without_a_label():
    assert spans_of_tags(["B", "I", "O", "B"]) == [(0, 2, ""), (3, 4, "")]


@given(st.data())
def test_columns_read_back_are_the_tokens_written(tmp_path_factory, data):
    tokens = data.draw(token_lists())
    spans = data.draw(flat_spans(len(tokens)))
    gap, end = data.draw(st.sampled_from(["\t", " "])), data.draw(st.sampled_from(["\n", "\r\n"]))
    rows = zip(tokens, tagged(spans, len(tokens), *"BIIB"), strict=True)
    sentence = end.join(gap.join(row) for row in rows) + end
    path = written(tmp_path_factory.mktemp("x"), sentence + end + sentence)
    first, second = conll.read(path)
    assert first == second
    for span, (start, stop, label) in zip(first.entities, spans, strict=True):
        assert first.text[span.start : span.end].replace(" ", "") == "".join(tokens[start:stop])
        assert span.label == label


def test_the_four_columns_of_conll2003_give_the_entities_and_not_the_chunks(tmp_path):
    content = "-DOCSTART- -X- -X- O\n\nMarie NNP B-NP I-PER\nCurie NNP I-NP I-PER\nleft VBD B-VP O\n"
    (document,) = conll.read(written(tmp_path, content))
    assert (document.text, document.entities) == ("Marie Curie left", [PERSON])


def test_comments_give_the_text_and_the_id(tmp_path):
    content = (
        "# newdoc id = d\n# sent_id = s-1\n# text = Curie's 鲁迅 B\n"
        "1-2\tCurie's\t_\t-\tme\n1\tCurie\tB-PER\t-\tme\n2\t's\tO\t-\tme\n3\t鲁迅\tB-PER\t-\tme\n4\tB\tO\t-\tme\n"
    ).replace("1-2\tCurie's\t_", "1-2\tCurie's\tO")
    (document,) = conll.read(written(tmp_path, content))
    assert document.text == "Curie's 鲁迅 B"
    assert document.entities == [Span(0, 5, "PER"), Span(8, 10, "PER")]
    assert (document.id, document.meta) == ("s-1", {"newdoc id": "d"})


def test_a_text_that_does_not_fit_its_tokens_is_not_used(tmp_path):
    (document,) = conll.read(written(tmp_path, "# text = something else\n" + CONLL))
    assert document.text == TEXT


def test_a_hash_may_be_a_token(tmp_path):
    (document,) = conll.read(written(tmp_path, "#\tO\n#Warsaw\tB-LOC\n# O\n".replace("# O", "#\tO")))
    assert document.text == "# #Warsaw #"
    (document,) = conll.read(written(tmp_path, "# O\n#Warsaw B-LOC\n"))
    assert document.text == "# #Warsaw"


@pytest.mark.parametrize(
    ("file", "num_sentences", "num_entities"),
    [
        ("uner_zh_gsdsimp/zh_gsdsimp-ud-dev.iob2", 500, 753),
        ("uner_zh_gsdsimp/zh_gsdsimp-ud-test.iob2", 500, 763),
        ("wnut17/wnut17train.conll", 3394, 1975),
        ("wnut17/emerging.dev.conll", 1009, 836),
        ("wnut17/emerging.test.annotated", 1287, 1079),
        ("conll2003_en/dev.txt", 3250, 5938),
    ],
)
def test_real_files_have_their_published_counts(file, num_sentences, num_entities, shared_data):
    documents = list(conll.read(shared_data / file))
    assert len(documents) == num_sentences
    assert sum(len(document.entities) for document in documents) == num_entities
    if file.startswith("uner"):
        names = {entity.surface(d.text) for d in documents for entity in d.entities}
        assert all(name.isascii() for name in names if " " in name)


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        ("a\tO\n\nb\tB-X\tO\n", r"has 3 column\(s\) .* line 1 has 2", 3),
        ("a\n", r"has 1 column\(s\)", 1),
        ("a\tO\nb\tX-PER\nc\tO\n", "'X-PER' is not a tag", 2),
        ("a\tO\n\n\tO\n", "token 0 is empty", 3),
        ("Marie Curie left\n", "is not a tag", 1),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(content, message, line, tmp_path):
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        list(conll.read(path))
    assert (error.value.path, error.value.line) == (path, line)
