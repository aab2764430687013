"""A whole JSON answer in OpenAI's shape (chat, embeddings) behind the Reader's door.

Nothing leaves before `finish`; the answer is checked when the body has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from headrace.domain.errors import HeadraceError, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import encode, is_object
from headrace.wire.openai_failure import error_in_answer
from headrace.wire.openai_usage import read_usage, write_usage
from headrace.wire.whole_body import WholeBodyReader

ReadUsage: TypeAlias = Callable[[JsonObject], Usage | None]


class JsonBodyReader(WholeBodyReader):
    """Reads a non-streaming answer; `list_field` ("choices", "data", "results") must be a non-empty array in it."""

    def __init__(
        self, model_id: str, list_field: str, *, reasoning_apart: bool = False, usage_of: ReadUsage | None = None
    ) -> None:
        super().__init__(model_id)
        self._usage_of = usage_of or _usage_beside_choices(reasoning_apart=reasoning_apart)
        self._list_field = list_field

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the answer with our model id; an answer without usage gets the counted one, marked so."""
        body = self._body
        body["model"] = self._model_id
        block = body.get("usage")
        if usage.estimated:
            body["usage"] = write_usage(usage, block if is_object(block) else None)
        return encode(body)

    def _problem(self, body: JsonObject) -> HeadraceError | None:
        error = body.get("error")
        if error is not None:
            return error_in_answer(error)
        items = body.get(self._list_field)
        if not isinstance(items, list) or not items:
            return UpstreamProtocol(f'The upstream\'s answer has no "{self._list_field}".')
        return None

    def _usage_in(self, body: JsonObject) -> Usage | None:
        return self._usage_of(body)

    def _written_in(self, body: JsonObject) -> Iterable[JsonValue]:
        choices = body.get("choices")
        items = choices if isinstance(choices, list) else []
        return (choice.get("message", choice.get("text")) for choice in items if is_object(choice))


def _usage_beside_choices(*, reasoning_apart: bool) -> ReadUsage:
    def usage_of(body: JsonObject) -> Usage | None:
        return read_usage(body.get("usage"), reasoning_apart=reasoning_apart)

    return usage_of
