"""A model on gold documents: what it finds, and how far its confidences can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kexue.cards import add_evaluation, write_card
from kexue.errors import CheckpointError
from kexue.extraction.document import Document
from kexue.extraction.judge import calibration_errors, judge
from kexue.manifest import MANIFEST
from kexue.pipelines.extractor import Extractor
from kexue.provenance import source_files


def predict_and_judge(extractor: Extractor, gold: Sequence[Document]) -> tuple[list[Document], dict[str, Any]]:
    """The documents as the model sees them, and {"calibration_error": {kind: {"before", "after"}}}.

    Gold labels that the model does not know are left out of the calibration error (they have no candidates).
    """
    found = list(extractor.candidates(gold))
    predicted: list[Document] = [Document("")] * len(gold)
    for item in found:
        predicted[item.index] = extractor.document(gold[item.index], item)
    judgement = judge(gold, found, extractor.model.head.labels)
    return predicted, {"calibration_error": calibration_errors(judgement, extractor.decision)}


def keep_evaluation(
    model: str | Path, data: str | Path, measured: dict[str, Any], settings: dict[str, Any] | None = None
) -> Path | None:
    """Keep what was measured beside a model in a folder here, and write its card again; returns the card.

    None for a model that has no folder of ours. Raises `CheckpointError` where the folder cannot be written.
    """
    folder = Path(model)
    if not (folder / MANIFEST).is_file():
        return None
    record = {"data": source_files("test", data), **({"settings": settings} if settings else {}), **measured}
    try:
        add_evaluation(folder, record)
        return write_card(folder)
    except PermissionError as error:
        raise CheckpointError(f"{error.filename}: may not be written; --no-card measures without it") from None
