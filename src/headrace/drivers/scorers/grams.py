"""Words and parts of words as a short vector: what two texts have in common to the letter, which an encoder blurs.

Every word and every three and four letters of it fall into one of 256 places, with a sign, by their hash.
Source: K. Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from headrace.domain.conversation import MAX_TURN_CHARS

PLACES = 256
SIZES = (3, 4)
_WORD = re.compile(r"\w+")


def grams_of(text: str) -> NDArray[np.float32]:
    """Return the unit vector of a text's first characters; zeros where there is no word."""
    found = np.zeros(PLACES, np.float32)
    for gram, count in Counter(_grams(text[:MAX_TURN_CHARS].lower())).items():
        hashed = zlib.crc32(gram.encode("utf-8", "surrogatepass"))
        weight = 1 + math.log(count)
        found[hashed % PLACES] += weight if hashed >> 31 else -weight
    length = float(np.linalg.norm(found))
    return found / np.float32(length) if length else found


def _grams(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        yield f"#{word}"
        framed = f"<{word}>"
        for size in SIZES:
            yield from (framed[start : start + size] for start in range(len(framed) - size + 1))
