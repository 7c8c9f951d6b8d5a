"""Relation counts as the scorers of CasRel, TPLinker and PRGC make them, to compare with published numbers.

Read in their sources (CasRel `utils.metric`, TPLinker `MetricsCalculator.get_rel_cpg`, PRGC `evaluate`); all
compare sets of triples per sentence and sum over sentences.

- CasRel compares strings, by default only what stands before the first space ("partial match", which on
  NYT*/WebNLG*, whose entities are one word, is the whole entity); whole strings for Wiki-KBP ("exact match").
- TPLinker does the same (`only_head_text` on NYT*/WebNLG*, `whole_text` on NYT/WebNLG), or compares the first
  tokens or the whole token spans. Its preprocessing makes every triple into one for each pair of occurrences
  of its strings, in the two modes by place, and one with a string that does not occur is lost from the gold.
  Here the places are the annotated ones, and lost is what could not be placed.
- PRGC compares the strings of token spans; gold that it cannot find in the tokens is lost from the count,
  so its recall is too high. (It also loses gold behind its 100th word piece; that cannot be repeated without
  its tokenizer.)

None of this is a score to report for its own sake: `relations.strict` and `relations.string` keep all gold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kexue.extraction.document import Document, Span
from kexue.extraction.metrics.matching import (
    BOUNDARIES,
    STRING,
    ByPlace,
    ByString,
    Key,
    Matching,
    relation_keys,
)
from kexue.extraction.metrics.outcomes import compare
from kexue.extraction.metrics.patterns import gold_triples, num_duplicates, overlap_patterns
from kexue.extraction.metrics.scores import Counts


@dataclass(frozen=True)
class PeerCount:
    """How a peer counts: what it compares of the ends, and whether it forgets gold that it cannot place."""

    matching: Matching
    forgets_unplaced: bool

    def keys(self, document: Document) -> set[Key]:
        """The triples of a document as the peer sees them."""
        seen = replace(document, unaligned=[]) if self.forgets_unplaced else document
        return relation_keys(seen, self.matching)


def _before_first_space(string: str) -> str:
    return string.split(" ")[0]


def _joined_by_single_spaces(string: str) -> str:
    return " ".join(string.split())


def _start(span: Span) -> int:
    return span.start


PEER_COUNTS = {
    "casrel_partial": PeerCount(ByString(_before_first_space), forgets_unplaced=False),
    "casrel_exact": PeerCount(STRING, forgets_unplaced=False),
    "tplinker_only_head_text": PeerCount(ByString(_before_first_space), forgets_unplaced=True),
    "tplinker_whole_text": PeerCount(STRING, forgets_unplaced=True),
    "tplinker_only_head_index": PeerCount(ByPlace(_start), forgets_unplaced=True),
    "tplinker_whole_span": PeerCount(BOUNDARIES, forgets_unplaced=True),
    "prgc": PeerCount(ByString(_joined_by_single_spaces), forgets_unplaced=True),
}


def count_as(peer: PeerCount, gold: Sequence[Document], predicted: Sequence[Document]) -> Counts:
    """Counts of paired documents as the peer's scorer gives them."""
    return compare(map(peer.keys, gold), map(peer.keys, predicted)).counts()


def casrel_patterns(document: Document) -> tuple[str, ...]:
    """The files of CasRel's split in which a gold sentence stands: triples listed twice are counted twice.

    So 246, 457 and 26 of the 703 test sentences of WebNLG* are Normal, SEO and EPO; on unique triples the
    sentences with an entity pair overlap are 18.
    """
    return overlap_patterns(gold_triples(document), num_duplicates(document))
