"""Where words begin and end, in scripts with spaces and in scripts without.

"Haiti" is found in "Haitian" and "5" in "1.52", but neither is a mention. In scripts that put no space
between words (Chinese, Japanese, Thai) every character may begin a word.
"""

from __future__ import annotations

import unicodedata

# Blocks of scripts that put no space between words: Thai and Lao, Burmese, Khmer; CJK symbols, kana,
# ideographs, and their full-width forms. Hangul is absent: Korean writes spaces.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x312F),
    (0x31A0, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF00, 0xFF0F),
    (0xFF1A, 0xFF20),
    (0xFF61, 0xFF9F),
    (0x20000, 0x323AF),
)

_JOINER = "\u200d"  # glues several emoji into one


def is_unspaced(character: str) -> bool:
    """Whether the character belongs to a script that puts no space between words."""
    code = ord(character)
    return any(first <= code <= last for first, last in _UNSPACED)


def is_whole_word(text: str, start: int, end: int) -> bool:
    """Whether characters `start` to `end` neither begin nor end inside a word or a number."""
    return not (_inside(text, start) or _inside(text, end))


def _inside(text: str, position: int) -> bool:
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    if _is_mark(after) or _JOINER in (before, after):
        return True
    if _in_word(before) and _in_word(after):
        return True
    return _in_number(text, position - 1) or _in_number(text, position)


def _in_word(character: str) -> bool:
    return (character.isalnum() or _is_mark(character)) and not is_unspaced(character)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _in_number(text: str, position: int) -> bool:
    """Whether the character is a decimal point or a thousands comma between two digits."""
    around = text[position - 1 : position + 2] if position > 0 else ""
    return len(around) == 3 and around[1] in ".," and around[0].isdigit() and around[2].isdigit()
