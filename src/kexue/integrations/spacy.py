"""A spaCy component: what an extractor finds, as entities, span groups and relations of a `Doc`.

    nlp = spacy.blank("en")
    nlp.add_pipe("kexue", config={"model": "runs/mine"})
    for relation in nlp("Aspirin caused a rash.")._.relations:
        relation.subject, relation.predicate, relation.object, relation.score

spaCy finds the factory through an entry point, so nothing of kexue has to be imported. The model counts characters and
spaCy tokens: what does not begin and end with a token is widened to whole tokens, or as `alignment` says, and what
fits no token stays in `doc._.unaligned`. All that was found stays in `doc._.extraction`, in characters.

What was found is stored in `doc.user_data` as JSON, and the attributes are read from there: so they survive `DocBin`,
`to_bytes`, worker processes, and tokens that are merged or split afterwards.
"""

# No `from __future__ import annotations`: spaCy reads the types of a factory's arguments as they stand.

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import srsly
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, SpanGroup
from spacy.tokens import Span as TokenSpan
from spacy.util import ensure_path, filter_spans, minibatch

from kexue.errors import CheckpointError, OptionError
from kexue.extraction.document import Document, Span

if TYPE_CHECKING:  # spaCy imports this module whether or not somebody uses the component; torch can wait
    from kexue.pipelines.extractor import Extractor

STORED = "kexue"
"""Where in `doc.user_data` it is kept what was found."""
UNTYPED = "entity"
"""The label of an entity that has no type, which spaCy does not allow."""
Alignment = Literal["strict", "contract", "expand"]
Existing = Literal["overwrite", "keep", "replace"]


class DocRelation(NamedTuple):
    """A fact: `subject` stands in relation `predicate` to `object`, with a confidence in [0, 1]."""

    subject: TokenSpan
    predicate: str
    object: TokenSpan
    score: float | None


@dataclass(frozen=True)
class Annotating:
    """What becomes of what was found.

    Attributes:
        ents: whether entities are written to `doc.ents`, the longest of those that overlap.
        spans_key: the group in `doc.spans` that holds all entities, nested ones too; None for no group.
        existing: what becomes of entities that another component found: "overwrite" gives way where ours overlap
            them, "keep" leaves them and adds ours between them, "replace" removes them all.
        alignment: "expand" widens to all tokens that are touched, "contract" narrows to those wholly inside,
            "strict" takes only what begins and ends with a token.
    """

    ents: bool = True
    spans_key: str | None = STORED
    existing: Existing = "overwrite"
    alignment: Alignment = "expand"

    def __call__(self, doc: Doc, document: Document) -> Doc:
        """The doc, which now holds what the document says of its text."""
        record = document.to_json()
        del record["text"]
        doc.user_data[STORED] = json.dumps({"alignment": self.alignment, **record}, ensure_ascii=False)
        found = [(_align(doc, span, self.alignment), span.score) for span in document.entities]
        placed = [(span, score) for span, score in found if span is not None]
        spans = [span for span, _ in placed]
        if self.spans_key is not None:
            scores = [score for _, score in placed]
            doc.spans[self.spans_key] = SpanGroup(doc, name=self.spans_key, spans=spans, attrs={"scores": scores})
        if self.ents:
            doc.ents = self._together(list(doc.ents), filter_spans(spans))
        return doc

    def _together(self, theirs: list[TokenSpan], ours: list[TokenSpan]) -> list[TokenSpan]:
        """Entities of both without overlap."""
        if self.existing == "replace":
            return ours
        first, second = (ours, theirs) if self.existing == "overwrite" else (theirs, ours)
        taken = {index for span in first for index in range(span.start, span.end)}
        return [*first, *(span for span in second if taken.isdisjoint(range(span.start, span.end)))]


@dataclass(frozen=True)
class Loading:
    """How a model is read from its folder, and which of its facts are reported."""

    threshold: float | None = None
    precision: float | None = None
    device: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __call__(self, folder: str) -> "Extractor":
        """The model of a folder or hub id, with its own thresholds."""
        from kexue.pipelines.extractor import Extractor

        return Extractor.from_pretrained(folder, device=self.device, dtype=self.dtype)

    def decide(self, extractor: "Extractor") -> "Extractor":
        """The same model with the thresholds that were asked for."""
        if self.precision is not None:
            extractor = extractor.with_precision(self.precision)
        return extractor if self.threshold is None else extractor.with_threshold(self.threshold)


class KexuePipe(Pipe):
    """Annotates docs with what an extractor finds.

    The model is read when the first text comes, so that a pipeline that carries its own copy of the model can be
    loaded where the folder of its configuration is not.
    """

    def __init__(self, name: str, model: str, loading: Loading, annotating: Annotating) -> None:
        self.name = name
        self.model = model
        self.loading = loading
        self.annotating = annotating
        self._stored: Extractor | None = None

    @property
    def stored(self) -> "Extractor":
        """The model as it is stored; raises `CheckpointError` where its folder is missing, damaged or no extractor."""
        if self._stored is None:
            self._stored = self.loading(self.model)
        return self._stored

    @property
    def extractor(self) -> "Extractor":
        """The model that annotates."""
        return self.loading.decide(self.stored)

    @property
    def labels(self) -> tuple[str, ...]:
        """The entity types of the model; none before it is read, for spaCy asks while it loads a pipeline."""
        return () if self._stored is None else tuple(self._stored.schema.entity_types)

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one doc."""
        return self.annotating(doc, self.extractor(doc.text))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate docs in their order; `batch_size` of them are sorted by length and batched."""
        for docs in minibatch(stream, size=batch_size):
            try:
                documents = self.extractor.extract([doc.text for doc in docs])
                annotated = [self.annotating(doc, document) for doc, document in zip(docs, documents, strict=True)]
            except Exception as error:  # spaCy's own way: its default handler raises it again
                self.get_error_handler()(self.name, self, docs, error)
            else:
                yield from annotated

    # --- with the pipeline ---

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write a copy of the model, as a folder that `Extractor.from_pretrained` reads too."""
        self.stored.save_pretrained(ensure_path(path))

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "KexuePipe":
        """Take the model that `to_disk` wrote."""
        self._stored = self.loading(str(path))
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The files of the model."""
        with TemporaryDirectory() as folder:
            self.stored.save_pretrained(folder)
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return bytes(srsly.msgpack_dumps(files))

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "KexuePipe":
        """Take the model whose files these are; raises `CheckpointError` if they are none."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            for file, content in srsly.msgpack_loads(data).items():
                path = folder / file
                if not path.resolve().is_relative_to(folder.resolve()):
                    raise CheckpointError(f"the bytes name a file outside the model: {file!r}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._stored = self.loading(name)
        return self


@Language.factory(
    "kexue",
    assigns=["doc.ents", "doc.spans", "doc._.relations"],
    default_config={
        "model": None,
        "ents": True,
        "spans_key": STORED,
        "existing": "overwrite",
        "alignment": "expand",
        "threshold": None,
        "precision": None,
        "device": None,
        "dtype": "float32",
        "extension": "relations",
    },
)
def make_kexue(
    nlp: Language,
    name: str,
    model: str | None,
    ents: bool,
    spans_key: str | None,
    existing: Existing,
    alignment: Alignment,
    threshold: float | None,
    precision: float | None,
    device: str | None,
    dtype: Literal["float32", "bfloat16"],
    extension: str,
) -> KexuePipe:
    """The component of a pipeline; raises `OptionError` without a model, or where an attribute belongs to others."""
    if not model:
        raise OptionError(f'the component {name!r} needs a model: nlp.add_pipe("kexue", config={{"model": FOLDER}})')
    register(extension)
    loading = Loading(threshold, precision, device, dtype)
    return KexuePipe(name, model, loading, Annotating(ents, spans_key, existing, alignment))


# --- what a doc says ---


def extraction(doc: Doc) -> Document | None:
    """All that was found, in characters; None where no model looked.

    Raises `DataError` for a part of a doc that took the data of the whole with it (`span.as_doc`).
    """
    stored = doc.user_data.get(STORED)
    return None if stored is None else Document.from_json({**json.loads(stored), "text": doc.text})


def relations(doc: Doc) -> list[DocRelation]:
    """The relations both of whose ends fit tokens."""
    found = []
    for relation in _document(doc).relations:
        subject, object_ = (_align(doc, end, _alignment(doc)) for end in (relation.subject, relation.object))
        if subject is not None and object_ is not None:
            found.append(DocRelation(subject, relation.predicate, object_, relation.score))
    return found


def unaligned(doc: Doc) -> list[Span]:
    """The entities and ends of relations that fit no tokens, in characters; `len` of it counts them."""
    document = _document(doc)
    ends = [end for relation in document.relations for end in (relation.subject, relation.object)]
    spans = dict.fromkeys([*document.entities, *ends])
    return [span for span in spans if _align(doc, span, _alignment(doc)) is None]


def register(name: str = "relations") -> None:
    """Give every `Doc` the attributes; raises `OptionError` where another library has one of the names already."""
    for own, getter in _attributes(name).items():
        if _belongs_to_others(own, getter):
            raise OptionError(
                f"doc._.{own} belongs to another component; give the relations another name: "
                'nlp.add_pipe("kexue", config={"extension": "kexue_relations", ...})'
            )
        Doc.set_extension(own, getter=getter, force=True)


def _attributes(name: str = "relations") -> dict[str, Callable[[Doc], Any]]:
    return {name: relations, "extraction": extraction, "unaligned": unaligned}


def _belongs_to_others(name: str, getter: Callable[[Doc], Any]) -> bool:
    return bool(Doc.has_extension(name)) and Doc.get_extension(name)[2] is not getter


def _document(doc: Doc) -> Document:
    return extraction(doc) or Document(doc.text)


def _alignment(doc: Doc) -> Alignment:
    stored = doc.user_data.get(STORED)
    alignment: Alignment = "expand" if stored is None else json.loads(stored)["alignment"]
    return alignment


def _align(doc: Doc, span: Span, alignment: Alignment) -> TokenSpan | None:
    """The tokens of a span of characters, or None where they do not fit."""
    found = doc.char_span(span.start, span.end, label=span.label or UNTYPED, alignment_mode=alignment)
    return None if found is None or found.start >= found.end else found  # white space alone gives a span of no tokens


if not any(_belongs_to_others(name, getter) for name, getter in _attributes().items()):
    register()  # so that docs that are read from a file show what they hold, without a component
