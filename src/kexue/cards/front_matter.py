"""The YAML that stands first in a card, by which the Hugging Face hub files a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from kexue.cards.facts import Facts

TASKS = {
    "extractor": ("token-classification", "Entities and relations"),
    "generator": ("unconditional-image-generation", "Images"),
    "pre-trained encoder": ("fill-mask", "Masked language modelling"),
}
"""The hub's word for the task, of which it has none for relations, and ours."""
METRICS = {
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "Accuracy",
    "perplexity": "Perplexity",
}
FRECHET = "fid"


def front_matter(facts: Facts) -> dict[str, Any]:
    """Its keys and values; what is not known is left out."""
    origin = facts.provenance
    sets = sorted({entry["set"] for entry in origin.get("data", ()) if "set" in entry} | _of_hub(origin))
    results = list(_results(facts))
    values = {
        "language": origin.get("languages"),
        "library_name": _library(facts),
        "pipeline_tag": TASKS[facts.kind][0],
        "tags": _tags(facts),
        "base_model": facts.base_model,
        "datasets": sets,
        "metrics": sorted({metric["type"] for result in results for metric in result["metrics"]}),
        "model-index": [{"name": facts.name, "results": results}] if results else None,
    }
    return {key: value for key, value in values.items() if value}


def _library(facts: Facts) -> str:
    """The library that a person loads the model with."""
    if facts.kind == "generator" and "model_index.json" in facts.content["files"]:
        return "diffusers"
    ours = facts.kind != "pre-trained encoder" or facts.config.get("model_type") == "gau"
    return "kexue" if ours else "transformers"


def _tags(facts: Facts) -> list[str]:
    if facts.kind == "generator":
        return ["kexue", "diffusion", "image-generation"]
    if facts.kind == "pre-trained encoder":
        return ["kexue", "encoder", str(facts.config.get("model_type"))]
    schema = facts.config.get("schema") or {}
    offered = (
        ("relation-extraction", schema.get("relation_types")),
        ("named-entity-recognition", schema.get("entity_types")),
        ("event-extraction", schema.get("event_types")),
    )
    head = str(facts.config.get("head", "gplinker"))
    return ["kexue", "information-extraction", *(tag for tag, labels in offered if labels), head]


def _of_hub(origin: dict[str, Any]) -> set[str]:
    names = [str(entry["name"]) for entry in origin.get("data", ())]
    return {name.removeprefix("hub:").split(":")[0] for name in names if name.startswith("hub:")}


def _results(facts: Facts) -> Iterator[dict[str, Any]]:
    """The entries of the model index: what was measured at the training, then on other files."""
    dev = [entry for entry in facts.provenance.get("data", ()) if entry["role"] == "dev"]
    train = [entry for entry in facts.provenance.get("data", ()) if entry["role"] != "dev"]
    name = dev[0]["name"] if dev else f"held out of {train[0]['name']}" if train else "dev"
    measured = list(_measured(facts.kind, facts.dev_report))
    if measured:
        yield _result(facts.kind, name, dev[:1], "validation", measured)
    for evaluation in facts.evaluations:
        measured = list(_measured(facts.kind, evaluation))
        if measured:
            yield _result(
                facts.kind, evaluation["data"][0]["name"], evaluation["data"], _split(facts, evaluation), measured
            )


def _split(facts: Facts, evaluation: dict[str, Any]) -> str:
    """What the hub calls the files of an evaluation; images are compared with those trained on too, as a test."""
    roles = {role for entry in evaluation["data"] for role in facts.used_for(entry)}
    if facts.kind == "generator" or roles == {"test"}:
        return "test"
    return "validation" if roles <= {"test", "dev"} else "train"


def _result(
    kind: str, name: str, data: Iterable[dict[str, Any]], split: str, metrics: list[dict[str, Any]]
) -> dict[str, Any]:
    (task, task_name), first = TASKS[kind], next(iter(data), {})
    slug = re.sub(r"[^\w.-]+", "-", first.get("set") or name.split(".")[0]).strip("-.") or "unnamed"
    dataset: dict[str, Any] = {"type": slug, "name": name, "split": split}
    if "sha256" in first:
        dataset["args"] = {"sha256": first["sha256"]}
    return {"task": {"type": task, "name": task_name}, "dataset": dataset, "metrics": metrics}


def _measured(kind: str, report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if kind == "generator":
        if "frechet_distance" in report:
            name = f"Frechet distance ({report.get('features')})"
            yield {"type": FRECHET, "name": name, "value": round(report["frechet_distance"], 4)}
        return
    for part in ("relations", "entities", "events"):
        scores = report.get(part, {})
        for key in (key for key in ("f1", "precision", "recall") if key in scores):
            yield {"type": key, "name": f"{METRICS[key]} of {part}", "value": round(scores[key], 4)}
    for key in ("accuracy", "perplexity"):
        if key in report:
            yield {"type": key, "name": METRICS[key], "value": round(report[key], 4)}
