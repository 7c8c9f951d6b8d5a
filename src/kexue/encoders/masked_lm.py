"""Masked language models by name: what `kexue pretrain` trains, so that `load_encoder` finds an encoder in its folder."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from kexue.encoders.gau import GAUConfig, GAUForMaskedLM
from kexue.encoders.loading import check_fit, check_folder, explained, is_preset, quiet_transformers, resolve
from kexue.errors import CheckpointError, OptionError


def load_masked_lm(
    name_or_folder: str | Path, tokenizer: PreTrainedTokenizerBase
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """A masked language model in float32, and the names of its weights that begin at random.

    Args:
        name_or_folder: as for `load_encoder`; a name in `PRESETS` is a GAU encoder with random weights.
        tokenizer: the tokenizer of the folder, or any for an encoder from scratch.

    A folder that holds an encoder alone lacks the weights of the head that predicts. Raises `CheckpointError` where
    it lacks others too or is damaged, `OptionError` where the name leads nowhere or to another kind of model.
    """
    name = str(name_or_folder)
    if is_preset(name):
        config = GAUConfig.preset(name, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
        return GAUForMaskedLM(config), ("all",)
    name = resolve(name)
    if Path(name).is_dir():
        check_folder(Path(name))
    with explained(name), quiet_transformers():
        model, missing = _load(name)
    check_fit(name, tokenizer, model)
    return model, missing


def _load(name: str) -> tuple[PreTrainedModel, tuple[str, ...]]:
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if type(config) not in AutoModelForMaskedLM._model_mapping:
        raise OptionError(f"models of type {config.model_type!r} are no masked language models; take another --encoder")
    model, report = AutoModelForMaskedLM.from_pretrained(
        name, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    missing = sorted(report["missing_keys"])
    inside = [key for key in missing if key.startswith(f"{model.base_model_prefix}.")]
    if inside:
        raise CheckpointError(
            f"the weights of {name!r} lack {len(inside)} tensors of {type(model).__name__}, such as {inside[0]!r}: "
            "they belong to another model or are damaged"
        )
    return model, tuple(missing)
