"""Secrets in memory: a wrapper without a printable form."""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn

_DIGEST_KEY = b"headrace secret"


class Secret:
    """A secret text that neither prints, formats, pickles nor compares by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; call this only where it leaves for its one destination."""
        return self._text

    def is_same_as(self, other: Secret) -> bool:
        """Whether both hold the same text; keyed digests are compared, in constant time."""
        return hmac.compare_digest(self._digest(), other._digest())

    def _digest(self) -> bytes:
        return hmac.digest(_DIGEST_KEY, self._text.encode(), hashlib.sha256)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
