"""Label Studio's machine learning backend: tasks of a project in, predictions in its own labels out.

A project's interface (XML) says what its tags and labels are called:

    <View>
      <Labels name="label" toName="text"><Label value="drug"/><Label value="effect"/></Labels>
      <Relations><Relation value="causes"/></Relations>
      <Text name="text" value="$text"/>
    </View>

What the model finds and the project has no label for is left out and counted. The protocol is the one of
`HumanSignal/label-studio-ml-backend` (2.0, August 2026), which is spoken here and not installed: the package index has
its version of January 2023 alone, with a queue and a web server of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

from kexue.errors import OptionError
from kexue.extraction.document import Document, Span
from kexue.extraction.formats.label_studio import Names, make_prediction
from kexue.extraction.formats.standoff import UNTYPED, mentions


@dataclass(frozen=True)
class Project:
    """What the interface of a project offers.

    Attributes:
        names: of the tags.
        field: where in a task's data the text is.
        labels: of spans; empty where any is allowed.
        relations: labels of relations; empty where any is allowed.
    """

    names: Names
    field: str
    labels: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()

    @classmethod
    def from_config(cls, config: str) -> Project:
        """Read an interface; raises `OptionError` where it is no XML or labels no text."""
        root = _parse(config)
        texts = {tag.get("name"): tag.get("value", "") for tag in root.iter("Text")}
        for tag in root.iter("Labels"):
            text = tag.get("toName", "")
            if text in texts and texts[text].startswith("$"):
                labels = frozenset(label.get("value", "") for label in tag.iter("Label"))
                relations = frozenset(label.get("value", "") for label in root.iter("Relation"))
                return cls(Names(tag.get("name", ""), text), texts[text][1:], labels, relations)
        raise OptionError(
            'the interface labels no text: it needs <Labels name="label" toName="text"> and '
            '<Text name="text" value="$text"/>; kexue suggest writes one that fits the model'
        )

    def text(self, task: Mapping[str, Any]) -> str:
        """The text of a task; raises `OptionError` where there is none that can be sent back."""
        data = task.get("data")
        text = data.get(self.field) if isinstance(data, Mapping) else None
        if not isinstance(text, str):
            raise OptionError(f"task {task.get('id')}: its data hold no text under {self.field!r}")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise OptionError(f"task {task.get('id')}: its text holds half of a surrogate pair, which is no character")
        return text

    def prediction(self, document: Document, *, version: str, score: float | None = None) -> dict[str, Any]:
        """What a document says, in the project's labels; `left_out` counts what it has no label for."""
        spans = [span for span in mentions(document) if self._knows(span)]
        relations = [
            relation
            for relation in document.relations
            if (not self.relations or relation.predicate in self.relations)
            and self._knows(relation.subject)
            and self._knows(relation.object)
        ]
        told = len(mentions(document)) + len(document.relations) + len(document.events)  # it has no events
        left_out = told - len(spans) - len(relations)
        known = replace(document, entities=spans, relations=relations)
        prediction = make_prediction(known, names=self.names, version=version, score=score)
        return prediction | ({"left_out": left_out} if left_out else {})

    def _knows(self, span: Span) -> bool:
        return not self.labels or (span.label or UNTYPED) in self.labels


def _parse(config: str) -> ElementTree.Element:
    """The tags of an interface; a document type, whose entities could swell without end, is refused unread."""
    if "<!DOCTYPE" in config.upper() or "<!ENTITY" in config.upper():
        raise OptionError("the interface has a document type, which no labelling interface needs")
    try:
        return ElementTree.fromstring(config)
    except (ElementTree.ParseError, UnicodeEncodeError, ValueError) as error:
        raise OptionError(f"the interface is no XML: {error}") from None
