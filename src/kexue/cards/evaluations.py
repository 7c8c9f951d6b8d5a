"""How a model did on files it was not trained on, kept beside it: `evaluations.json`, written by `kexue evaluate`.

It is no part of the model, which keeps its fingerprint however often it is measured. It names the model that was
measured, so that what is left of another one that was in the folder before counts no more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kexue.errors import CheckpointError
from kexue.files import digest, write_json
from kexue.manifest import MANIFEST

EVALUATIONS = "evaluations.json"


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """The evaluations of the model that is in the folder now; raises `CheckpointError` where the file is damaged."""
    path = folder / EVALUATIONS
    if not path.is_file():
        return []
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        evaluations = list(record["evaluations"])
        return evaluations if record["model"] == digest(folder / MANIFEST) else []
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(f"{path}: is damaged ({type(error).__name__}); remove it and evaluate again") from None


def add_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """Keep an evaluation, in place of an earlier one of the same files with the same settings.

    `evaluation` holds "data", as `kexue.provenance.source_files` lists it, "settings", and what was measured.
    """
    others = [item for item in read_evaluations(folder) if _measured(item) != _measured(evaluation)]
    kept = sorted([*others, evaluation], key=_order)
    write_json(folder / EVALUATIONS, {"model": digest(folder / MANIFEST), "evaluations": kept})


def _measured(evaluation: dict[str, Any]) -> Any:
    return [entry.get("sha256", entry["name"]) for entry in evaluation["data"]], evaluation.get("settings")


def _order(evaluation: dict[str, Any]) -> tuple[str, str]:
    return " ".join(entry["name"] for entry in evaluation["data"]), json.dumps(evaluation.get("settings"))
