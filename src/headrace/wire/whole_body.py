"""The part of reading a whole JSON answer that every dialect shares; what the answer must hold is the dialect's.

Nothing leaves before `finish`; the answer is checked when the body has ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import decode_trusted, encode, is_object

MAX_BODY_BYTES = 64 * 1024 * 1024
_BYTES_PER_TOKEN = 4


class WholeBodyReader(ABC):
    """Reads an answer that was not streamed; a dialect adds `finish` and says what is in the answer."""

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self._blocks: list[bytes] = []
        self._size = 0
        self._body: JsonObject = {}
        self.meaningful = False
        self.ended = False
        self.failure: HeadraceError | None = None
        self.usage: Usage | None = None
        self.output_tokens_seen = 0

    def feed(self, block: bytes) -> bytes:
        """Keep a block; nothing is given out."""
        self._size += len(block)
        if self._size > MAX_BODY_BYTES:
            self.failure = UpstreamProtocol(f"The upstream's answer passes {MAX_BODY_BYTES} bytes.")
        else:
            self._blocks.append(block)
        return b""

    def close(self) -> None:
        """Decode and check the whole answer."""
        if self.failure is not None:
            return
        try:
            body = decode_trusted(b"".join(self._blocks))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.failure = UpstreamProtocol("The upstream's answer is not JSON.", detail=str(error))
            return
        if not is_object(body):
            self.failure = UpstreamProtocol("The upstream's answer is not a JSON object.")
            return
        self.failure = self._problem(body)
        if self.failure is None:
            self._accept(body)

    @abstractmethod
    def _problem(self, body: JsonObject) -> HeadraceError | None:
        """Return why this is no answer, or None."""

    @abstractmethod
    def _usage_in(self, body: JsonObject) -> Usage | None:
        """Return the usage that the upstream wrote, or None."""

    @abstractmethod
    def _written_in(self, body: JsonObject) -> Iterable[JsonValue]:
        """Return the parts that the model wrote, by whose size we count its output."""

    def _accept(self, body: JsonObject) -> None:
        self._body = body
        self.usage = self._usage_in(body)
        self.output_tokens_seen = sum(-(-len(encode(part)) // _BYTES_PER_TOKEN) for part in self._written_in(body))
        self.meaningful = True
        self.ended = True
