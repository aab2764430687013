"""A whole answer in OpenAI's Responses dialect behind the Reader's door, and what is wrong with a response object.

Nothing leaves before `finish`; the answer is checked when the body has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headrace.domain.errors import HeadraceError, UpstreamProtocol, UpstreamRateLimited, UpstreamUnavailable
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import encode, is_object
from headrace.wire.openai_failure import error_in_answer
from headrace.wire.responses_usage import read_usage, write_usage
from headrace.wire.whole_body import WholeBodyReader

_ENDED = ("completed", "incomplete")


class ResponsesBodyReader(WholeBodyReader):
    """Reads a response that was not streamed."""

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the answer with our model id; an answer without usage gets the counted one, marked so."""
        return encode(finished_response(self._body, self._model_id, usage))

    def _problem(self, body: JsonObject) -> HeadraceError | None:
        status = body.get("status")
        if body.get("error") is not None or status in ("failed", "cancelled"):
            return failure_in_response(body)
        if not isinstance(body.get("output"), list):
            return UpstreamProtocol('The upstream\'s answer has no "output".')
        if not is_terminal_status(status):
            return UpstreamProtocol(f'The upstream answered with the status "{status}", which is no end.')
        return None

    def _usage_in(self, body: JsonObject) -> Usage | None:
        return read_usage(body.get("usage"))

    def _written_in(self, body: JsonObject) -> Iterable[JsonValue]:
        return [body.get("output")]


def finished_response(response: JsonObject, model_id: str, usage: Usage) -> JsonObject:
    """Return an upstream's response with our model id and the settled usage."""
    block = response.get("usage")
    return {**response, "model": model_id, "usage": write_usage(usage, block if is_object(block) else None)}


def is_terminal_status(status: JsonValue) -> bool:
    """Whether a response with this status is an answer; servers that leave it out have answered."""
    return status is None or status in _ENDED


def failure_in_response(holder: JsonObject) -> HeadraceError:
    """Return the failure behind a failed response or an `error` event."""
    error = holder.get("error")
    if not is_object(error):
        if holder.get("type") != "error":
            return UpstreamUnavailable("The upstream reported that its answer failed, without a reason.")
        error = holder
    if error.get("code") == "rate_limit_exceeded":
        return UpstreamRateLimited("The provider asks to slow down.", detail=str(error.get("message")))
    return error_in_answer(error)
