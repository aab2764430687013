"""Failures of OpenAI-compatible upstreams named in our tree: status before text, never the caller blamed for us.

Source: failure contract, rows 1 to 6 and 13; OpenAI API reference, "Error codes" (read 2026-11-24).
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping

import msgspec

from headrace.domain.errors import (
    HeadraceError,
    UpstreamAuthFailed,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamUnavailable,
)
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import decode_trusted, is_object

# Names that stand for a status where an error comes inside an answer; a text about a credential is never shown.
_STATUS_BY_NAME: Mapping[str, int] = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "insufficient_quota": 402,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "invalid_request_error": 400,
}
MAX_RETRY_AFTER_SECONDS = 3600.0
MAX_MESSAGE_CHARS = 500


def failure_from_status(
    status: int, headers: Mapping[str, str], body: bytes, now_unix_seconds: float | None = None
) -> HeadraceError:
    """Return the failure behind an upstream's status of 400 or more."""
    message, code = _message_and_code(body)
    wait = retry_after_seconds(headers.get("retry-after"), now_unix_seconds)
    return _named(status, message, code, wait)


def error_in_answer(error: JsonValue) -> HeadraceError:
    """Return the failure behind an error object that arrived with status 200."""
    if not is_object(error):
        return UpstreamUnavailable(f"The upstream reported an error inside its answer: {_short(str(error))}")
    code, message = error.get("code"), error.get("message")
    status = code if isinstance(code, int) and not isinstance(code, bool) else _status_by_name(error)
    text = message if isinstance(message, str) else "no message"
    if status == 500 and code != "insufficient_quota":
        return UpstreamUnavailable(f"The upstream reported an error inside its answer: {_short(text)}", detail=text)
    return _named(status, text, _text(code), None)


def _status_by_name(error: JsonObject) -> int:
    names = (error.get("code"), error.get("type"))
    return next((_STATUS_BY_NAME[name] for name in names if isinstance(name, str) and name in _STATUS_BY_NAME), 500)


def retry_after_seconds(value: str | None, now_unix_seconds: float | None) -> float | None:
    """Return the wait that a Retry-After header asks for, within an hour; None when it is absent or makes no sense."""
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return min(float(value.strip()[:9]), MAX_RETRY_AFTER_SECONDS)
    if now_unix_seconds is None:
        return None
    try:
        wait = email.utils.parsedate_to_datetime(value).timestamp() - now_unix_seconds
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER_SECONDS)


def _named(status: int, message: str, code: str | None, wait: float | None) -> HeadraceError:
    if status in (401, 403):
        return UpstreamAuthFailed(
            "The provider refused the operator's credential; your key is fine. The operator must renew the"
            " provider's key: `headrace providers set-key NAME`.",
            detail=message,
        )
    if status == 402 or code == "insufficient_quota":
        return UpstreamQuota("The operator's account at the provider is out of quota.", detail=message)
    if status == 429:
        return UpstreamRateLimited(
            "The provider asks to slow down.", detail=message, retry_after_seconds=1.0 if wait is None else wait
        )
    if status in (400, 404, 405, 409, 413, 415, 422):
        # No detail: what is said about a request may repeat the prompt, which is for the caller and never for a log.
        return UpstreamRefused(f"The provider refused the request: {_short(message)}", code=code)
    return UpstreamUnavailable(f"The provider answered {status}.", detail=message, retry_after_seconds=wait)


def _message_and_code(body: bytes) -> tuple[str, str | None]:
    try:
        value = decode_trusted(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _short(body.decode("utf-8", "replace")), None
    error = value.get("error") if is_object(value) else None
    if is_object(error):
        message = error.get("message")
        return _short(message if isinstance(message, str) else "no message"), _text(error.get("code"))
    if isinstance(error, str):
        return _short(error), None
    message = value.get("message") if is_object(value) else None
    return _short(message if isinstance(message, str) else "no message"), None


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and value else None


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS] + "…"
