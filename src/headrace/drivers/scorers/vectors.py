"""Vectors of texts, each made once and kept for a while: the encoder's, then that of the words.

Which texts matter is decided elsewhere.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from headrace.drivers.scorers.grams import PLACES, grams_of
from headrace.drivers.scorers.texts import cut
from headrace.ports.routing import TokenReader

# Arithmetic widens here and there; what is kept is float32.
Floats: TypeAlias = "NDArray[np.floating[Any]]"
Halves: TypeAlias = "NDArray[np.float16]"

# The encoder's part, and all.
WIDTH = 384
WHOLE = WIDTH + PLACES
MAX_ENTRIES = 20_000


def unit(vectors: Floats) -> Floats:
    """Return the vectors, which are the rows, scaled to length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-9))


def meaning(vectors: Floats) -> Floats:
    """Return the encoder's part of vectors."""
    return vectors[..., :WIDTH]


def wording(vectors: Floats) -> Floats:
    """Return the words' part of vectors."""
    return vectors[..., WIDTH:]


def packed(vector: Floats) -> bytes:
    """Return a vector as features: little-endian float16."""
    return vector.astype("<f2").tobytes()


def unpacked(features: bytes) -> Floats | None:
    """Return the vector of features, or None where they are none."""
    return np.frombuffer(features, "<f2").astype(np.float32) if len(features) == 2 * WHOLE else None


class Vectors:
    """The encoder behind a bounded memory; safe in several threads, none of which waits while another encodes.

    Every vector is rounded to float16 before anybody sees it, so that a kept one decides like a fresh one.
    """

    def __init__(self, reader: TokenReader, entries: int = MAX_ENTRIES) -> None:
        self._reader = reader
        self._entries = entries
        self._kept: OrderedDict[bytes, Halves] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def kept(self, text: str, tokens: int) -> Floats | None:
        """Return the vector of a text's first tokens if it is kept."""
        return self._found(_key(text, tokens))

    def of(self, text: str, tokens: int) -> Floats:
        """Return the vector of a text's first tokens, and keep it."""
        key = _key(text, tokens)
        found = self._found(key)
        if found is not None:
            return found
        read = self._reader.packed_vector(cut(self._reader.tokens(text), tokens))
        made = np.concatenate([np.frombuffer(read, "<f4"), grams_of(text)]).astype(np.float16)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)
        return made.astype(np.float32)

    def length(self, text: str, tokens: int) -> int:
        """Return how many tokens reading a text would take."""
        return min(len(self._reader.tokens(text)), tokens)

    def of_all(self, texts: Iterable[str], tokens: int) -> Floats:
        """Return the vectors of several texts as rows."""
        rows = [self.of(each, tokens) for each in texts]
        return np.stack(rows) if rows else np.zeros((0, WHOLE), np.float32)

    def _found(self, key: bytes) -> Floats | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
        return found.astype(np.float32)


def _key(text: str, tokens: int) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16, salt=tokens.to_bytes(2, "little")).digest()
