"""Failures of Messages upstreams: status before type, and never the caller blamed for the operator's credential."""

import json
from typing import Any

import pytest

from headrace.domain.errors import (
    HeadraceError,
    UpstreamAuthFailed,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from headrace.domain.json_value import JsonObject
from headrace.wire.anthropic_failure import error_in_answer, failure_from_status


def body(kind: str, message: Any = "said so") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", UpstreamRefused),
        (400, "billing_error", UpstreamQuota),
        (401, "authentication_error", UpstreamAuthFailed),
        (402, "billing_error", UpstreamQuota),
        (403, "permission_error", UpstreamAuthFailed),
        (404, "not_found_error", UpstreamRefused),
        (413, "request_too_large", UpstreamRefused),
        (429, "rate_limit_error", UpstreamRateLimited),
        (500, "api_error", UpstreamUnavailable),
        (504, "timeout_error", UpstreamTimeout),
        (529, "overloaded_error", UpstreamUnavailable),
        (429, "overloaded_error", UpstreamRateLimited),
    ],
)
def test_a_status_names_the_failure(status: int, kind: str, expected: type[HeadraceError]) -> None:
    failure = failure_from_status(status, {}, body(kind))
    assert type(failure) is expected
    assert failure.detail == "said so" or (isinstance(failure, UpstreamRefused) and "said so" in failure.message)


def test_the_wait_that_it_asks_for_is_kept() -> None:
    assert failure_from_status(429, {"retry-after": "7"}, b"").retry_after_seconds == 7
    assert failure_from_status(429, {}, b"").retry_after_seconds == 1
    assert failure_from_status(529, {"retry-after": "3"}, b"").retry_after_seconds == 3
    assert failure_from_status(529, {}, b"").retry_after_seconds is None


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"<html>", "<html>"),
        (b'{"error": "plain"}', "plain"),
        (b'{"message": "outer"}', "outer"),
        (b"[1]", "no message"),
        (body("x", 5), "no message"),
        (b"\xff", "\ufffd"),
        (b"x" * 900, "x" * 500 + "\u2026"),
    ],
)
def test_any_body_gives_a_message(raw: bytes, said: str) -> None:
    assert failure_from_status(400, {}, raw).message.endswith(said)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", UpstreamUnavailable),
        ("api_error", UpstreamUnavailable),
        ("timeout_error", UpstreamUnavailable),
        ("rate_limit_error", UpstreamRateLimited),
        ("invalid_request_error", UpstreamRefused),
        ("authentication_error", UpstreamAuthFailed),
        ("brand_new_error", UpstreamUnavailable),
        (5, UpstreamUnavailable),
    ],
)
def test_an_error_inside_an_answer_goes_by_its_type(kind: Any, expected: type[HeadraceError]) -> None:
    error: JsonObject = {"type": kind, "message": "said so"}
    event: JsonObject = {"type": "error", "error": error}
    assert type(error_in_answer(error)) is type(error_in_answer(event)) is expected


def test_an_error_without_form_is_the_upstreams() -> None:
    assert isinstance(error_in_answer("boom"), UpstreamUnavailable)
    assert isinstance(error_in_answer({"type": "error", "error": None}), UpstreamUnavailable)
