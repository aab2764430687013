"""The length and format of a prompt as figures; what it says is the encoder's."""

from __future__ import annotations

import math
import re

NAMES = (
    *("chars", "words", "lines", "digit_share", "digits", "options", "code", "symbol_share", "questions"),
    *("word_length", "commas", "stops", "blank", "capital_share"),
)
_OPTION = re.compile(r"(?:^|\n)\(?A[.):]")
_CODE = (b"def ", b"```", b"function")
_DIGITS = b"0123456789"
_SYMBOLS = b"$\\^=+*/<>_{}"
_CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_QUESTIONS = 5


def shape_of(text: str) -> tuple[float, ...]:
    """Return the figures of `NAMES`: counts as logarithms, shares per ten characters or so, marks as 0 or 1."""
    data = text.encode("utf-8", "replace")
    chars, words = len(text), len(data.split())
    room = chars + 1
    digits = _count(data, _DIGITS)
    return (
        math.log1p(chars),
        math.log1p(words),
        math.log1p(data.count(b"\n")),
        10 * digits / room,
        math.log1p(digits),
        float(_OPTION.search(text) is not None),
        float(any(each in data for each in _CODE)),
        10 * _count(data, _SYMBOLS) / room,
        min(data.count(b"?"), _MOST_QUESTIONS) / 2,
        chars / (words + 1),
        math.log1p(data.count(b",")),
        math.log1p(data.count(b".")),
        float(b"_" in data),
        20 * _count(data, _CAPITALS) / room,
    )


def _count(data: bytes, wanted: bytes) -> int:
    return len(data) - len(data.translate(None, wanted))
