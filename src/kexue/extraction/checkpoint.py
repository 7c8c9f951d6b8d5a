"""A trained extractor as a folder that transformers can read, and nothing in it that runs code.

    config.json  model.safetensors  tokenizer.json ...     as `from_pretrained` of transformers expects
    kexue.json      format version, decision, recipe, metrics, provenance, and the digests of the other files
    README.md       the model card, for people

`kexue.json` is written last: a folder without it, or whose files do not match it, is refused with the reason. Where it
says "exported", the weights are in two files instead, of which transformers reads neither: encoder.onnx and
head.safetensors (`exported`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from kexue import manifest
from kexue.cards import model_folder
from kexue.encoders.exported import ExportedEncoder
from kexue.encoders.loading import check_fit, quiet_transformers
from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.windows import collate
from kexue.errors import CheckpointError, OptionError
from kexue.extraction.decision import Decision
from kexue.extraction.model import ExtractionConfig, ExtractionModel, encoder_config
from kexue.extraction.schema import Schema
from kexue.files import digest
from kexue.foreign import check_numbers, filled_by, read_config, refusing, weight_files
from kexue.manifest import MANIFEST

KIND = "extractor"
PROBE = "a b"
FORMAT = (1, 1)  # a folder with a higher first number is refused
ENCODER, HEAD = "encoder.onnx", "head.safetensors"
"""Files of an exported model."""


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
    provenance: dict[str, Any] = field(default_factory=dict)
    """What it was made of, on what and when (`kexue.provenance`)."""
    exported: dict[str, Any] = field(default_factory=dict)
    """How the encoder was exported and from which model; empty for one in PyTorch."""

    @property
    def schema(self) -> Schema:
        """The labels that the model extracts."""
        return Schema.from_json(self.model.config.schema)

    @property
    def text_tokenizer(self) -> TextTokenizer:
        """The tokenizer as the rest of the package uses it."""
        return TextTokenizer(self.tokenizer)


def save_checkpoint(checkpoint: Checkpoint, folder: str | Path) -> None:
    """Write all files beside their place, then move them in; the manifest comes last, and then the model card.

    Raises `OptionError` for an exported model, whose encoder has no weights to write.
    """
    if checkpoint.exported:
        raise OptionError("an exported model cannot be saved: copy its folder, or export again what it was made from")
    with model_folder(folder, describe(checkpoint), FORMAT) as partial, quiet_transformers():
        checkpoint.model.save_pretrained(partial, safe_serialization=True)
        checkpoint.tokenizer.save_pretrained(partial)


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the manifest of a folder says of it."""
    return {
        "kind": KIND,
        "decision": checkpoint.decision.to_json(),
        "recipe": checkpoint.recipe,
        "metrics": checkpoint.metrics,
        "provenance": checkpoint.provenance,
    }


def read_content(folder: Path) -> dict[str, Any]:
    """What the manifest of a folder says, whose files were compared with it; raises as `load_checkpoint` does."""
    content = manifest.read(folder, FORMAT)
    if content.get("kind", KIND) != KIND:
        raise CheckpointError(f"{folder}: holds a {content['kind']}, not an {KIND}")
    return content


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a folder written by `save_checkpoint`.

    Raises `CheckpointError` if a file is missing or damaged or the folder comes from a newer major version.
    """
    folder = Path(folder)
    content = read_content(folder)
    with refusing(folder), quiet_transformers():
        read_config(folder / "config.json")  # before anything of transformers looks at it
        config = ExtractionConfig.from_pretrained(folder)
        model = load_exported(folder, config) if "exported" in content else _load_trained(folder, config)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        checkpoint = Checkpoint(
            model,
            tokenizer,
            Decision.from_json(content["decision"]),
            dict(content.get("recipe", {})),
            dict(content.get("metrics", {})),
            digest(folder / MANIFEST),
            dict(content.get("provenance", {})),
            dict(content.get("exported", {})),
        )
        if not checkpoint.exported:  # an exported encoder shows no embeddings
            check_fit(str(folder), tokenizer, cast(PreTrainedModel, checkpoint.model.encoder))
        _try_out(checkpoint)
    return checkpoint


def _try_out(checkpoint: Checkpoint) -> None:
    """Extract from a short text, so that a configuration that lets no text through is noticed here."""
    tokenizer, config = checkpoint.text_tokenizer, checkpoint.model.config
    batch = collate(tokenizer([PROBE]), tokenizer, window=config.window, overlap=config.overlap)
    checkpoint.model.extract(batch, floor=checkpoint.decision.floor)


def load_exported(folder: Path, config: ExtractionConfig) -> ExtractionModel:
    """The model whose encoder is an ONNX file, from the two files of its weights."""
    model = ExtractionModel(config, ExportedEncoder(folder / ENCODER, encoder_config(config)))
    model.head.load_state_dict(load_file(folder / HEAD))
    check_numbers(model, folder / HEAD)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def _load_trained(folder: Path, config: ExtractionConfig) -> ExtractionModel:
    files = weight_files(folder)
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
    model.eval()  # type: ignore[no-untyped-call]
    return model
