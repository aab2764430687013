"""A whole Messages answer behind the Reader's door: nothing leaves before `finish`, and it is checked at its end.

Source: Anthropic API reference, "Create a message" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.anthropic_failure import error_in_answer
from headrace.wire.anthropic_usage import read_usage, write_usage
from headrace.wire.json_strict import decode_trusted, encode, is_object

MAX_BODY_BYTES = 64 * 1024 * 1024
_BYTES_PER_TOKEN = 4


class MessagesBodyReader:
    """Reads a non-streaming answer, which must have an array of content blocks; the array may be empty."""

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
        self.failure = _problem(body)
        if self.failure is None and is_object(body):
            self._accept(body)

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the answer with our model id; an answer without usage gets the counted one, marked so."""
        block = self._body.get("usage")
        if usage.estimated:
            block = write_usage(usage, None)
        return encode({**self._body, "model": self._model_id, "usage": block})

    def _accept(self, body: JsonObject) -> None:
        self._body = body
        self.usage = read_usage(body.get("usage"))
        self.output_tokens_seen = -(-len(encode(body.get("content"))) // _BYTES_PER_TOKEN)
        self.meaningful = True
        self.ended = True


def _problem(body: JsonValue) -> HeadraceError | None:
    if not is_object(body):
        return UpstreamProtocol("The upstream's answer is not a JSON object.")
    if body.get("type") == "error" or body.get("error") is not None:
        return error_in_answer(body)
    if not isinstance(body.get("content"), list):
        return UpstreamProtocol('The upstream\'s answer has no "content".')
    return None
