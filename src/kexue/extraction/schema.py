"""What can be extracted: entity types, relation types with their constraints, event types.

A constraint is a fact about the world that the scores need not learn: which types the ends of a relation may
have, that a subject has at most one object (functional), that a relation is its own inverse (symmetric) or the
inverse of another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from kexue.errors import SchemaError, unknown
from kexue.extraction.document import Document, Relation


@dataclass(frozen=True)
class RelationType:
    """A predicate and its constraints. Empty types mean that any entity may stand at that end."""

    name: str
    subject_types: tuple[str, ...] = ()
    object_types: tuple[str, ...] = ()
    functional: bool = False
    symmetric: bool = False
    inverse: str | None = None


@dataclass(frozen=True)
class Schema:
    """The labels of a task. The order of the labels is the order of a model's outputs."""

    entity_types: tuple[str, ...] = ()
    relation_types: tuple[RelationType, ...] = ()
    event_types: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (type, its roles)

    def __post_init__(self) -> None:
        for kind, names in (("entity type", self.entity_types), ("relation type", self.predicates)):
            twice = sorted(name for name, times in Counter(names).items() if times > 1)
            if twice:
                raise SchemaError(f"{kind} {twice[0]!r} is declared twice")
        for relation in self.relation_types:
            for name in (*relation.subject_types, *relation.object_types):
                if name not in self.entity_types:
                    raise SchemaError(f"relation {relation.name!r}: {unknown('entity type', name, self.entity_types)}")
            if relation.inverse is not None and relation.inverse not in self.predicates:
                raise SchemaError(
                    f"inverse of {relation.name!r}: {unknown('relation type', relation.inverse, self.predicates)}"
                )
        for name, inverse in self._inverses():
            if self._inverse[name] != inverse:
                raise SchemaError(
                    f"relation {name!r} has two inverses, {inverse!r} and {self._inverse[name]!r}; "
                    "a symmetric relation is its own"
                )

    @cached_property
    def predicates(self) -> tuple[str, ...]:
        """Names of the relation types, in order."""
        return tuple(relation.name for relation in self.relation_types)

    @cached_property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """The roles of each event type."""
        return dict(self.event_types)

    @cached_property
    def typed(self) -> bool:
        """Whether entities carry types of their own; otherwise a span is known only as subject or object."""
        return len(self.entity_types) > 1 or any(self.entity_types)

    @classmethod
    def from_documents(cls, documents: Iterable[Document]) -> Schema:
        """The labels that occur, sorted, with the types seen at each end of each relation."""
        entity_types: set[str] = set()
        ends: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
        roles: dict[str, set[str]] = defaultdict(set)
        for document in documents:
            entity_types.update(span.label for span in document.entities)
            for relation in document.relations:
                subject_types, object_types = ends[relation.predicate]
                subject_types.add(relation.subject.label)
                object_types.add(relation.object.label)
            for event in document.events:
                roles[event.type].update(argument.role for argument in event.arguments)
            for item in document.unaligned:
                if item.kind == "relation":
                    ends[item.label]
        for subject_types, object_types in ends.values():
            entity_types |= subject_types | object_types
        typed = any(entity_types)
        return cls(
            entity_types=tuple(sorted(entity_types)) if typed else (),
            relation_types=tuple(
                RelationType(
                    name,
                    tuple(sorted(subject_types)) if typed else (),
                    tuple(sorted(object_types)) if typed else (),
                )
                for name, (subject_types, object_types) in sorted(ends.items())
            ),
            event_types=tuple((name, tuple(sorted(names))) for name, names in sorted(roles.items())),
        )

    def with_constraints(self, constraints: Mapping[str, Mapping[str, Any]]) -> Schema:
        """Add constraints by predicate, e.g. `{"capital of": {"functional": True, "inverse": "capital"}}`."""
        for name in constraints:
            if name not in self.predicates:
                raise SchemaError(unknown("relation type", name, self.predicates))
        allowed = ("subject_types", "object_types", "functional", "symmetric", "inverse")
        for values in constraints.values():
            for key in values:
                if key not in allowed:
                    raise SchemaError(unknown("constraint", key, allowed))
        return replace(
            self,
            relation_types=tuple(
                replace(relation, **_tuples(constraints.get(relation.name, {}))) for relation in self.relation_types
            ),
        )

    def implied(self, relation: Relation) -> Relation | None:
        """The relation that follows from this one by symmetry or as its inverse, with the same score."""
        name = self._inverse.get(relation.predicate)
        return None if name is None else Relation(relation.object, name, relation.subject, relation.score)

    def end_types(self, relation: RelationType) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The types that may stand at its subject and its object, empty for any: its own and those of its inverse.

        A relation and its inverse say the same, so what either may join the other may join the other way round.
        """
        if relation.name not in self._inverse:
            return relation.subject_types, relation.object_types
        inverse = self._by_name[self._inverse[relation.name]]
        subjects = _either(relation.subject_types, inverse.object_types)
        return subjects, _either(relation.object_types, inverse.subject_types)

    @cached_property
    def _by_name(self) -> dict[str, RelationType]:
        return {relation.name: relation for relation in self.relation_types}

    @cached_property
    def _inverse(self) -> dict[str, str]:
        return dict(self._inverses())

    def _inverses(self) -> Iterator[tuple[str, str]]:
        """Each relation with what it is called the other way round."""
        for relation in self.relation_types:
            if relation.symmetric:
                yield relation.name, relation.name
            if relation.inverse is not None:
                yield relation.name, relation.inverse
                yield relation.inverse, relation.name

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Schema:
        """Rebuild a schema from `to_json`; raises `SchemaError` for what is none."""
        try:
            return cls(
                _names(record.get("entity_types", ())),
                tuple(_relation_type(**relation) for relation in record.get("relation_types", ())),
                tuple((*_names([name]), _names(roles)) for name, roles in record.get("event_types", ())),
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise SchemaError(f"the labels are not written as a schema is: {error}") from None


def _names(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is not a list of names")
    return tuple(values)


def _relation_type(
    name: str, subject_types: Any = (), object_types: Any = (), inverse: str | None = None, **flags: bool
) -> RelationType:
    _names([name, *([] if inverse is None else [inverse])])
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise TypeError(f"relation {name!r}: {flags!r} are not true or false")
    return RelationType(name, _names(subject_types), _names(object_types), inverse=inverse, **flags)


def _either(types: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """The types of both; none means any, with whatever else."""
    return tuple(dict.fromkeys(types + others)) if types and others else ()


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
