"""brat standoff (Stenetorp et al. 2012): a folder of name.txt with name.ann beside it, one annotation a line.

    T1<TAB>Drug 0 7<TAB>Aspirin              text-bound; "0 3;9 12" is discontinuous
    R1<TAB>Causes Arg1:T1 Arg2:T2            relation, from Arg1 to Arg2 or in the order written
    E1<TAB>Adverse:T3 Cause:T1 Effect2:T2    event: type and trigger, then roles; a second Effect is Effect2
    *<TAB>Equiv T1 T4                        equivalence
    A1<TAB>Negation E1                       attribute (also M1), with a value or none
    N1<TAB>Reference T1 Drugs:7<TAB>aspirin  normalisation
    #1<TAB>AnnotatorNotes T1<TAB>sure?       note

A trigger becomes the argument "trigger" of its event and is no entity; an argument that is an event stands
for that event's trigger. Lines *, A, M, N and # become `meta`: what they refer to is [list, index], e.g.
["entities", 3]. brat cannot keep a line break inside a span and writes such a span in pieces: pieces that
only line breaks divide are one span again. A span whose surface its offsets do not show is kept as unaligned,
and all gold that leans on it.

Offsets count characters; where surfaces say so, they are taken as UTF-16 units or as counted before LF became
CR LF. The id of a document is its path in the folder without the ending.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.extraction.formats import brat_lines, brat_writing
from kexue.extraction.formats.source import Sample, read_text
from kexue.files import atomic_folder


def detect(sample: Sample) -> bool:
    """Whether the path is a .ann file, a .txt file beside one, or a folder that holds one at any depth."""
    path = sample.path
    if path.is_dir():
        return next(path.rglob("*.ann"), None) is not None
    return path.suffix == ".ann" or (path.suffix == ".txt" and path.with_suffix(".ann").exists())


def read(path: Path) -> Iterator[Document]:
    """Documents of a folder and all below it, in the order of their names, or of one .txt or .ann path.

    A text of a folder without .ann is read as one without annotation. Raises `DataError` with path and line for a
    line of another shape or one that refers to nothing, for an .ann without its text, and for any other file.
    """
    if not path.is_dir():
        if path.exists() and not detect(Sample(path, "", None)):
            raise DataError("is no folder, and no .txt or .ann file with the other beside it", path=path)
        yield _document(path.with_suffix(".txt"), path.stem)
        return
    texts = {file.with_suffix(".txt") for ending in ("*.txt", "*.ann") for file in path.rglob(ending)}
    if not texts:
        raise DataError("holds no .txt and .ann files: there is nothing to read", path=path)
    for text in sorted(texts):
        yield _document(text, text.relative_to(path).with_suffix("").as_posix())


def write(documents: Iterable[Document], path: Path) -> None:
    """Write a new folder of .txt and .ann pairs.

    Whitespace in labels becomes "_", a span without a label is called "entity", line breaks at the ends of a
    span are left out; scores and unaligned gold have no place in the format. Raises `DataError` for a span of
    line breaks only, for two documents of one id, and for a folder that holds something.
    """
    if path.is_dir() and any(path.iterdir()):
        raise DataError("is a folder that holds something, which writing would replace; name a new one", path=path)
    with atomic_folder(path) as folder:
        for number, document in enumerate(documents, start=1):
            target = _target(folder, document.id or f"{number:06d}")
            if target.exists():
                raise DataError(f"two documents have the id {document.id!r}: brat names files by it", path=path)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.write_text(document.text, encoding="utf-8", newline="")
                annotation = brat_writing.render(document)
                target.with_suffix(".ann").write_text(annotation, encoding="utf-8", newline="\n")
            except UnicodeEncodeError as error:
                raise DataError(
                    f"document {number} holds half of a surrogate pair ({error.object[error.start]!r}), which a file "
                    "of brat cannot; write it as native",
                    path=path,
                ) from None


def _document(text: Path, identity: str) -> Document:
    document = Document(read_text(text), id=identity)
    annotation = text.with_suffix(".ann")
    if annotation.exists() and annotation.stat().st_size:
        brat_lines.annotate(document, read_text(annotation), annotation)
    return document


def _target(folder: Path, identity: str) -> Path:
    """The .txt path of an id; parts that would lead out of the folder are made harmless."""
    parts = ["_" if part in ("", ".", "..") else part.replace("\\", "_") for part in identity.split("/")]
    return folder.joinpath(*parts[:-1], parts[-1] + ".txt")
