"""Text to hidden states: tokens with exact offsets, windows over long documents, and the encoders."""

from kexue.encoders.gau import PRESETS, GAUConfig, GAUForMaskedLM, GAUModel
from kexue.encoders.loading import build_encoder, load_encoder, load_tokenizer
from kexue.encoders.tokenization import TextTokenizer, Tokens, TokenSpan, token_span
from kexue.encoders.vocabulary import train_tokenizer
from kexue.encoders.windows import WindowBatch, collate, merge_windows, plan_windows

__all__ = [
    "PRESETS",
    "GAUConfig",
    "GAUForMaskedLM",
    "GAUModel",
    "TextTokenizer",
    "TokenSpan",
    "Tokens",
    "WindowBatch",
    "build_encoder",
    "collate",
    "load_encoder",
    "load_tokenizer",
    "merge_windows",
    "plan_windows",
    "token_span",
    "train_tokenizer",
]
