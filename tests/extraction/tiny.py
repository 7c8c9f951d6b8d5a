"""An untrained model of a few thousand weights with its tokenizer, as a checkpoint."""

from __future__ import annotations

import torch

from kexue.encoders.gau import GAUConfig, GAUModel
from kexue.encoders.vocabulary import train_tokenizer
from kexue.extraction.checkpoint import Checkpoint
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from kexue.extraction.schema import RelationType, Schema

TEXTS = (
    "Marie Curie was born in Warsaw.",
    "居里夫人出生于华沙。",
    "Pierre Curie was born in Paris and died in Paris.",
    "Nothing.",
)
SCHEMA = Schema(
    ("person", "place"),
    (RelationType("born in", ("person",), ("place",)), RelationType("died in", ("person",), ("place",))),
)


def tiny_checkpoint(schema: Schema = SCHEMA, *, window: int = 254, overlap: int = 64) -> Checkpoint:
    """Two layers x 32, random weights, the same each time."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS * 3, vocab_size=300)
    encoder = GAUModel(GAUConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, key_dim=16))
    config = ExtractionConfig(
        encoder=encoder.config.to_dict(), schema=schema.to_json(), head_dim=16, window=window, overlap=overlap
    )
    return Checkpoint(ExtractionModel(config, encoder).eval(), tokenizer)
