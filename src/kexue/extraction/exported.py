"""An extractor whose encoder is an ONNX file: everything else of it stays what it was.

    encoder.onnx  head.safetensors  config.json  tokenizer.json ...  kexue.json

The border is where the hidden states come out of the encoder. Before it lies nearly all of the work, in operations that
every runtime knows; behind it lie windows laid together, the head, decoding and constraints, which depend on what is in
a text. So every head is exported alike, none loses precision where its scores are made, and a folder can be read by
whatever reads a trained one.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from kexue.encoders.exported import ExportedEncoder
from kexue.encoders.exporting import LARGEST_FILE, compare, export_encoder
from kexue.encoders.int8 import quantize
from kexue.encoders.loading import quiet_transformers
from kexue.extraction.checkpoint import ENCODER, HEAD, Checkpoint

RUNTIMES = ("torch", "onnx", "onnxruntime")


def write_exported(checkpoint: Checkpoint, folder: Path, *, int8: bool = False) -> dict[str, Any]:
    """Write all files but the manifest; returns what it is to say of the encoder under "exported".

    "difference" is the largest difference of a hidden state. Raises `OptionError` where the encoder cannot be exported.
    """
    encoder: Any = checkpoint.model.encoder
    with quiet_transformers():
        checkpoint.model.config.save_pretrained(folder)
        checkpoint.tokenizer.save_pretrained(folder)
    save_file({name: value.contiguous() for name, value in checkpoint.model.head.state_dict().items()}, folder / HEAD)
    difference = _write_int8(encoder, folder) if int8 else export_encoder(encoder, folder / ENCODER)
    return {
        "precision": "int8" if int8 else "float32",
        "difference": difference,
        "from": checkpoint.fingerprint,
        "versions": {name: version(name) for name in RUNTIMES},
    }


def _write_int8(encoder: Any, folder: Path) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        export_encoder(encoder, Path(name) / ENCODER)
        quantize(Path(name) / ENCODER, folder / ENCODER, largest=LARGEST_FILE)
    return compare(encoder, ExportedEncoder(folder / ENCODER, encoder.config))
