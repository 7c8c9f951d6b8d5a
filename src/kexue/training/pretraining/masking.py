"""The corruption of masked language models: whole words are hidden, and predicted from what is around them.

A word is chosen with probability `rate`. In 80 of 100 cases it becomes as many [MASK] as it has tokens, in 10 as many
random tokens, and in 10 it stays (the shares are those of Devlin et al. 2019; whole words as GAU-alpha was trained).
Special tokens are never chosen, nor is a word of which a part lies outside the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from kexue.encoders.gau import IGNORED
from kexue.errors import OptionError

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Masking:
    """The law and what it needs to know of the vocabulary."""

    rate: float
    mask_id: int
    fixed: Flags
    """[vocab]: the special tokens, which are never chosen."""
    ordinary: Ids
    """What a random token is drawn from."""
    masked: float = 0.8
    replaced: float = 0.1

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, rate: float) -> Masking:
        """For a vocabulary; raises `OptionError` if it has no mask token."""
        if tokenizer.mask_token_id is None:
            raise OptionError(
                "the tokenizer has no mask token, so its encoder is no masked language model; take another --encoder"
            )
        special = np.zeros(len(tokenizer), bool)
        special[tokenizer.all_special_ids] = True
        fixed = special.copy()
        if tokenizer.unk_token_id is not None:
            fixed[tokenizer.unk_token_id] = False  # stands for ordinary text
        return cls(rate, tokenizer.mask_token_id, fixed, np.flatnonzero(~special))

    def __call__(self, ids: Ids, begins: Flags, complete: Flags, draws: NDArray[np.float32]) -> tuple[Ids, Ids]:
        """What the model sees, and what it is to predict: both long[texts, seq].

        Args:
            ids: [texts, seq], without the special tokens around them.
            begins: [texts, seq], True where a word begins.
            complete: [texts], False where the last word goes on beyond the text.
            draws: [3, texts, seq], uniform on [0, 1): which words, what becomes of them, which random tokens.
        """
        which, fate, other = _of_its_word(draws[0], begins), _of_its_word(draws[1], begins), draws[2]
        chosen = (which < self.rate) & _whole(begins, complete) & ~self.fixed[ids]
        random = self.ordinary[(other * len(self.ordinary)).astype(np.int64)]
        seen = np.where(fate < self.masked, self.mask_id, np.where(fate < self.masked + self.replaced, random, ids))
        return np.where(chosen, seen, ids), np.where(chosen, ids, IGNORED)


def _of_its_word(values: NDArray[np.float32], begins: Flags) -> NDArray[np.float32]:
    """The value at the first token of each token's word."""
    places = np.where(begins, np.arange(begins.shape[1]), 0)
    return np.take_along_axis(values, np.maximum.accumulate(places, axis=1), axis=1)


def _whole(begins: Flags, complete: Flags) -> Flags:
    """Tokens of words that lie in the text from end to end."""
    word = np.cumsum(begins, axis=1)
    return (word > 0) & (complete[:, None] | (word < word[:, -1:]))
