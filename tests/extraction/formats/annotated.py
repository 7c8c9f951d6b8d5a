"""Random annotated documents with characters that break offsets: emoji, CJK, combining marks, CR LF, tabs."""

from __future__ import annotations

from hypothesis import strategies as st

from kexue.extraction.document import Argument, Document, Event, Relation, Span

PIECES = [
    *("a", "B", "7", " ", ".", "阿", "司", "𠮷", "。", "Ａ", "ש", "😀", "👩‍👩‍👧", "👍🏽"),
    *("é", "́", "\n", "\r\n", "\t", '"', "\\", "\u2028"),
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join).filter(str.strip)
LABELS = st.sampled_from(["drug", "症状", "Loc-1", "O'Brien & <Co>"])


@st.composite
def documents(draw: st.DrawFn, labels: st.SearchStrategy[str] = LABELS) -> Document:
    """A document whose relations go between its entities."""
    text = draw(TEXTS)
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(lambda ends: ends[0] < ends[1])
    spans = st.builds(lambda ends, label: Span(*ends, label), places, labels)
    entities = draw(st.lists(spans, max_size=4, unique=True))
    ends = st.sampled_from(entities) if entities else st.nothing()
    relations = draw(st.lists(st.builds(Relation, ends, labels, ends), max_size=3)) if entities else []
    return Document(text, entities, relations, id=draw(st.sampled_from(["a", "b-2", "7"])))


@st.composite
def documents_with_events(draw: st.DrawFn, labels: st.SearchStrategy[str] = LABELS) -> Document:
    """The same with events, the trigger first and the other arguments among the entities."""
    document = draw(documents(labels))
    if document.entities:
        ends = st.sampled_from(document.entities)
        arguments = st.lists(st.builds(Argument, st.sampled_from(["agent", "time"]), ends), max_size=3)
        for kind in draw(st.lists(labels, max_size=2)):
            trigger = draw(ends)
            trigger = Argument("trigger", Span(trigger.start, trigger.end, kind))
            document.events.append(Event(kind, (trigger, *draw(arguments))))
    return document
