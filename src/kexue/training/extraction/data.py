"""The annotated files of a training: read, checked against the labels, split, before any work begins."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kexue.errors import DataError, SchemaError, unknown
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import read_documents
from kexue.extraction.heads import HEADS
from kexue.extraction.schema import RelationType, Schema
from kexue.training.extraction.recipe import ExtractionRecipe

HELD_OUT = 0.1  # share of train that becomes dev where no dev file is given


@dataclass(frozen=True)
class TrainingData:
    """Checked documents, the schema that covers them, and what the user should know about them."""

    train: list[Document]
    dev: list[Document]
    schema: Schema
    notes: list[str]


def load_training_data(recipe: ExtractionRecipe) -> TrainingData:
    """Read train and dev; raises `DataError` or `SchemaError` before any work if they cannot be trained on."""
    train, unfinished = _annotated(_read(recipe.train, recipe), recipe.train)
    notes = []
    if unfinished:
        notes.append(f"{unfinished} texts without a finished annotation are left out of {recipe.train}")
    if recipe.dev is not None:
        dev = _read(recipe.dev, recipe)
        texts = {document.text for document in train}
        known = sum(document.text in texts for document in dev)
        if known:
            notes.append(
                f"{known} of {len(dev)} dev texts are also in train: scores on dev will look better than they are"
            )
    else:
        train, dev = hold_out(train, recipe.seed, path=recipe.train)
        notes.append(f"no dev file: {len(dev)} of {len(train) + len(dev)} training documents are held out as dev")
    observed = Schema.from_documents(train)
    if not observed.relation_types and not observed.entity_types and not observed.event_types:
        raise DataError(
            "holds no annotated entity, relation or event, so there is nothing to learn; see `kexue doctor`",
            path=recipe.train,
        )
    HEADS[recipe.head].task.labels(observed)  # says so if this head can learn nothing from it
    if observed.typed and "" not in observed.entity_types:
        _refuse_untyped(dev, recipe)
    schema, unseen = _extend(observed, Schema.from_documents(dev))
    if unseen:
        notes.append(f"labels in dev that train lacks, which cannot be learnt but are counted: {', '.join(unseen)}")
    return TrainingData(train, dev, _constrain(schema, recipe), notes)


def _read(path: Path, recipe: ExtractionRecipe) -> list[Document]:
    documents = read_documents(path, recipe.format).documents
    _refuse_unknown(documents, recipe, path)
    if recipe.entity_types == []:
        documents = [without_entity_types(document) for document in documents]
    return documents


def _annotated(documents: list[Document], path: Path) -> tuple[list[Document], int]:
    """The documents that somebody has annotated, and the number of the others: those are no text without facts."""
    finished = [document for document in documents if document.meta.get("annotated", True)]
    if not finished:
        raise DataError("none of its texts has a finished annotation", path=path)
    return finished, len(documents) - len(finished)


def _refuse_unknown(documents: Sequence[Document], recipe: ExtractionRecipe, path: Path) -> None:
    for number, document in enumerate(documents, start=1):
        for kind, allowed, names in (
            ("entity type", recipe.entity_types or None, [span.label for span in _spans(document)]),
            ("relation type", recipe.relation_types, [fact.predicate for fact in document.relations]),
        ):
            for name in names:
                if allowed is not None and name not in allowed:
                    raise SchemaError(
                        f"{path}: document {number}: {unknown(kind, name, allowed)} "
                        "Mend the file, or add the label to the recipe"
                    )


def _refuse_untyped(dev: Sequence[Document], recipe: ExtractionRecipe) -> None:
    """Raise where dev lacks the types that every span of train has: nothing found could ever be right."""
    for number, document in enumerate(dev, start=1):
        if any(not span.label for span in _spans(document)):
            raise SchemaError(
                f"{recipe.dev}: document {number} has an entity without a type, but in {recipe.train} all have one; "
                "mend the file, or put entity_types = [] into the recipe to ignore the types"
            )


def _spans(document: Document) -> list[Span]:
    return document.entities + [end for fact in document.relations for end in (fact.subject, fact.object)]


def without_entity_types(document: Document) -> Document:
    """The same document with its spans known only as ends of relations."""

    def bare(span: Span) -> Span:
        return replace(span, label="")

    return replace(
        document,
        entities=[bare(span) for span in document.entities],
        relations=[
            Relation(bare(fact.subject), fact.predicate, bare(fact.object), fact.score) for fact in document.relations
        ],
    )


def hold_out(
    documents: list[Document], seed: int, *, path: Path | None = None
) -> tuple[list[Document], list[Document]]:
    """A random tenth as dev, equal texts together, the same for the same seed; raises `DataError` below two texts."""
    copies: dict[str, list[int]] = defaultdict(list)
    for index, document in enumerate(documents):
        copies[document.text].append(index)
    if len(copies) < 2:
        raise DataError("one text cannot be split into train and dev; give more, or a dev file", path=path)
    order = list(range(len(documents)))
    random.Random(seed).shuffle(order)
    wanted = max(1, round(HELD_OUT * len(documents)), min(map(len, copies.values())))
    chosen: set[int] = set()
    for index in order:
        group = copies[documents[index].text]
        if index not in chosen and len(chosen) + len(group) <= wanted:
            chosen.update(group)
    return (
        [document for index, document in enumerate(documents) if index not in chosen],
        [document for index, document in enumerate(documents) if index in chosen],
    )


def _extend(schema: Schema, other: Schema) -> tuple[Schema, list[str]]:
    """A schema with the labels of another added at the end, and the names of these."""
    relations = [item for item in other.relation_types if item.name not in schema.predicates]
    types = [name for name in other.entity_types if name not in schema.entity_types] if schema.typed else []
    if not schema.typed:
        relations = [RelationType(item.name) for item in relations]
    added = {
        kind: schema.roles.get(kind, ()) + tuple(role for role in roles if role not in schema.roles.get(kind, ()))
        for kind, roles in other.event_types
    }
    extended = replace(
        schema,
        entity_types=schema.entity_types + tuple(types),
        relation_types=schema.relation_types + tuple(relations),
        event_types=tuple((schema.roles | added).items()),
    )
    return extended, [item.name for item in relations] + types + [kind for kind in added if kind not in schema.roles]


def _constrain(schema: Schema, recipe: ExtractionRecipe) -> Schema:
    if not recipe.typed_ends:
        schema = replace(
            schema,
            relation_types=tuple(replace(item, subject_types=(), object_types=()) for item in schema.relation_types),
        )
    constraints = {name: item.model_dump(exclude_none=True) for name, item in recipe.constraints.items()}
    try:
        return schema.with_constraints(constraints)
    except SchemaError as error:
        raise SchemaError(f"{recipe.source}: constraints: {error}") from None
