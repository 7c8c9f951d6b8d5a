"""Masked language models by name: what `kexue pretrain` trains, and `load_encoder` finds an encoder in."""

from __future__ import annotations

from pathlib import Path

from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from kexue.encoders.gau import GAUConfig, GAUForMaskedLM
from kexue.encoders.loading import (
    check_fit,
    check_folder,
    explained,
    is_preset,
    load_weights,
    quiet_transformers,
    resolve,
)
from kexue.errors import OptionError


def load_masked_lm(name_or_folder: str | Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A masked language model in float32.

    Args:
        name_or_folder: as for `load_encoder`; a name in `PRESETS` is a GAU encoder with random weights.
        tokenizer: the tokenizer of the folder, or any for an encoder from scratch.

    Where a folder holds an encoder alone, the head that predicts begins at random. Raises `CheckpointError` where it
    lacks weights of the encoder, is damaged, or asks for a far larger model than its weights fill, `OptionError` where
    the name leads nowhere or to another kind of model.
    """
    name = str(name_or_folder)
    if is_preset(name):
        config = GAUConfig.preset(name, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
        return GAUForMaskedLM(config)
    name = resolve(name)
    if Path(name).is_dir():
        check_folder(Path(name))
    with explained(name), quiet_transformers():
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
            raise OptionError(
                f"models of type {config.model_type!r} are no masked language models; take another --encoder"
            )
        model = load_weights(name, config, MODEL_FOR_MASKED_LM_MAPPING[type(config)])
    check_fit(name, tokenizer, model)
    return model
