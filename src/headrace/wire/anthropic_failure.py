"""Failures of upstreams that speak Anthropic's Messages, named in our tree: status before type, type before text.

Source: Anthropic API reference, "Errors" and "Rate limits" (read 2026-11-24); failure contract, rows 1 to 6 and 13.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.domain.errors import (
    HeadraceError,
    UpstreamAuthFailed,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from headrace.domain.json_value import JsonValue
from headrace.wire.json_strict import decode_trusted, is_object
from headrace.wire.openai_failure import retry_after_seconds

MAX_MESSAGE_CHARS = 500
_STATUS_OF_TYPE: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_ABOUT_THE_REQUEST = frozenset({400, 404, 405, 409, 413, 415, 422})


def failure_from_status(
    status: int, headers: Mapping[str, str], body: bytes, now_unix_seconds: float | None = None
) -> HeadraceError:
    """Return the failure behind an upstream's status of 400 or more."""
    kind, message = _type_and_message(body)
    wait = retry_after_seconds(headers.get("retry-after"), now_unix_seconds)
    if status == 400 and kind == "billing_error":
        status = 402
    return _named(status, message, wait)


def error_in_answer(event: JsonValue) -> HeadraceError:
    """Return the failure behind an error object that arrived with status 200: the event, or its `error`."""
    inner = event.get("error", event) if is_object(event) else event
    kind = inner.get("type") if is_object(inner) else None
    message = inner.get("message") if is_object(inner) else None
    text = message if isinstance(message, str) else "no message"
    status = _STATUS_OF_TYPE.get(kind, 500) if isinstance(kind, str) else 500
    if status >= 500:
        return UpstreamUnavailable(f"The upstream reported an error inside its answer: {_short(text)}", detail=text)
    return _named(status, text, None)


def _named(status: int, message: str, wait: float | None) -> HeadraceError:
    if status in (401, 403):
        return UpstreamAuthFailed(
            "The provider refused the operator's credential; your key is fine. The operator must renew the"
            " provider's key: `headrace providers set-key NAME`.",
            detail=message,
        )
    if status == 402:
        return UpstreamQuota("The operator's account at the provider is out of quota.", detail=message)
    if status == 429:
        return UpstreamRateLimited(
            "The provider asks to slow down.", detail=message, retry_after_seconds=1.0 if wait is None else wait
        )
    if status in _ABOUT_THE_REQUEST:
        # No detail: what is said about a request may repeat the prompt, which is for the caller and never for a log.
        return UpstreamRefused(f"The provider refused the request: {_short(message)}")
    if status == 504:
        return UpstreamTimeout("The provider did not finish in time (504).", detail=message)
    reason = "is overloaded (529)" if status == 529 else f"answered {status}"
    return UpstreamUnavailable(f"The provider {reason}.", detail=message, retry_after_seconds=wait)


def _type_and_message(body: bytes) -> tuple[str | None, str]:
    try:
        value = decode_trusted(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, _short(body.decode("utf-8", "replace"))
    error = value.get("error") if is_object(value) else None
    if not is_object(error):
        message = error or value.get("message") if is_object(value) else None
        return None, _short(message if isinstance(message, str) else "no message")
    kind, message = error.get("type"), error.get("message")
    return kind if isinstance(kind, str) else None, _short(message if isinstance(message, str) else "no message")


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS] + "…"
