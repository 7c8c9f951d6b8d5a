"""Masked language models by name: what `kexue pretrain` trains, and `load_encoder` finds an encoder in."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from kexue.encoders.gau import GAUConfig, GAUForMaskedLM
from kexue.encoders.loading import check_fit, check_folder, explained, is_preset, quiet_transformers, resolve
from kexue.errors import CheckpointError, OptionError


def load_masked_lm(name_or_folder: str | Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A masked language model in float32.

    Args:
        name_or_folder: as for `load_encoder`; a name in `PRESETS` is a GAU encoder with random weights.
        tokenizer: the tokenizer of the folder, or any for an encoder from scratch.

    Where a folder holds an encoder alone, the head that predicts begins at random. Raises `CheckpointError` where it
    lacks weights of the encoder or is damaged, `OptionError` where the name leads nowhere or to another kind of model.
    """
    name = str(name_or_folder)
    if is_preset(name):
        config = GAUConfig.preset(name, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
        return GAUForMaskedLM(config)
    name = resolve(name)
    if Path(name).is_dir():
        check_folder(Path(name))
    with explained(name), quiet_transformers():
        model = _load(name)
    check_fit(name, tokenizer, model)
    return model


def _load(name: str) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if type(config) not in AutoModelForMaskedLM._model_mapping:
        raise OptionError(f"models of type {config.model_type!r} are no masked language models; take another --encoder")
    model, report = AutoModelForMaskedLM.from_pretrained(
        name, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    missing = sorted(key for key in report["missing_keys"] if key.startswith(f"{model.base_model_prefix}."))
    if missing:
        raise CheckpointError(
            f"the weights of {name!r} lack {len(missing)} tensors of {type(model).__name__}, such as {missing[0]!r}: "
            "they belong to another model or are damaged"
        )
    return model
