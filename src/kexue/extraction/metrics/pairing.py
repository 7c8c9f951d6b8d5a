"""Gold and predicted documents belong together by position; this checks that they do."""

from __future__ import annotations

from collections.abc import Sequence

from kexue.errors import DataError
from kexue.extraction.document import Document


def check_paired(gold: Sequence[Document], predicted: Sequence[Document]) -> None:
    """Raise `DataError` unless both hold the same texts (and ids, where both have one) in the same order."""
    if not gold:
        raise DataError("there are no documents to evaluate")
    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} gold documents but {len(predicted)} predicted ones: one is needed for each")
    for number, (wanted, found) in enumerate(zip(gold, predicted, strict=True), start=1):
        if wanted.id is not None and found.id is not None and wanted.id != found.id:
            raise DataError(
                f"document {number} has id {wanted.id!r} in the gold but {found.id!r} in the predictions: "
                "put both in the same order"
            )
        if wanted.text != found.text:
            raise DataError(_texts_differ(number, wanted, found))


def _texts_differ(number: int, gold: Document, predicted: Document) -> str:
    name = f"document {number}" + (f" (id {gold.id!r})" if gold.id is not None else "")
    place = next(
        (at for at, pair in enumerate(zip(gold.text, predicted.text, strict=False)) if pair[0] != pair[1]),
        min(len(gold.text), len(predicted.text)),
    )
    return (
        f"{name}: the texts differ from character {place}: gold {gold.text[place : place + 20]!r}, "
        f"predicted {predicted.text[place : place + 20]!r}; predict on the very text of the gold"
    )
