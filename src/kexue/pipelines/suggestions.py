"""Which texts to annotate next: those that would tell a model most.

    uncertainty(text) = sum over undecided facts of H(p),    H(p) = -p log2 p - (1 - p) log2(1 - p)

p is the calibrated confidence of a candidate entity or relation, so H(p) is how many bits a person's yes or no to it
tells, and the sum what annotating the text tells, were its facts independent. A fact is undecided if its odds are
within a factor of `NEAR` of those of its threshold: scores of sure candidates, of which a long text has many, do not
add up to one that is in doubt. Source: uncertainty sampling (Lewis and Gale 1994) with the total token entropy of
Settles and Craven (2008), over facts in place of tokens.

Texts that are alike would tell the same twice. So texts are chosen one by one, and what a fact adds is multiplied by
`diversity` for every chosen text that already asks for the same fact (label and surface): a text gains less and less
from those before it, which makes the greedy choice near the best one and lets a heap find it (Minoux 1978).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kexue.errors import DataError, OptionError, unknown
from kexue.extraction.decision import Decision
from kexue.extraction.document import Document
from kexue.extraction.formats import label_studio, read_documents, write_documents
from kexue.extraction.inference import Found
from kexue.extraction.schema import Schema
from kexue.files import atomic_write
from kexue.pipelines.bulk import read_stream
from kexue.pipelines.extractor import CHUNK, Extractor, in_chunks

NEAR = 10.0
"""A fact is undecided if its odds are within this factor of those at its threshold."""
TINY = 1e-9
LINES = (".txt", ".text", ".jsonl", ".ndjson")
"""Files with a text on each line."""
COSTS: dict[str, Callable[[str], float]] = {"text": lambda text: 1.0, "character": lambda text: len(text) + 20.0}
"""What reading a text costs: the same for all, or its length, and something for opening it."""

Key = tuple[str, ...]


class Doubt(NamedTuple):
    """An undecided fact: what it says, in lower case, and the bits that its answer tells."""

    key: Key
    bits: float


@dataclass(frozen=True)
class Suggestion:
    """A text with what the model would report of it, and the bits that its annotation would tell."""

    document: Document
    uncertainty: float

    @property
    def certainty(self) -> float:
        """The probability, in (0, 1], that all undecided facts turn out as expected: lowest first is the ranking."""
        return float(2.0**-self.uncertainty)


@dataclass(frozen=True)
class Suggestions:
    """The texts in the order in which they are to be annotated, and how many were left out and why."""

    chosen: list[Suggestion]
    known: int = 0
    """Texts that were to be left out."""
    twice: int = 0
    """Texts that stand more than once."""


def suggest(
    extractor: Extractor,
    documents: Iterable[Document],
    *,
    num: int | None = None,
    diversity: float = 0.5,
    per: str = "text",
    known: Collection[str] = (),
) -> Suggestions:
    """The `num` texts, all where None, whose annotation tells most.

    Args:
        extractor: a trained model; its calibration and thresholds say what is in doubt.
        documents: the texts to choose from.
        num: how many to choose.
        diversity: what a fact is still worth once a chosen text asks for it, from 0 to 1; 1 ranks by uncertainty alone.
        per: a name in `COSTS`: bits are counted per text, or per character that is to be read.
        known: texts that are not to be chosen, such as those already annotated.

    Raises `OptionError` for values that are not allowed.
    """
    if not 0 <= diversity <= 1:
        raise OptionError(f"diversity is a number from 0 to 1, got {diversity}")
    if per not in COSTS:
        raise OptionError(unknown("cost", per, list(COSTS)))
    pool = _Pool(frozenset(known))
    found = [pair for part in in_chunks(pool.wanted(documents), CHUNK) for pair in examine(extractor, part)]
    cost = COSTS[per]
    weighted = [
        [doubt._replace(bits=doubt.bits / cost(document.text)) for doubt in doubts] for document, doubts in found
    ]
    order = choose(weighted, len(found) if num is None else num, diversity)
    chosen = [Suggestion(found[index][0], total(found[index][1])) for index in order]
    return Suggestions(chosen, pool.known_count, pool.twice)


def read_pool(path: Path, format: str | None = None) -> list[Document]:
    """The texts of a file: lines of plain text or JSON, as `kexue extract` takes them, or any annotated format.

    Raises `DataError` for a file that is neither, or empty.
    """
    if format is None and path.suffix.lower() in LINES:
        try:
            with path.open("rb") as lines:
                documents = list(read_stream(lines, source=str(path)))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=path) from None
        if not documents:
            raise DataError("is empty: there is nothing to choose from", path=path)
        return documents
    return read_documents(path, format).documents


def write_suggestions(suggestions: Suggestions, schema: Schema, path: Path) -> list[Path]:
    """Write the texts in their order, each with `rank` and `uncertainty`; returns the files.

    JSON Lines are written in the native format; anything else as tasks of Label Studio, with the labelling interface
    that fits them beside it, as .xml. There the score of a task is its certainty, lowest first.
    """
    ranked = list(enumerate(suggestions.chosen, start=1))
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        documents = [
            replace(item.document, meta=item.document.meta | {"rank": rank, "uncertainty": round(item.uncertainty, 4)})
            for rank, item in ranked
        ]
        write_documents(documents, path, "native")
        return [path]
    label_studio.write_tasks(
        (
            label_studio.make_task(
                item.document,
                score=item.certainty,
                rank=rank,
                uncertainty=round(item.uncertainty, 4),
                pre_annotated=True,
            )
            for rank, item in ranked
        ),
        path,
    )
    interface = path.with_suffix(".xml")
    with atomic_write(interface) as file:
        file.write(label_studio.labeling_config(schema.entity_types or ("",), schema.predicates) + "\n")
    return [path, interface]


def examine(extractor: Extractor, documents: Sequence[Document]) -> Iterator[tuple[Document, list[Doubt]]]:
    """What the model would report of each document, and what it is in doubt of, in the order given."""
    results: list[tuple[Document, list[Doubt]]] = [(document, []) for document in documents]
    for found in extractor.candidates(documents):
        item = documents[found.index]
        results[found.index] = (extractor.document(item, found), doubts(extractor, item.text, found))
    yield from results


def doubts(extractor: Extractor, text: str, found: Found) -> list[Doubt]:
    """The undecided facts of one text."""
    labels, decision = extractor.model.head.labels, extractor.decision
    candidates, tokens = found.candidates, found.tokens
    names = [labels.names[label] for label in candidates.spans[:, 0].tolist()]
    surfaces = [text[tokens.starts[start] : tokens.ends[end]].casefold() for _, start, end in candidates.spans.tolist()]
    sure = decision.entity(candidates.span_scores.numpy().astype(np.float64)[:, None])
    result = [
        Doubt((names[row], surfaces[row]), float(bits))
        for row, bits in _undecided(sure, np.full(len(sure), decision.entity_threshold))
    ]
    linked = decision.relation(candidates.triple_scores.numpy().astype(np.float64))
    triples = candidates.triples.tolist()
    for row, bits in _undecided(linked, _thresholds(decision, labels.predicates, candidates.triples[:, 1].numpy())):
        subject, predicate, object_ = triples[row]
        result.append(Doubt((labels.predicates[predicate], surfaces[subject], surfaces[object_]), float(bits)))
    return result


def total(doubts: Iterable[Doubt]) -> float:
    """The uncertainty of a text in bits."""
    return sum(doubt.bits for doubt in doubts)


def choose(doubts: Sequence[Sequence[Doubt]], num: int, diversity: float = 1.0) -> list[int]:
    """The indices of `num` texts, each the one that adds most to those before it; of equals the first."""
    asked: Counter[Key] = Counter()

    def gain(index: int) -> float:
        return sum(doubt.bits * diversity ** asked[doubt.key] for doubt in doubts[index])

    heap = [(-total(own), index) for index, own in enumerate(doubts)]
    heapq.heapify(heap)
    order: list[int] = []
    while heap and len(order) < num:
        _, index = heapq.heappop(heap)
        now = (-gain(index), index)
        if heap and now > heap[0]:  # others were overtaken by what has been chosen meanwhile
            heapq.heappush(heap, now)
            continue
        order.append(index)
        asked.update({doubt.key for doubt in doubts[index]})
    return order


@dataclass
class _Pool:
    """The texts to choose from, each once, and without those that are known."""

    known: frozenset[str]
    known_count: int = 0
    twice: int = 0

    def wanted(self, documents: Iterable[Document]) -> Iterator[Document]:
        seen: set[str] = set()
        for document in documents:
            if document.text in self.known:
                self.known_count += 1
            elif document.text in seen:
                self.twice += 1
            else:
                seen.add(document.text)
                yield replace(document, entities=[], relations=[], events=[], unaligned=[])


def _undecided(confidence: NDArray[np.float64], threshold: NDArray[np.float64]) -> list[tuple[int, float]]:
    """(row, bits) of the facts whose odds are near those of their threshold."""
    p = np.clip(confidence, TINY, 1 - TINY)
    near = np.abs(_logit(p) - _logit(np.clip(threshold, TINY, 1 - TINY))) <= np.log(NEAR)
    rows = np.flatnonzero(near)
    return list(zip(rows.tolist(), _entropy(p[rows]).tolist(), strict=True))


def _thresholds(decision: Decision, predicates: Sequence[str], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([decision.threshold(name) for name in predicates], dtype=np.float64)[numbers]


def _logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(p) - np.log1p(-p))


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)))
