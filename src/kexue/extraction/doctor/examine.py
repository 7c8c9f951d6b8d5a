"""The examination: every check over every document, in one pass each, nothing printed and nothing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kexue.errors import OptionError
from kexue.extraction.doctor import labels, relations, spans, texts
from kexue.extraction.doctor.case import Case, Check, Tokenize, open_cases
from kexue.extraction.doctor.finding import Diagnosis, gravest_first
from kexue.extraction.doctor.lengths import measure
from kexue.extraction.document import Document

EXAMPLES = 3
ENOUGH = 10

CHECKS: tuple[Check, ...] = (
    Check(
        "unaligned",
        "error",
        "gold",
        "gold could not be placed in its text",
        "Correct the string or the offsets; until then it counts as missed in every evaluation.",
        spans.unaligned,
    ),
    Check(
        "empty_text",
        "error",
        "texts",
        "texts are empty",
        "Remove them, or look for what was lost when the file was made.",
        texts.empty,
    ),
    Check(
        "inside_token",
        "error",
        "spans",
        "spans begin or end inside a token",
        "The model cannot give them exactly: correct the span, or take a tokenizer with finer tokens.",
        spans.inside_token,
    ),
    Check(
        "absent_end",
        "warning",
        "relations",
        "relations have an end that is not annotated as an entity",
        "Annotate the end as an entity with the same label; the model is told that it is none.",
        relations.absent_ends,
    ),
    Check(
        "discontinuous",
        "warning",
        "spans",
        "spans are in several pieces",
        "Span models learn the stretch from first to last piece: shorten the span, or accept that.",
        spans.discontinuous,
    ),
    Check(
        "conflicting_labels",
        "warning",
        "spans",
        "pieces of text carry two types",
        "If both are meant, nothing is to do (types are scored one by one); else keep one.",
        spans.conflicting,
    ),
    Check(
        "duplicated",
        "warning",
        "gold",
        "annotations are given more than once",
        "Copies are counted once in training and evaluation; remove them to compare with other tools.",
        spans.duplicated,
    ),
    Check(
        "inside_word",
        "warning",
        "spans",
        "spans begin or end inside a word",
        "Often a string that was searched for and found in a longer word: move the span or correct it.",
        spans.inside_word,
    ),
    Check(
        "ragged_whitespace",
        "warning",
        "spans",
        "spans begin or end with whitespace",
        "Shorten them: a prediction without the space counts as wrong.",
        spans.ragged_whitespace,
    ),
    Check(
        "control_character",
        "warning",
        "texts",
        "texts hold control, zero-width, private or undecodable characters",
        "Often from a wrong decoding or a copy from PDF: remove them before offsets are made.",
        texts.control_characters,
    ),
    Check(
        "self_relation",
        "warning",
        "relations",
        "relations go from a piece of text to itself",
        "Check that both ends are meant; where a string occurs twice, the other occurrence may be.",
        relations.self_related,
    ),
    Check(
        "ambiguous_occurrence",
        "note",
        "relations",
        "relations have an end whose string occurs several times in the text",
        "Nothing to do if the source gives offsets; if it gives strings, check which occurrence was taken.",
        relations.ambiguous,
    ),
    Check(
        "ragged_punctuation",
        "note",
        "spans",
        "spans begin or end with punctuation or half of a pair of brackets",
        "Check a few; if it is no part of the name, shorten the span everywhere alike.",
        spans.ragged_punctuation,
    ),
    Check(
        "nested",
        "note",
        "spans",
        "pairs of spans lie one inside the other",
        "Span models handle them; BIO formats and taggers cannot hold them.",
        spans.nested,
    ),
    Check(
        "crossing",
        "note",
        "spans",
        "pairs of spans overlap, neither inside the other",
        "Rarely meant: check that the ends are right.",
        spans.crossing,
    ),
    Check(
        "added_by_decoding",
        "note",
        "relations",
        "triples that are not gold follow from the gold links",
        "GPLinker joins starts and ends apart; such triples count as wrong even with perfect scores.",
        relations.added_by_decoding,
    ),
    Check(
        "no_annotation",
        "note",
        "texts",
        "texts have no annotation",
        "They teach the model what is none. If nobody looked at them, leave them out.",
        texts.without_annotation,
    ),
)


def examine(
    documents_by_split: Mapping[str, Sequence[Document]],
    *,
    tokenize: Tokenize | None = None,
    max_length: int | None = None,
) -> Diagnosis:
    """Examine annotated documents, given by split with the training split first (or named "train").

    `tokenize` gives the characters (start, end) of a text's tokens, and `max_length` how many of these a
    model reads; without them nothing is said about tokens. Raises `OptionError` for a `max_length` without
    `tokenize`.
    """
    if max_length is not None and tokenize is None:
        raise OptionError("max_length counts tokens: give a tokenizer too")
    cases = open_cases(documents_by_split, tokenize)
    totals = _totals(cases)
    checks = CHECKS if max_length is None else (*CHECKS, _truncation(max_length))
    found = [finding for check in checks for finding in check(cases, totals, EXAMPLES)]
    for over_all in (texts.shared_exactly, texts.shared_nearly, texts.repeated, texts.annotated_differently):
        found += over_all(cases, EXAMPLES)
    splits = tuple(documents_by_split)
    counted = labels.count_labels(cases, splits)
    found += labels.alike(counted)
    if splits:
        train = "train" if "train" in splits else splits[0]
        found += [*labels.unseen(counted, train), *labels.rare(counted, train, ENOUGH)]
    return Diagnosis(labels.sizes(documents_by_split), gravest_first(found), counted, tuple(measure(cases)))


def _truncation(max_length: int) -> Check:
    return Check(
        "truncated",
        "error",
        "spans",
        f"spans end behind the first {max_length} tokens",
        "Take a greater maximum length, or let long texts be cut into overlapping windows.",
        spans.truncated(max_length),
    )


def _totals(cases: Sequence[Case]) -> dict[str, int]:
    """What the counts are shares of."""
    documents = [case.document for case in cases]
    relations = sum(len(document.relations) for document in documents)
    placed = sum(len(document.entities) + len(document.events) for document in documents) + relations
    return {
        "texts": len(cases),
        "spans": sum(len(case.spans) for case in cases),
        "relations": relations,
        "gold": placed + sum(len(document.unaligned) for document in documents),
    }
