"""A model on gold documents: what it finds, and how far its confidences can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kexue.extraction.document import Document
from kexue.extraction.judge import calibration_errors, judge
from kexue.pipelines.extractor import Extractor


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
