"""Small fast tokenizers of every family, trained on the spot."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from kexue.encoders.vocabulary import train_tokenizer

CORPUS = [
    "Marie Curie was born in Warsaw in 1867 and died in 1934.",
    "居里夫人1867年出生于华沙，1934年去世。",
    "The café serves naïve résumés; Zürich, Łódź and İzmir do not.",
    "وُلدت ماري كوري في وارسو عام ١٨٦٧",
    "ＡＢＣ　ｄｅｆ １２３ 👩‍👩‍👧 🙂",
] * 3
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def roberta() -> PreTrainedTokenizerFast:
    """Byte-level BPE: several tokens for one character, a space belongs to the token after it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", model_max_length=16)


def gpt() -> PreTrainedTokenizerFast:
    """Byte-level BPE without special tokens, whose offsets hold the space before a word."""
    tokenizer = roberta().backend_tokenizer
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")


def sentencepiece() -> PreTrainedTokenizerFast:
    """Unigram over NFKC with Metaspace: a word's first token holds the space, which may also stand alone."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")


def llama() -> PreTrainedTokenizerFast:
    """BPE with byte fallback whose normalizer writes a character that is not in the text."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL + bytes_, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")


def bert() -> PreTrainedTokenizerFast:
    """WordPiece that lower-cases and strips accents, saved with truncation and padding switched on."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", sep_token="[SEP]", cls_token="[CLS]")


def own() -> PreTrainedTokenizerFast:
    return train_tokenizer(CORPUS, vocab_size=300)


FAMILIES = {build.__name__: build for build in (bert, roberta, gpt, sentencepiece, llama, own)}


@pytest.fixture(scope="session", params=FAMILIES)
def any_tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    return FAMILIES[request.param]()


@pytest.fixture(scope="session")
def byte_level() -> PreTrainedTokenizerBase:
    return roberta()


@pytest.fixture(scope="session")
def word_piece() -> PreTrainedTokenizerBase:
    return bert()


@pytest.fixture(scope="session")
def unigram() -> PreTrainedTokenizerBase:
    return sentencepiece()
