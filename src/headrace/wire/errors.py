"""Errors on the wire: the one tree rendered to each dialect."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.errors import HeadraceError, InternalError
from headrace.domain.json_value import JsonObject
from headrace.wire.json_strict import encode
from headrace.wire.sse import data_frame

_OPENAI_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


def openai_error(error: HeadraceError, request_id: str) -> JsonObject:
    """Return OpenAI's error object, with the stable code and the request id."""
    inner: JsonObject = {
        "message": error.message,
        "type": _openai_type(error),
        "param": error.param,
        "code": error.code,
        "request_id": request_id,
    }
    for name, value in error.extra.items():
        inner[name] = value
    return {"error": inner}


def openai_error_body(error: HeadraceError, request_id: str) -> bytes:
    """Return the JSON body of an error reply on the data plane."""
    return encode(openai_error(error, request_id))


def openai_error_frame(error: HeadraceError, request_id: str) -> bytes:
    """Return the event that tells of a failure inside a stream; no terminator follows it."""
    return data_frame(encode(openai_error(error, request_id)))


def control_error_object(error: HeadraceError, request_id: str) -> JsonObject:
    """Return the control plane's error object: id, message, request_id."""
    body: JsonObject = {"id": error.code, "message": error.message, "request_id": request_id}
    if error.param is not None:
        body["param"] = error.param
    for name, value in error.extra.items():
        body[name] = value
    return body


def control_error_body(error: HeadraceError, request_id: str) -> bytes:
    """Return the JSON body of an error reply on the control plane."""
    return encode(control_error_object(error, request_id))


def as_headrace_error(error: Exception) -> HeadraceError:
    """Return the error itself when it is ours, otherwise an InternalError that hides it."""
    if isinstance(error, HeadraceError):
        return error
    return InternalError(
        "Headrace failed in a way that it should not. The operator finds the details in the log under this request id.",
        detail=repr(error),
    )


def _openai_type(error: HeadraceError) -> str:
    special = _OPENAI_TYPES.get(error.status)
    if special is not None:
        return special
    if error.fault == "caller":
        return "invalid_request_error"
    return "upstream_error" if error.fault == "upstream" else "server_error"
