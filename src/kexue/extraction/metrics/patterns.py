"""How the triples of a sentence overlap: Normal, SEO, EPO, SOO.

Judged on the strings of the triples, as in the articles that name the classes and the code that counts them:

- Normal: no entity stands in two triples, nor at both ends of one
- EPO (entity pair overlap): some (subject, object), in this order, stands in two triples
- SEO (single entity overlap): the distinct (subject, object) pairs share some entity
- SOO (subject object overlap): in some triple one end's string is part of the other's

Normal, EPO, SEO: Zeng et al. 2018 (CopyRE), as counted by CasRel (Wei et al. 2020) and, on CasRel's files, by
TPLinker (Wang et al. 2020). SOO: Zheng et al. 2021 (PRGC). A sentence can be EPO, SEO and SOO at once; it is
Normal or else SEO or EPO. (PRGC calls a sentence Normal only if it is not SOO either.) A triple (a, p, b) and
its reverse (b, q, a) are SEO, not EPO.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from kexue.extraction.document import Document
from kexue.extraction.metrics.matching import STRING, Key, relation_keys

PATTERNS = ("Normal", "SEO", "EPO", "SOO", "no triple")
TRIPLE_COUNTS = ("0", "1", "2", "3", "4", "5+")


def overlap_patterns(triples: AbstractSet[Key], num_duplicates: int = 0) -> tuple[str, ...]:
    """The patterns of the (predicate, subject, object) strings of a sentence, in the order of `PATTERNS`.

    `num_duplicates` says how many more triples the sentence lists that repeat one of these. CasRel counts
    them, which makes an EPO of every sentence that has one; the classes of unique triples have none.
    """
    if not triples:
        return ("no triple",)
    num_triples = len(triples) + num_duplicates
    pairs = {(subject, object) for _, subject, object in triples}
    entities = {end for pair in pairs for end in pair}
    holds = {
        "Normal": len(entities) == 2 * num_triples,
        "SEO": len(entities) != 2 * len(pairs),
        "EPO": len(pairs) != num_triples,
        "SOO": any(subject in object or object in subject for subject, object in pairs),
    }
    return tuple(name for name in PATTERNS if holds.get(name))


def gold_triples(document: Document) -> set[Key]:
    """The unique (predicate, subject, object) strings, those that could not be placed too."""
    return relation_keys(document, STRING)


def num_duplicates(document: Document) -> int:
    """Triples that the source lists again; readers note them in `meta["duplicate_relations"]`.

    They may be noted as a number or as a list of [subject, predicate, object].
    """
    noted = document.meta.get("duplicate_relations", 0)
    return len(noted) if isinstance(noted, list) else int(noted)


def triple_count(num_triples: int) -> str:
    """The class of a sentence with so many triples: 0, 1, 2, 3, 4 or 5+."""
    return TRIPLE_COUNTS[min(num_triples, 5)]
