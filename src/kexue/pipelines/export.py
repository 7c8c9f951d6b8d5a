"""A trained extractor to a folder that onnxruntime runs, its thresholds chosen anew where dev is given.

int8 moves scores a little, so confidences and thresholds that were chosen in float32 fit a little less; chosen again on
the same dev documents they fit as before, and what int8 cost is stated: F1 on dev of both models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kexue.cards import model_folder
from kexue.errors import OptionError
from kexue.extraction.checkpoint import ENCODER, FORMAT, Checkpoint, describe, load_checkpoint, load_exported
from kexue.extraction.decision import decide
from kexue.extraction.document import Document
from kexue.extraction.exported import write_exported
from kexue.extraction.judge import calibration_errors, judge
from kexue.extraction.links import close_gold
from kexue.extraction.metrics import Evaluation, evaluate
from kexue.extraction.schema import Schema
from kexue.manifest import MANIFEST
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.hub import local_folder

KINDS = ("entities", "relations", "events")
Scores = dict[str, float]


@dataclass(frozen=True)
class Exported:
    """What was written, and what it is worth."""

    folder: Path
    precision: str
    difference: float
    """The largest difference of a hidden state from PyTorch's."""
    bytes: int
    """Size of the encoder's file."""
    before: Scores
    """F1 on dev of the model in PyTorch by kind of fact, with its own thresholds; empty without dev."""
    after: Scores
    """And of the exported one, with the thresholds chosen for it."""


def export_extractor(
    model: str | Path,
    output: str | Path,
    *,
    int8: bool = False,
    dev: Sequence[Document] = (),
    overwrite: bool = False,
) -> Exported:
    """Write the folder `output`, from which `Extractor.from_pretrained` loads as from any other.

    `int8` makes the encoder's products integers; `dev` are the annotated documents on which confidences and thresholds
    are chosen anew. Raises `OptionError` where the model cannot be exported or the folder holds another model.
    """
    source, folder = local_folder(model), Path(output)
    checkpoint = load_checkpoint(source)
    _refuse(checkpoint, source, folder, overwrite=overwrite)
    content = describe(checkpoint)
    with model_folder(folder, content, FORMAT) as partial:
        said = content["exported"] = write_exported(checkpoint, partial, int8=int8)
        size = sum(path.stat().st_size for path in partial.glob(f"{ENCODER}*"))
        before, after = _choose(checkpoint, partial, content, dev) if dev else ({}, {})
    return Exported(folder, said["precision"], said["difference"], size, before, after)


def _refuse(checkpoint: Checkpoint, source: Path, folder: Path, *, overwrite: bool) -> None:
    if checkpoint.exported:
        raise OptionError(f"{source} is an exported model already; export the one it was made from")
    if folder.resolve() == source.resolve():
        raise OptionError(f"{folder} is the model itself; choose another folder to export to")
    if (folder / MANIFEST).exists() and not overwrite:
        raise OptionError(f"{folder} already holds a model; choose another folder or --overwrite it")


def _choose(
    checkpoint: Checkpoint, folder: Path, content: dict[str, Any], dev: Sequence[Document]
) -> tuple[Scores, Scores]:
    """Choose the decision on dev and put it into the manifest, with F1 of both models, which are returned."""
    exported = replace(checkpoint, model=load_exported(folder, checkpoint.model.config), exported=content["exported"])
    extractor = Extractor(exported)
    found, labels = list(extractor.candidates(dev)), extractor.model.head.labels
    judgement = judge(dev, found, labels)
    decision = decide(judgement.entities, judgement.relations, labels.predicates, floor=checkpoint.decision.floor)
    decided = Extractor(replace(exported, decision=decision))
    by_index = {item.index: decided.document(dev[item.index], item) for item in found}
    documents = [by_index[index] for index in range(len(dev))]
    evaluation = evaluate(close_gold(dev, extractor.schema), documents)
    measured = {
        "dev": judgement.f1(),
        "dev_report": evaluation.summary(),
        "dev_calibration_error": calibration_errors(judgement, decision),
    }
    content |= {"decision": decision.to_json(), "metrics": checkpoint.metrics | measured}
    before = f1_of(dev, Extractor(checkpoint, device="cpu").extract(dev), extractor.schema)
    after = _f1(evaluation)
    content["exported"] |= {"dev": {"before": before, "after": after}}
    return before, after


def f1_of(gold: Sequence[Document], predicted: Sequence[Document], schema: Schema) -> Scores:
    """Micro F1 by kind of fact, of those kinds that the gold has."""
    return _f1(evaluate(close_gold(gold, schema), predicted, bootstrap_samples=0))


def _f1(evaluation: Evaluation) -> Scores:
    measured = evaluation.to_json()
    return {kind: measured[kind]["f1"] for kind in KINDS if kind in measured and measured[kind]["gold"]}
