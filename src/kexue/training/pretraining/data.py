"""The texts of a recipe as tokens: a vocabulary, what is trained on, and what is held out to measure on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from kexue.encoders.gau import GAUConfig
from kexue.encoders.loading import is_preset, load_tokenizer
from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.vocabulary import train_tokenizer
from kexue.errors import DataError
from kexue.training.pretraining.corpus import Corpus, corpus_made_from, discard_corpus, sample_texts, write_corpus
from kexue.training.pretraining.dataset import hold_out
from kexue.training.pretraining.masking import Masking
from kexue.training.pretraining.recipe import PretrainingRecipe
from kexue.training.pretraining.texts import Texts
from kexue.training.pretraining.words import HAN, SEGMENTERS

VOCABULARY_BYTES = 64 << 20
"""A vocabulary is learnt from so much text at most, evenly spread."""
DEV_SHARE = 0.02
DEV_TOKENS = 1 << 16
"""At most so many tokens are held out, or measured on."""

Part = tuple[Corpus, NDArray[np.int64]]
"""Some documents of a corpus."""


@dataclass(frozen=True, eq=False)
class PretrainingData:
    """Tokens to train on and tokens to measure on, and what a person should know of both."""

    tokenizer: PreTrainedTokenizerBase
    train: Corpus
    train_documents: NDArray[np.int64]
    dev: Corpus
    dev_documents: NDArray[np.int64]
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Of everything that a training is made of."""
        return " ".join((self.train.digest, self.dev.digest, _digest(self.tokenizer)))


def load_pretraining_data(recipe: PretrainingRecipe) -> PretrainingData:
    """Read and tokenise the texts of a recipe, or find them tokenised.

    Raises `DataError` or `OptionError` if texts or vocabulary cannot be used. Of several processes one works, the
    others wait for it.
    """
    if is_preset(recipe.encoder):
        GAUConfig.preset(recipe.encoder)  # says so if it is misspelt
    folder = cache_folder(recipe)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_lock(folder)):
        tokenizer = _prepare(recipe, folder)
    train = Corpus.open(folder / "train")
    if recipe.dev is not None:
        dev = Corpus.open(folder / "dev")
        _, measured = hold_out(dev, DEV_TOKENS, recipe.seed)
        return _checked(recipe, tokenizer, (train, np.arange(len(train))), (dev, measured))
    held_out = max(recipe.max_length, min(DEV_TOKENS, int(DEV_SHARE * len(train.tokens))))  # one row at least
    rest, measured = hold_out(train, held_out, recipe.seed)
    return _checked(recipe, tokenizer, (train, rest), (train, measured))


def forget_corpus(recipe: PretrainingRecipe) -> None:
    """Remove the tokenised texts."""
    shutil.rmtree(cache_folder(recipe), ignore_errors=True)
    _lock(cache_folder(recipe)).unlink(missing_ok=True)


def cache_folder(recipe: PretrainingRecipe) -> Path:
    """Where the tokenised texts are."""
    return recipe.cache or recipe.output / "training" / "corpus"


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _prepare(recipe: PretrainingRecipe, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer, after everything is in the folder; the corpus to train on is written last."""
    texts = Texts(recipe.texts, recipe.format, recipe.key)
    name = recipe.vocabulary if is_preset(recipe.encoder) else recipe.encoder
    given = None if name is None else load_tokenizer(name)
    if given is not None:
        Masking.of(given, recipe.mask_rate)  # says so if there is no mask token
    facts = _made_from(recipe, texts, given)
    if corpus_made_from(folder / "train") == facts:
        return given or load_tokenizer(folder / "tokenizer")
    discard_corpus(folder / "train")  # or its tokens would be read by a vocabulary that is not theirs
    segment = SEGMENTERS[recipe.segmenter or "ngrams"]()
    parts = {"train": texts} if recipe.dev is None else {"dev": _dev_texts(recipe), "train": texts}
    for own in parts.values():
        _refuse_empty(own)
    tokenizer = given or _learn_vocabulary(recipe, texts, folder / "tokenizer")
    for part, own in parts.items():
        write_corpus(own, TextTokenizer(tokenizer), segment, folder / part, facts)
    return tokenizer


def _dev_texts(recipe: PretrainingRecipe) -> Texts:
    return Texts([recipe.dev] if recipe.dev else [], recipe.format, recipe.key)


def _refuse_empty(texts: Texts) -> None:
    if next(iter(texts), None) is None:
        raise DataError("there is no text in it to train on", path=texts.sources[0])


def _made_from(recipe: PretrainingRecipe, texts: Texts, tokenizer: PreTrainedTokenizerBase | None) -> dict[str, Any]:
    """Files and choices that the tokens depend on; a file that was changed has another size or time."""
    return {
        "texts": _states(texts.files()),
        "dev": _states(_dev_texts(recipe).files()),
        "choices": [recipe.format, recipe.key, recipe.segmenter],
        "vocabulary": recipe.vocab_size if tokenizer is None else _digest(tokenizer),
    }


def _states(paths: Iterable[Path]) -> list[list[Any]]:
    """Name, size and time of files, and of all files in folders."""
    files = chain.from_iterable(sorted(path.rglob("*")) if path.is_dir() else [path] for path in paths)
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _learn_vocabulary(recipe: PretrainingRecipe, texts: Texts, folder: Path) -> PreTrainedTokenizerBase:
    size = sum(path.stat().st_size for path in texts.files() if path.is_file())
    sample = sample_texts(texts, min(1.0, VOCABULARY_BYTES / max(1, size)))
    tokenizer = train_tokenizer(sample, vocab_size=recipe.vocab_size)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _checked(recipe: PretrainingRecipe, tokenizer: PreTrainedTokenizerBase, train: Part, dev: Part) -> PretrainingData:
    size, held = (int(corpus.lengths(documents).sum()) for corpus, documents in (train, dev))
    if size < recipe.batch_size * recipe.max_length or held < recipe.max_length:
        raise DataError(
            f"has {size:,} tokens to train on and {held:,} to measure on; a step takes {recipe.batch_size} "
            f"(batch_size) x {recipe.max_length} (max_length), a measure {recipe.max_length}: give more text or "
            "smaller ones",
            path=recipe.texts[0],
        )
    notes = [
        f"pre-training {recipe.encoder} on {size:,} tokens of {len(train[1]):,} documents, "
        f"{len(tokenizer):,} different ones",
        f"measuring on {held:,} tokens of {len(dev[1]):,} documents",
    ]
    if recipe.segmenter == "ngrams" and _holds_chinese(train[0], tokenizer):
        notes.append(
            "note: Chinese is hidden in random spans of 1 to 4 characters; in words with: pip install 'kexue[chinese]'"
        )
    return PretrainingData(tokenizer, *train, *dev, tuple(notes))


def _holds_chinese(corpus: Corpus, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether one token in a hundred is Chinese."""
    chinese = [HAN.search(token) is not None for token in tokenizer.convert_ids_to_tokens(range(len(corpus.counts)))]
    return bool(corpus.counts[chinese].sum() > 0.01 * corpus.counts.sum())


def _digest(tokenizer: PreTrainedTokenizerBase) -> str:
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
