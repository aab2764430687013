"""Errors in the dialect of the caller, whole or inside a stream.

Source: Anthropic API reference, "Errors"; OpenAI API reference, "Streaming events", error (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Dialect
from headrace.domain.errors import HeadraceError
from headrace.domain.json_value import JsonObject
from headrace.wire.errors import openai_error, openai_error_body, openai_error_frame
from headrace.wire.json_strict import encode
from headrace.wire.sse import named_frame

_MESSAGES_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_body(dialect: Dialect, error: HeadraceError, request_id: str) -> bytes:
    """Return the JSON body of an error reply in the caller's dialect."""
    if dialect is Dialect.MESSAGES:
        return encode(_messages_error(error, request_id))
    return openai_error_body(error, request_id)


def error_frame(dialect: Dialect, error: HeadraceError, request_id: str) -> bytes:
    """Return the event that tells of a failure inside a stream; no terminator follows it."""
    match dialect:
        case Dialect.MESSAGES:
            return named_frame(b"error", encode(_messages_error(error, request_id)))
        case Dialect.RESPONSES:
            # OpenAI's documents have code, message and param in the event, Open Responses has them in an object.
            event: JsonObject = {
                "type": "error",
                "code": error.code,
                "message": error.message,
                "param": error.param,
                "request_id": request_id,
                **openai_error(error, request_id),
            }
            return named_frame(b"error", encode(event))
        case Dialect.CHAT:
            return openai_error_frame(error, request_id)


def _messages_error(error: HeadraceError, request_id: str) -> JsonObject:
    inner: JsonObject = {"type": _messages_type(error), "message": error.message, "code": error.code}
    if error.param is not None:
        inner["param"] = error.param
    for name, value in error.extra.items():
        inner[name] = value
    return {"type": "error", "error": inner, "request_id": request_id}


def _messages_type(error: HeadraceError) -> str:
    special = _MESSAGES_TYPES.get(error.status)
    if special is not None:
        return special
    return "invalid_request_error" if error.status < 500 else "api_error"
