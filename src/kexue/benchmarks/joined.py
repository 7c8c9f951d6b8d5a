"""Does a model of sentences find the same facts when its sentences stand in one text?

    python -m kexue.benchmarks.joined MODEL [DATA] [--sizes 1 2 5 40] [--num 240] [--anywhere]

The first --num annotated texts of DATA (dev of the demo data where left out) are joined, so many to a text with a
space between them, and strict F1 is measured on what comes out. The same facts are asked for in every row: a model
that is as good on documents as on sentences has the same F1 in all. With --anywhere relations are looked for across
any number of sentences, and not as far only as the training data went.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from kexue.benchmarks.measuring.options import bare_parser
from kexue.benchmarks.measuring.report import Report
from kexue.data import demo_path
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import read_documents
from kexue.extraction.metrics import evaluate
from kexue.pipelines.extractor import Extractor

COLUMNS = ("joined", "texts", "relations P", "R", "F1", "entities F1", "texts cut")


def join_documents(documents: Sequence[Document]) -> Document:
    """One text with a space between the documents, annotated as they are."""
    joined = Document("")
    for document in documents:
        offset = len(joined.text) + 1 if joined.text else 0
        joined.text = f"{joined.text} {document.text}" if joined.text else document.text
        joined.entities += [_moved(span, offset) for span in document.entities]
        joined.relations += [_moved_ends(fact, offset) for fact in document.relations]
        joined.unaligned += document.unaligned
    return joined


def _moved(span: Span, by: int) -> Span:
    pieces = tuple((start + by, end + by) for start, end in span.fragments)
    return replace(span, start=span.start + by, end=span.end + by, fragments=pieces)


def _moved_ends(fact: Relation, by: int) -> Relation:
    return replace(fact, subject=_moved(fact.subject, by), object=_moved(fact.object, by))


def measure(extractor: Extractor, documents: Sequence[Document], size: int) -> tuple[object, ...]:
    """A row of the table: `size` documents to a text."""
    gold = [join_documents(part) for part in _parts(documents, size)]
    found = extractor.extract([document.text for document in gold])
    scores = evaluate(gold, found, bootstrap_samples=0).to_json()
    relations = [f"{100 * scores['relations'][name]:.1f}" for name in ("precision", "recall", "f1")]
    cut = sum("cut" in document.meta for document in found)
    return size, len(gold), *relations, f"{100 * scores['entities']['f1']:.1f}", cut


def _parts(documents: Sequence[Document], size: int) -> Iterator[Sequence[Document]]:
    return (documents[first : first + size] for first in range(0, len(documents), size))


def main(arguments: list[str]) -> None:
    """Measure a model on texts of more and more sentences."""
    parser = bare_parser("joined", __doc__)
    parser.add_argument("model", help="folder of a trained extractor")
    parser.add_argument("data", nargs="?", type=Path, default=demo_path("phee", "dev"), help="annotated sentences")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 5, 40], help="texts that are joined to one")
    parser.add_argument("--num", type=int, default=240, help="texts in all (default 240)")
    parser.add_argument("--anywhere", action="store_true", help="look across any number of sentences")
    parser.add_argument("--device", help="cpu or cuda; the best there is where left out")
    options = parser.parse_args(arguments)
    extractor = Extractor.from_pretrained(options.model, device=options.device)
    if options.anywhere:
        extractor.model.config.sentence_distance = None
    documents = list(islice(read_documents(options.data).documents, options.num))
    Report().table(COLUMNS, [measure(extractor, documents, size) for size in options.sizes])


if __name__ == "__main__":
    main(sys.argv[1:])
