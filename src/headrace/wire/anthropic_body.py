"""A whole Messages answer behind the Reader's door: nothing leaves before `finish`, and it is checked at its end.

Source: Anthropic API reference, "Create a message" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headrace.domain.errors import HeadraceError, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.anthropic_failure import error_in_answer
from headrace.wire.anthropic_usage import read_usage, write_usage
from headrace.wire.json_strict import encode
from headrace.wire.whole_body import WholeBodyReader


class MessagesBodyReader(WholeBodyReader):
    """Reads a non-streaming answer, which must have an array of content blocks; the array may be empty."""

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the answer with our model id; an answer without usage gets the counted one, marked so."""
        block = self._body.get("usage")
        if usage.estimated:
            block = write_usage(usage, None)
        return encode({**self._body, "model": self._model_id, "usage": block})

    def _problem(self, body: JsonObject) -> HeadraceError | None:
        if body.get("type") == "error" or body.get("error") is not None:
            return error_in_answer(body)
        if not isinstance(body.get("content"), list):
            return UpstreamProtocol('The upstream\'s answer has no "content".')
        return None

    def _usage_in(self, body: JsonObject) -> Usage | None:
        return read_usage(body.get("usage"))

    def _written_in(self, body: JsonObject) -> Iterable[JsonValue]:
        return [body.get("content")]
