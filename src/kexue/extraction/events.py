"""Events as graphs: roles are labelled spans, two arguments are joined where one event has both.

A span has the label (event type, role); the trigger is one more role. Two spans of the same event type are neighbours
where a link of starts and a link of ends say so. An event is a set of arguments that are all neighbours of each other
and to which none can be added: a maximal clique of the graph of its type, found by Bron and Kerbosch's algorithm
(1973, with the pivots of Tomita et al. 2006, from networkx). The recursion of the published code finds the same
cliques in exponential time.

Source: Su, kexue.fm/archives/8926 (2022).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice
from typing import ClassVar

import networkx
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kexue.encoders.tokenization import Tokens, token_span
from kexue.errors import SchemaError
from kexue.extraction.decision import Decision
from kexue.extraction.decoding import Candidates
from kexue.extraction.document import Argument, Document, Event, Span
from kexue.extraction.links import Fact, Labels, Links, Place, distinct
from kexue.extraction.schema import Schema

TRIGGER = "trigger"
"""The role of the word that states an event. A type that has it has no event without it."""
MOST_EVENTS = 512
"""Of one type in one text: an untrained model's graph may have more cliques than anybody can wait for."""


@dataclass(frozen=True)
class EventLabels(Labels):
    """A label for each role of each event type; the predicates that join spans are the event types."""

    kinds: ClassVar[tuple[str, str]] = ("arguments", "links")

    @cached_property
    def roles(self) -> tuple[tuple[str, str], ...]:
        """(event type, role) of each label."""
        return tuple((kind, role) for kind, roles in self.schema.event_types for role in roles)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{kind}: {role}" for kind, role in self.roles)

    @cached_property
    def predicates(self) -> tuple[str, ...]:
        return tuple(kind for kind, _ in self.schema.event_types)

    @cached_property
    def subjects(self) -> Tensor:
        rows = [[of == kind for of, _ in self.roles] for kind in self.predicates]
        return torch.tensor(rows, dtype=torch.bool).reshape(len(self.predicates), len(self.roles))

    @property
    def objects(self) -> Tensor:
        return self.subjects

    @property
    def metric(self) -> str:
        return "arguments_f1"

    @cached_property
    def number(self) -> dict[tuple[str, str], int]:
        """The label of each (event type, role)."""
        return {role: label for label, role in enumerate(self.roles)}

    def entity_label(self, label: int) -> str:
        return self.names[label]

    def gold(self, document: Document) -> tuple[set[Place], set[Fact]]:
        """The facts are pairs of arguments of one event, the first of the two first."""
        events = [(event.type, sorted(self._places(event))) for event in document.events]
        spans = {self._named(place) for _, places in events for place in places}
        facts = {
            (self._named(one), kind, self._named(other))
            for kind, places in events
            for one, other in combinations(places, 2)
        }
        return spans, facts

    def _places(self, event: Event) -> Iterable[tuple[int, int, int]]:
        """(start, end, label) of each argument whose role is known."""
        return {
            (argument.span.start, argument.span.end, self.number[event.type, argument.role])
            for argument in event.arguments
            if (event.type, argument.role) in self.number
        }

    def _named(self, place: tuple[int, int, int]) -> Place:
        start, end, label = place
        return start, end, self.names[label]


def event_labels(schema: Schema) -> EventLabels:
    """The labels of events; raises `SchemaError` where there are none."""
    if not schema.event_types:
        raise SchemaError("head = events needs events, and the data have none; take head = gplinker")
    return EventLabels(schema)


class EventEncoder:
    """Turns documents into `Links`: the arguments as spans, each two of one event as a triple of its type."""

    def __init__(self, schema: Schema) -> None:
        self.labels = EventLabels(schema)
        self._type = {kind: index for index, kind in enumerate(self.labels.predicates)}

    def __call__(self, document: Document, tokens: Tokens) -> Links:
        """The labelled spans and the pairs of a document's events."""
        wanted = dict.fromkeys(argument.span for event in document.events for argument in event.arguments)
        found = ((span, token_span(tokens, span.start, span.end)) for span in wanted)
        places = {span: place for span, place in found if place is not None}
        events = [
            (
                self._type[event.type],
                sorted(
                    {
                        (places[item.span].first, places[item.span].last, self.labels.number[event.type, item.role])
                        for item in event.arguments
                        if item.span in places
                    }
                ),
            )
            for event in document.events
        ]
        return Links(
            spans=distinct((label, first, last) for _, arguments in events for first, last, label in arguments),
            triples=distinct(
                (kind, *one[:2], *other[:2]) for kind, arguments in events for one, other in combinations(arguments, 2)
            ),
            unplaced=[f"{item.kind} {item.label!r}: {item.reason}" for item in document.unaligned]
            + [f"span {span.surface(document.text)!r}: no token covers it" for span in wanted if span not in places],
            inexact=sum(bool(span.fragments) or not place.exact for span, place in places.items()),
        )


def assemble_events(
    text: str, tokens: Tokens, candidates: Candidates, labels: EventLabels, decision: Decision
) -> Document:
    """The events whose arguments and links all reach their thresholds; the least sure of them is the event's score.

    `meta["cut"]` says so if the budget of the decoder or `MOST_EVENTS` was exhausted.
    """
    sure = decision.entity(candidates.span_scores.numpy().astype(np.float64)[:, None])
    arguments = [
        Argument(labels.roles[label][1], Span(tokens.starts[start], tokens.ends[end], score=float(score)))
        for (label, start, end), score in zip(candidates.spans.tolist(), sure, strict=True)
    ]
    events: dict[Event, Event] = {}
    cut = candidates.cut
    for kind, graph in _graphs(candidates, sure, labels, decision).items():
        cliques = list(islice(networkx.find_cliques(graph), MOST_EVENTS + 1))
        if len(cliques) > MOST_EVENTS and not cut.endswith("events"):
            cut = f"{cut} and events" if cut else "events"
        for event in _events(kind, graph, cliques[:MOST_EVENTS], arguments, labels):
            best = events.setdefault(event, event)  # of two that read alike the surer one
            events[event] = max(best, event, key=_confidence)
    return Document(text, events=sorted(events.values(), key=_position), meta={"cut": cut} if cut else {})


def _graphs(
    candidates: Candidates, sure: NDArray[np.float64], labels: EventLabels, decision: Decision
) -> dict[str, networkx.Graph]:
    """For each event type the arguments and links that reach their thresholds; nodes are rows of the candidates."""
    graphs: dict[str, networkx.Graph] = {kind: networkx.Graph() for kind in labels.predicates}
    for row in np.flatnonzero(sure >= decision.entity_threshold).tolist():
        kind, _ = labels.roles[int(candidates.spans[row, 0])]
        graphs[kind].add_node(row)
    linked = decision.relation(candidates.triple_scores.numpy().astype(np.float64))
    for (one, number, other), score in zip(candidates.triples.tolist(), linked.tolist(), strict=True):
        kind = labels.predicates[number]
        if score >= decision.threshold(kind) and one in graphs[kind] and other in graphs[kind]:
            graphs[kind].add_edge(one, other, score=score)
    return graphs


def _events(
    kind: str, graph: networkx.Graph, cliques: Iterable[list[int]], arguments: list[Argument], labels: EventLabels
) -> Iterator[Event]:
    """The cliques as events, without those that lack the trigger which their type demands."""
    demanded = {TRIGGER} & set(labels.schema.roles[kind])
    for clique in cliques:
        own = [arguments[row] for row in clique]
        if demanded <= {argument.role for argument in own}:
            scores = [argument.span.score or 0.0 for argument in own]
            scores += [graph.edges[pair]["score"] for pair in combinations(clique, 2)]
            yield Event(kind, tuple(sorted(own, key=_place)), min(scores))


def _confidence(event: Event) -> float:
    return event.score or 0.0


def _place(argument: Argument) -> tuple[int, int, str]:
    return argument.span.start, argument.span.end, argument.role


def _position(event: Event) -> tuple[list[tuple[int, int, str]], str]:
    return [_place(argument) for argument in event.arguments], event.type
