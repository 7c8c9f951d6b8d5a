"""A vocabulary of one's own for an encoder that begins from scratch.

Every Chinese character, kana, digit and sign is a token by itself, so that any span of them can be marked.
The words of alphabetic scripts are cut into pieces by byte-pair encoding (Sennrich et al. 2016), never across
the ends of a word. An unknown character is one [UNK], whatever stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from kexue.errors import OptionError

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUES = "##"
"""Stands before a piece that does not begin its word."""
SINGLE = r"[\p{Han}\p{Hiragana}\p{Katakana}]|[^\p{L}\p{M}]"
"""Tokens by themselves: characters of scripts without spaces, and whatever is neither letter nor mark."""


def train_tokenizer(
    texts: Iterable[str], *, vocab_size: int = 12000, lowercase: bool = False, min_frequency: int = 2
) -> PreTrainedTokenizerFast:
    """A fast tokenizer learnt from texts; `save_pretrained` writes it, `AutoTokenizer` reads it.

    Characters and pieces seen less than `min_frequency` times become no tokens, so that [UNK] occurs, and is
    learnt, in training. Full-width and other compatibility forms are read as the ordinary ones (NFKC);
    offsets always count the characters of the text as given.

    Raises `OptionError` where there is no text or no room for any of its characters.
    """
    tokenizer = _untrained(lowercase=lowercase)
    normalized = [tokenizer.normalizer.normalize_str(text) for text in texts]
    counts = Counter(character for text in normalized for character in text if not character.isspace())
    if not counts:
        raise OptionError("a vocabulary needs texts to learn from, and there is no character in those given")
    alphabet = _alphabet(counts, tokenizer, vocab_size - len(SPECIAL_TOKENS), min_frequency)
    if not alphabet:
        raise OptionError(
            f"vocab_size={vocab_size} and min_frequency={min_frequency} leave no character in the vocabulary"
        )
    tokenizer.model = _learn(normalized, alphabet, vocab_size, min_frequency)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = _surround(tokenizer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        cls_token=CLS,
        sep_token=SEP,
        mask_token=MASK,
    )


def _learn(texts: list[str], alphabet: list[str], vocab_size: int, min_frequency: int) -> models.Model:
    """Byte-pair encoding of normalised texts over the pieces of `alphabet`.

    The trainer numbers pieces inside words in an order that changes from run to run, and breaks ties by these
    numbers. Named as special tokens of a tokenizer that is thrown away, they keep the order given.
    """
    tokenizer = _untrained(lowercase=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*SPECIAL_TOKENS, *alphabet],
        limit_alphabet=sum(not piece.startswith(CONTINUES) for piece in alphabet),
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return tokenizer.model


def _alphabet(counts: Counter[str], tokenizer: Tokenizer, room: int, min_frequency: int) -> list[str]:
    """The most frequent characters that fit into `room` tokens; letters come once more, as inside a word.

    Characters as frequent as one another are kept or left together, so that no order of theirs matters.
    """
    pieces: list[str] = []
    for count, group in groupby(counts.most_common(), key=itemgetter(1)):
        characters = sorted(character for character, _ in group)
        inside = [CONTINUES + character for character in characters if _joins(tokenizer, character)]
        if count < min_frequency or len(pieces) + len(characters) + len(inside) > room:
            break
        pieces += characters + inside
    return pieces


def _joins(tokenizer: Tokenizer, character: str) -> bool:
    """Whether a character forms words with its neighbours."""
    return len(tokenizer.pre_tokenizer.pre_tokenize_str(2 * character)) == 1


def _untrained(*, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=UNK, fuse_unk=False, continuing_subword_prefix=CONTINUES))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.BertNormalizer(
                clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=lowercase
            ),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(SINGLE), "isolated")]
    )
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUES)
    return tokenizer


def _surround(tokenizer: Tokenizer) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B {SEP}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)],
    )
