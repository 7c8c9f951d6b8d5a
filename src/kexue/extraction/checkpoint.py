"""A trained extractor as a folder that transformers can read, and nothing in it that runs code.

    config.json  model.safetensors  tokenizer.json ...     as `from_pretrained` of transformers expects
    kexue.json      format version, decision, recipe, metrics, and the digests of the other files

`kexue.json` is written last: a folder without it, or whose files do not match it, is refused with the reason.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from kexue.encoders.loading import quiet_transformers
from kexue.encoders.tokenization import TextTokenizer
from kexue.errors import CheckpointError
from kexue.extraction.decision import Decision
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from kexue.extraction.schema import Schema
from kexue.files import atomic_folder, write_json
from kexue.version import __version__

MANIFEST = "kexue.json"
FORMAT = (1, 0)  # a folder with a higher first number is refused


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a trained extractor consists of."""

    model: ExtractionModel
    tokenizer: PreTrainedTokenizerBase
    decision: Decision = field(default_factory=Decision)
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    """SHA-256 of the manifest that was read, which holds the digests of all other files."""

    @property
    def schema(self) -> Schema:
        """The labels that the model extracts."""
        return Schema.from_json(self.model.config.schema)

    @property
    def text_tokenizer(self) -> TextTokenizer:
        """The tokenizer as the rest of the package uses it."""
        return TextTokenizer(self.tokenizer)


def save_checkpoint(checkpoint: Checkpoint, folder: str | Path) -> None:
    """Write all files beside their place, then move them in; the manifest comes last."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder / ".writing") as partial:
        with quiet_transformers():
            checkpoint.model.save_pretrained(partial, safe_serialization=True)
            checkpoint.tokenizer.save_pretrained(partial)
        digests = {path.name: _digest(path) for path in sorted(partial.iterdir())}
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in digests:
        (folder / ".writing" / name).replace(folder / name)
    (folder / ".writing").rmdir()
    manifest = {
        "format": list(FORMAT),
        "kexue": __version__,
        "decision": checkpoint.decision.to_json(),
        "recipe": checkpoint.recipe,
        "metrics": checkpoint.metrics,
        "files": digests,
    }
    write_json(folder / MANIFEST, manifest)


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a folder written by `save_checkpoint`.

    Raises `CheckpointError` if a file is missing or damaged or the folder comes from a newer major version.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    _check_files(folder, manifest["files"])
    try:
        with quiet_transformers():
            config = ExtractionConfig.from_pretrained(folder)
            model = ExtractionModel.from_pretrained(folder, config=config, use_safetensors=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        decision = Decision.from_json(manifest["decision"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded: {error}") from error
    return Checkpoint(
        model.eval(),  # type: ignore[no-untyped-call]
        tokenizer,
        decision,
        manifest.get("recipe", {}),
        manifest.get("metrics", {}),
        _digest(folder / MANIFEST),
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder")
    if not path.is_file():
        hint = " (an unfinished training: finish it with `kexue train`)" if (folder / "training").is_dir() else ""
        raise CheckpointError(f"{folder}: has no {MANIFEST}, so it is not a finished kexue model{hint}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        major = int(manifest["format"][0])
        manifest["files"].items()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path}: is damaged ({type(error).__name__}: {error})") from None
    if major > FORMAT[0]:
        raise CheckpointError(
            f"{folder}: was written by kexue {manifest.get('kexue')} in checkpoint format {major}, this kexue "
            f"{__version__} reads up to {FORMAT[0]}: upgrade with `pip install --upgrade kexue`"
        )
    return dict(manifest)


def _check_files(folder: Path, digests: dict[str, str]) -> None:
    for name, digest in digests.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise CheckpointError(f"{folder}: the file {name} is missing; copy the whole folder again")
        if _digest(path) != digest:
            raise CheckpointError(f"{path}: is damaged (its SHA-256 differs from the one in {MANIFEST})")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
