"""Which of its occurrences does a string mean? The rule that places gold given as strings.

A rule has two halves. The first lists the candidates of a surface: its whole-word occurrences that do not lie
inside an occurrence of a longer annotated surface ("Cesena" is not sought inside "A.C. Cesena"). The second
chooses for each triple one occurrence of the subject and one of the object:

    argmin  characters between them + 40 * clause ends between them        (ties: the earliest)

over pairs that do not overlap, where there are any. Most published code takes the first occurrence of
either string, also inside words. `python -m kexue.benchmarks.occurrence` measures the rules of
`OCCURRENCE_RULES` on data that have exact spans; docs/log.md has the table.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from kexue.extraction.document import Relation, Span, Unaligned
from kexue.extraction.words import is_whole_word

Place = tuple[int, int]
Pair = tuple[str, str]
Candidates = Callable[[str, Iterable[str]], dict[str, list[Place]]]
Choice = Callable[[str, Sequence[Pair], Mapping[str, list[Place]]], list[tuple[Place, Place]]]

CLAUSE_COST = 40  # characters that one clause end is worth; anything from 13 to 60 does nearly as well
_CLAUSE_END = re.compile(r"[.;:!?](?=\s)|[。；：！？\n]")
_OVERLAP_COST = 1 << 40  # more than any distance in a text


@dataclass(frozen=True, slots=True)
class StringTriple:
    """A fact whose ends are given by their characters alone."""

    subject: str
    predicate: str
    object: str
    subject_type: str = ""
    object_type: str = ""


@dataclass(frozen=True)
class Rule:
    """How strings become places: which occurrences are candidates, and which of them each pair means."""

    candidates: Candidates
    choose: Choice


def occurrences(text: str, surface: str) -> list[Place]:
    """Characters (start, end) of the whole-word occurrences of `surface`; of all if none is a whole word."""
    everywhere = _everywhere(text, surface)
    return [place for place in everywhere if is_whole_word(text, *place)] or everywhere


def ambiguous(text: str, surface: str) -> list[Place]:
    """The occurrences between which a rule has to choose; empty where there are fewer than two."""
    places = occurrences(text, surface)
    return places if len(places) > 1 else []


def place_entity(text: str, surface: str, label: str) -> list[Span]:
    """An entity given only as a string stands for all its occurrences; an empty list if it has none."""
    return [Span(start, end, label) for start, end in occurrences(text, surface)]


def place_triples(
    text: str, triples: Sequence[StringTriple], mentions: Iterable[str] = (), rule: Rule | None = None
) -> tuple[list[Relation], list[Unaligned]]:
    """Place the ends of all triples of a text, which are judged together.

    `mentions` are further surfaces that the source annotates; they only keep shorter ones from being found
    inside them. `rule` is one of `OCCURRENCE_RULES`, `DEFAULT_RULE` if left out. Every triple comes back
    once, as a relation or as `Unaligned` with the reason.
    """
    rule = rule or DEFAULT_RULE
    surfaces = dict.fromkeys([end for triple in triples for end in (triple.subject, triple.object)])
    places = rule.candidates(text, dict.fromkeys([*surfaces, *mentions]))
    found = [triple for triple in triples if places[triple.subject] and places[triple.object]]
    chosen = rule.choose(text, [(triple.subject, triple.object) for triple in found], places)
    relations = [
        Relation(Span(*subject, triple.subject_type), triple.predicate, Span(*object, triple.object_type))
        for triple, (subject, object) in zip(found, chosen, strict=True)
    ]
    missing = [triple for triple in triples if not (places[triple.subject] and places[triple.object])]
    return relations, [_unaligned(triple, places) for triple in missing]


def _unaligned(triple: StringTriple, places: Mapping[str, list[Place]]) -> Unaligned:
    ends = (("subject", triple.subject), ("object", triple.object))
    reasons = [_reason(name, surface) for name, surface in ends if not places[surface]]
    return Unaligned("relation", triple.predicate, (triple.subject, triple.object), "; ".join(reasons))


def _reason(name: str, surface: str) -> str:
    return f"the {name} {surface!r} is not in the text" if surface.strip() else f"the {name} is empty"


# Candidates: the occurrences that a surface may mean.


def anywhere(text: str, surfaces: Iterable[str]) -> dict[str, list[Place]]:
    """All occurrences, also inside words."""
    return {surface: _everywhere(text, surface) for surface in surfaces}


def whole_words(text: str, surfaces: Iterable[str]) -> dict[str, list[Place]]:
    """Whole-word occurrences."""
    return {surface: occurrences(text, surface) for surface in surfaces}


def outermost(text: str, surfaces: Iterable[str]) -> dict[str, list[Place]]:
    """Whole-word occurrences that do not lie inside a longer surface; all of them if every one does."""
    places = whole_words(text, surfaces)
    return {surface: _outside(surface, places) or own for surface, own in places.items()}


def _outside(surface: str, places: Mapping[str, list[Place]]) -> list[Place]:
    longer = sorted(place for other in places if surface in other and surface != other for place in places[other])
    firsts = [first for first, _ in longer]
    furthest = [0, *accumulate((last for _, last in longer), max)]  # end of all that begin no later
    return [(start, end) for start, end in places[surface] if end > furthest[bisect_right(firsts, start)]]


def _everywhere(text: str, surface: str) -> list[Place]:
    """Every occurrence; where there is none, those in another letter case, white space around it left off.

    Sources lower-case what they annotate: "java程序设计" stands for "Java程序设计".
    """
    return _matches(re.escape(surface), text) or _matches(f"(?i:{re.escape(surface.strip())})", text)


def _matches(pattern: str, text: str) -> list[Place]:
    overlapping = re.finditer(f"(?=({pattern}))", text)
    return [match.span(1) for match in overlapping if match.end(1) > match.start(1)]


# Choices: one occurrence of the subject and one of the object for each pair.


def earliest(text: str, pairs: Sequence[Pair], places: Mapping[str, list[Place]]) -> list[tuple[Place, Place]]:
    """The first candidate of either end."""
    return [(places[subject][0], places[object][0]) for subject, object in pairs]


def shared(text: str, pairs: Sequence[Pair], places: Mapping[str, list[Place]]) -> list[tuple[Place, Place]]:
    """One mention of each surface for the whole text: the one nearest to all its partners together."""
    partners = defaultdict(list)
    for subject, object in pairs:
        partners[subject].append(object)
        partners[object].append(subject)
    best = {surface: places[surface][0] for surface in partners}
    for _ in range(4):  # each surface in turn against the others; settles in two or three rounds
        for surface, others in partners.items():
            best[surface] = min(
                places[surface], key=lambda place: sum(_distance(place, best[other]) for other in others)
            )
    return [(best[subject], best[object]) for subject, object in pairs]


def nearest(text: str, pairs: Sequence[Pair], places: Mapping[str, list[Place]]) -> list[tuple[Place, Place]]:
    """The pair with the fewest characters between its ends."""
    return [
        min(_neighbours(places[subject], places[object]), key=lambda pair: _distance(*pair))
        for subject, object in pairs
    ]


def nearest_in_clause(text: str, pairs: Sequence[Pair], places: Mapping[str, list[Place]]) -> list[tuple[Place, Place]]:
    """The nearest pair, each clause end between its ends counting as `CLAUSE_COST` characters."""
    stops = [match.start() for match in _CLAUSE_END.finditer(text)]

    def cost(pair: tuple[Place, Place]) -> int:
        left, right = sorted(pair)
        clause_ends = bisect_left(stops, right[0]) - bisect_left(stops, left[1])
        return _distance(left, right) + CLAUSE_COST * max(clause_ends, 0)

    return [min(_neighbours(places[subject], places[object]), key=cost) for subject, object in pairs]


def _distance(one: Place, other: Place) -> int:
    left, right = sorted((one, other))
    return right[0] - left[1] if right[0] >= left[1] else _OVERLAP_COST


def _neighbours(subjects: Sequence[Place], objects: Sequence[Place]) -> Iterator[tuple[Place, Place]]:
    """Each subject with the objects next to it.

    A cost that grows with the text between two places has its minimum among these, which keeps a surface with
    thousands of occurrences linear. Two on either side, because the nearest may overlap the subject.
    """
    for subject in subjects:
        here = bisect_left(objects, subject)
        for object in objects[max(here - 2, 0) : here + 2]:
            yield subject, object


OCCURRENCE_RULES: dict[str, Rule] = {
    "first": Rule(anywhere, earliest),
    "first word": Rule(whole_words, earliest),
    "first outermost": Rule(outermost, earliest),
    "shared outermost": Rule(outermost, shared),
    "nearest": Rule(anywhere, nearest),
    "nearest word": Rule(whole_words, nearest),
    "nearest outermost": Rule(outermost, nearest),
    "nearest in clause": Rule(outermost, nearest_in_clause),
}
DEFAULT_RULE = OCCURRENCE_RULES["nearest in clause"]
