"""Failures of OpenAI-compatible upstreams named in our tree: status before text, never the caller blamed for us.

Source: failure contract, rows 1 to 6 and 13; OpenAI API reference, "Error codes" (read 2026-11-24).
"""

from __future__ import annotations

import email.utils
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

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
from headrace.wire.json_strict import decode_trusted, encode, is_object

ErrorMeaning: TypeAlias = Literal["credential", "quota", "rate_limit", "refused", "unavailable"]

_MEANT_STATUS: Mapping[ErrorMeaning, int] = {
    "credential": 401,
    "quota": 402,
    "rate_limit": 429,
    "refused": 400,
    "unavailable": 503,
}
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
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now_unix_seconds: float | None = None,
    meanings: Mapping[str, ErrorMeaning] | None = None,
) -> HeadraceError:
    """Return the failure behind an upstream's status of 400 or more.

    `meanings` say what a status, or a code inside the body, means at this provider; a code goes before a status.
    """
    message, code = _message_and_code(body)
    wait = retry_after_seconds(headers.get("retry-after"), now_unix_seconds)
    if meanings:
        named = (each for each in (*_codes(body), str(status)) if each in meanings)
        meant = next(named, None)
        status = status if meant is None else _MEANT_STATUS[meanings[meant]]
    if status == 404 and _answer(body) is None:
        # No word of the API: what stands before it, such as the proxy of a cluster, knows nothing at this address.
        return UpstreamUnavailable("What answers at the provider's address is not its API (404).", detail=message)
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
        return UpstreamRateLimited("The provider asks to slow down.", detail=message, retry_after_seconds=wait)
    if status in (400, 404, 405, 409, 413, 415, 422):
        # No detail: what is said about a request may repeat the prompt, which is for the caller and never for a log.
        return UpstreamRefused(f"The provider refused the request: {_short(message)}", code=code)
    return UpstreamUnavailable(f"The provider answered {status}.", detail=message, retry_after_seconds=wait)


def _message_and_code(body: bytes) -> tuple[str, str | None]:
    value = _answer(body)
    if value is None:
        return _short(body.decode("utf-8", "replace")), None
    error = value.get("error", value)
    if isinstance(error, str):
        return _short(error), None
    if not is_object(error):
        return "no message", None
    message = error.get("message", error.get("detail"))
    text = encode(message).decode() if isinstance(message, dict | list) else message
    return _short(text if isinstance(text, str) else "no message"), _text(error.get("code"))


def _answer(body: bytes) -> JsonObject | None:
    """Return the error's body as an object; some providers send it inside an array."""
    try:
        value = decode_trusted(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if is_object(value) else {}


def _codes(body: bytes) -> Iterator[str]:
    error = (_answer(body) or {}).get("error")
    if not is_object(error):
        return
    details = error.get("details")
    reasons = [each.get("reason") for each in details if is_object(each)] if isinstance(details, list) else []
    for value in (*reasons, error.get("status"), error.get("code"), error.get("type")):
        if isinstance(value, str):
            yield value


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and value else None


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS] + "…"
