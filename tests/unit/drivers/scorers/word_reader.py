"""An encoder of words for tests: every word has its own direction, drawn from its letters; nothing is learned."""

import re
import zlib

import numpy as np

from headrace.drivers.scorers.vectors import WIDTH


class WordReader:
    """Texts with words in common are similar; the frame is token 1 and token 2. Counts how often it encodes."""

    def __init__(self) -> None:
        self.encoded = 0

    def tokens(self, text: str) -> list[int]:
        """Return one token for each word, framed."""
        return [1, *(3 + zlib.crc32(word.encode()) for word in re.findall(r"\w+", text.lower())), 2]

    def packed_vector(self, tokens: list[int]) -> bytes:
        """Return the mean direction of the words."""
        self.encoded += 1
        words = tokens[1:-1] or [0]
        mean = np.mean([np.random.default_rng(word).standard_normal(WIDTH) for word in words], axis=0)
        return (mean / np.linalg.norm(mean)).astype("<f4").tobytes()
