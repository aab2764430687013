"""A whole JSON answer in OpenAI's shape (chat, embeddings) behind the Reader's door.

Nothing leaves before `finish`; the answer is checked when the body has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.openai_failure import error_in_answer
from headrace.wire.openai_usage import read_usage, write_usage

MAX_BODY_BYTES = 64 * 1024 * 1024
_BYTES_PER_TOKEN = 4
ReadUsage: TypeAlias = Callable[[JsonObject], Usage | None]


class JsonBodyReader:
    """Reads a non-streaming answer; `list_field` ("choices", "data", "results") must be a non-empty array in it."""

    def __init__(
        self, model_id: str, list_field: str, *, reasoning_apart: bool = False, usage_of: ReadUsage | None = None
    ) -> None:
        self._model_id = model_id
        self._usage_of = usage_of or _usage_beside_choices(reasoning_apart=reasoning_apart)
        self._list_field = list_field
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
        raw = b"".join(self._blocks)
        try:
            body = decode_trusted(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.failure = UpstreamProtocol("The upstream's answer is not JSON.", detail=str(error))
            return
        self.failure = self._problem(body)
        if self.failure is None and is_object(body):
            self._accept(body)

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the answer with our model id; an answer without usage gets the counted one, marked so."""
        body = self._body
        body["model"] = self._model_id
        block = body.get("usage")
        if usage.estimated:
            body["usage"] = write_usage(usage, block if is_object(block) else None)
        return encode(body)

    def _problem(self, body: JsonValue) -> HeadraceError | None:
        if not is_object(body):
            return UpstreamProtocol("The upstream's answer is not a JSON object.")
        error = body.get("error")
        if error is not None:
            return error_in_answer(error)
        items = body.get(self._list_field)
        if not isinstance(items, list) or not items:
            return UpstreamProtocol(f'The upstream\'s answer has no "{self._list_field}".')
        return None

    def _accept(self, body: JsonObject) -> None:
        self._body = body
        self.usage = self._usage_of(body)
        self.output_tokens_seen = _counted_tokens(body)
        self.meaningful = True
        self.ended = True


def _usage_beside_choices(*, reasoning_apart: bool) -> ReadUsage:
    def usage_of(body: JsonObject) -> Usage | None:
        return read_usage(body.get("usage"), reasoning_apart=reasoning_apart)

    return usage_of


def _counted_tokens(body: JsonObject) -> int:
    choices = body.get("choices")
    if not isinstance(choices, list):
        return 0
    messages = (choice.get("message", choice.get("text")) for choice in choices if is_object(choice))
    return sum(-(-len(encode(message)) // _BYTES_PER_TOKEN) for message in messages)
