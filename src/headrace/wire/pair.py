"""What a pair of dialects must offer to be translated: the caller's dialect first, then the upstream's.

One module per pair, named as the pair (`messages_to_chat.py`). A pair is pure: decoded JSON in, decoded JSON or bytes
out. What the upstream's dialect cannot express is refused with InvalidRequest naming the field, or dropped and named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headrace.domain.call import Dialect
from headrace.domain.json_value import JsonObject


@dataclass(frozen=True, slots=True)
class Translated:
    """A request in the upstream's dialect and the caller's fields that were dropped on the way."""

    body: JsonObject
    dropped: tuple[str, ...] = ()


class StreamTranslator(Protocol):
    """Turns the events of one upstream stream into the frames of one reply."""

    def event(self, data: JsonObject) -> bytes:
        """Take one upstream event and return the frames to forward now."""
        ...

    def finish(self) -> bytes:
        """Return the terminal frames; the upstream's own terminal events have been taken before."""
        ...


class Pair(Protocol):
    """The translation between two dialects."""

    client: Dialect
    upstream: Dialect

    def request(self, body: JsonObject) -> Translated:
        """Return the caller's request in the upstream's dialect; raises InvalidRequest naming the field.

        A streaming chat request asks for usage: the translation needs it.
        """
        ...

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return an upstream's whole reply in the caller's dialect; `request` is what the caller sent."""
        ...

    def stream(self, request: JsonObject) -> StreamTranslator:
        """Return a fresh translator of one stream; `request` is what the caller sent."""
        ...
