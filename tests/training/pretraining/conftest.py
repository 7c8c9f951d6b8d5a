"""A vocabulary that many tests share, and tiny sizes in place of gau-tiny's."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

from kexue.encoders.gau import PRESETS
from kexue.encoders.vocabulary import train_tokenizer
from tests.training.pretraining.tiny import SIZES, chinese, english


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "gau-tiny", SIZES)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer([*english(200), *chinese(50)], vocab_size=1500)
