"""spaCy's DocBin (.spacy, v3): entities in `doc.ents` and `doc.spans`, relations as in spaCy's tutorial.

The tutorial on relation extraction keeps gold in `doc._.rel`, which a DocBin stores as user data:

    {(first token of subject, first token of object): {label: 0.0 or 1.0}}

A pair with a value of at least 0.5 is a relation; a value below 1 is its score. Needs the extra `spacy`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats.records import named
from kexue.extraction.formats.source import Sample
from kexue.files import expansion_limit

if TYPE_CHECKING:
    from spacy.tokens import Doc

CHUNK = 2**24  # bytes decompressed at once
_RELATIONS = ("._.", "rel", None, None)  # where spaCy keeps the custom attribute `rel` of a Doc


def detect(sample: Sample) -> bool:
    """Whether the file is named .spacy: its content is compressed and starts like any other."""
    return sample.path.suffix == ".spacy"


def read(path: Path) -> Iterator[Document]:
    """Documents of a DocBin; spans of all groups join the entities, each span once.

    Raises `OptionError` without spaCy, `DataError` for a file that spaCy cannot read.
    """
    for number, doc in enumerate(_docs(path), start=1):
        try:
            yield named(_document(doc))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise DataError(
                f"document {number}: its spans must lie in it, and doc._.rel go from (token, token), the first tokens "
                "of two entities, to {label: value}",
                path=path,
            ) from None


def _docs(path: Path) -> Iterator[Doc]:
    try:
        from spacy.tokens import DocBin
        from spacy.vocab import Vocab
    except ImportError:
        raise OptionError("reading .spacy files needs spaCy: pip install 'kexue[spacy]'") from None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None
    if not data:
        raise DataError("is empty: there is nothing to read", path=path)
    _check_expansion(data, path)
    try:
        yield from DocBin().from_bytes(data).get_docs(Vocab())
    except Exception as error:  # zlib, msgpack and spaCy each raise their own for bytes that are not theirs
        raise DataError(
            f"is not a whole spaCy DocBin ({error}); write it with DocBin(...).to_disk again", path=path
        ) from None


def _check_expansion(data: bytes, path: Path) -> None:
    """Raise `DataError` where the bytes expand to more than those of any text; damage is left for spaCy to find."""
    limit, total = expansion_limit(path), 0
    decompressor = zlib.decompressobj()
    try:
        while data and total <= limit:
            total += len(decompressor.decompress(data, CHUNK))
            data = decompressor.unconsumed_tail
    except zlib.error:
        return
    if total > limit:
        raise DataError(f"expands to more than {limit:,} bytes, which is no text's ratio", path=path)


def _document(doc: Doc) -> Document:
    document = Document(doc.text)
    groups = [doc.ents, *doc.spans.values()]
    spans = [Span(span.start_char, span.end_char, span.label_) for group in groups for span in group]
    document.entities = list(dict.fromkeys(spans))
    by_token = {ent.start: Span(ent.start_char, ent.end_char, ent.label_) for group in groups for ent in group}
    by_token |= {ent.start: Span(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
    user_data: dict[Any, Any] = doc.user_data
    for (subject, object), labels in (user_data.get(_RELATIONS) or {}).items():
        document.relations += [
            Relation(by_token[subject], label, by_token[object], float(value) if value < 1 else None)
            for label, value in labels.items()
            if value >= 0.5
        ]
    return document
