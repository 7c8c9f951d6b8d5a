"""A trained extractor as a folder that transformers can read, and nothing in it that runs code.

    config.json  model.safetensors  tokenizer.json ...     as `from_pretrained` of transformers expects
    kexue.json      format version, decision, recipe, metrics, and the digests of the other files

`kexue.json` is written last: a folder without it, or whose files do not match it, is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from kexue import manifest
from kexue.encoders.loading import check_fit, quiet_transformers
from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.windows import collate
from kexue.errors import CheckpointError
from kexue.extraction.decision import Decision
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from kexue.extraction.schema import Schema
from kexue.files import atomic_folder
from kexue.foreign import check_numbers, filled_by, read_config, refusing, weight_files
from kexue.manifest import MANIFEST

KIND = "extractor"
PROBE = "a b"
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
    with atomic_folder(folder / ".writing") as partial, quiet_transformers():
        checkpoint.model.save_pretrained(partial, safe_serialization=True)
        checkpoint.tokenizer.save_pretrained(partial)
    content = {
        "kind": KIND,
        "decision": checkpoint.decision.to_json(),
        "recipe": checkpoint.recipe,
        "metrics": checkpoint.metrics,
    }
    manifest.install(folder / ".writing", folder, content, FORMAT)


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a folder written by `save_checkpoint`.

    Raises `CheckpointError` if a file is missing or damaged or the folder comes from a newer major version.
    """
    folder = Path(folder)
    content = manifest.read(folder, FORMAT)
    if content.get("kind", KIND) != KIND:
        raise CheckpointError(f"{folder}: holds a {content['kind']}, not an {KIND}")
    with refusing(folder), quiet_transformers():
        read_config(folder / "config.json")  # before anything of transformers looks at it
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        checkpoint = Checkpoint(
            _load_model(folder).eval(),  # type: ignore[no-untyped-call]
            tokenizer,
            Decision.from_json(content["decision"]),
            dict(content.get("recipe", {})),
            dict(content.get("metrics", {})),
            manifest.digest(folder / MANIFEST),
        )
        check_fit(str(folder), tokenizer, checkpoint.model.encoder)
        _try_out(checkpoint)
    return checkpoint


def _try_out(checkpoint: Checkpoint) -> None:
    """Extract from a short text, so that a configuration that lets no text through is noticed here."""
    tokenizer, config = checkpoint.text_tokenizer, checkpoint.model.config
    batch = collate(tokenizer([PROBE]), tokenizer, window=config.window, overlap=config.overlap)
    checkpoint.model.extract(batch, floor=checkpoint.decision.floor)


def _load_model(folder: Path) -> ExtractionModel:
    files = weight_files(folder)
    config = ExtractionConfig.from_pretrained(folder)
    with filled_by(files):
        loaded: Any = ExtractionModel.from_pretrained(
            folder, config=config, use_safetensors=True, output_loading_info=True
        )
    model, report = cast(tuple[ExtractionModel, dict[str, Any]], loaded)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[kind]:
            raise CheckpointError(
                f"{files[0]}: does not fit config.json ({kind.replace('_', ' ')}, such as {min(report[kind])!r}); "
                "copy the whole folder again"
            )
    check_numbers(model, files[0])
    return model
