"""Naming what an upstream says went wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.openai_failure import (
    MAX_MESSAGE_CHARS,
    ErrorMeaning,
    error_in_answer,
    failure_from_status,
    retry_after_seconds,
)

NOW = 1_795_521_600.0  # 2026-11-24 12:00 UTC
BODY = json.dumps({"error": {"message": "what it said", "code": "some_code"}}).encode()


@pytest.mark.parametrize(
    ("status", "code", "seen", "fault"),
    [
        (400, "some_code", 400, "caller"),
        (404, "some_code", 400, "caller"),
        (413, "some_code", 400, "caller"),
        (422, "some_code", 400, "caller"),
        (401, "upstream_auth_failed", 502, "upstream"),
        (403, "upstream_auth_failed", 502, "upstream"),
        (402, "upstream_quota_exhausted", 502, "upstream"),
        (429, "upstream_rate_limited", 429, "upstream"),
        (408, "upstream_unavailable", 502, "upstream"),
        (500, "upstream_unavailable", 502, "upstream"),
        (503, "upstream_unavailable", 502, "upstream"),
        (529, "upstream_unavailable", 502, "upstream"),
    ],
)
def test_the_status_decides(status: int, code: str, seen: int, fault: str) -> None:
    error = failure_from_status(status, {}, BODY)
    assert (error.code, error.status, error.fault) == (code, seen, fault)
    assert error.retryable is (seen != 400)
    assert error.detail == (None if seen == 400 else "what it said"), "a refusal may repeat the prompt"
    assert ("what it said" in error.message) is (seen == 400)


def test_an_exhausted_quota_is_not_a_rate_limit() -> None:
    body = json.dumps({"error": {"message": "x", "code": "insufficient_quota"}}).encode()
    assert failure_from_status(429, {"retry-after": "5"}, body).code == "upstream_quota_exhausted"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", ""),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"\xff\xfe", "��"),
        (b"[" * 100_000, "[" * MAX_MESSAGE_CHARS + "…"),
        (b"null", "no message"),
        (b'{"error":"plain"}', "plain"),
        (b'{"error":{"message":5}}', "no message"),
        (b'{"message":"top"}', "top"),
        (b'{"detail":"x"}', "x"),
        (b'{"message":{"detail":[{"type":"extra_forbidden"}]}}', '{"detail":[{"type":"extra_forbidden"}]}'),
        (b'[{"error":{"message":"in an array"}}]', "in an array"),
        (b'[{"error":{"message":"one"}},{"error":{"message":"two"}}]', "no message"),
        (b'{"error":7}', "no message"),
        (json.dumps({"error": {"message": "x" * 1000}}).encode(), "x" * MAX_MESSAGE_CHARS + "…"),
    ],
)
def test_any_body_is_read(body: bytes, detail: str) -> None:
    error = failure_from_status(500, {}, body)
    assert error.detail == detail
    assert error.code == "upstream_unavailable"
    assert failure_from_status(400, {}, body).message.endswith(f": {detail}")


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1000000000", 3600.0),
        ("9" * 400, 3600.0),
        ("-5", None),
        ("1e9", None),
        ("soon", None),
        ("²", None),
        ("٣", None),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Wed, 25 Nov 2026 12:00:00 GMT", 3600.0),
        ("Tue, 99 Nov 2026 12:00:00 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 -0000", 0.0),
    ],
)
def test_how_long_to_wait(header: str | None, wait: float | None) -> None:
    assert retry_after_seconds(header, NOW) == wait


@given(header=st.text(max_size=40))
def test_any_header_is_a_wait_within_an_hour_or_none(header: str) -> None:
    wait = retry_after_seconds(header, NOW)
    assert wait is None or 0.0 <= wait <= 3600.0


def test_a_date_needs_a_clock() -> None:
    assert retry_after_seconds("Tue, 24 Nov 2026 12:00:30 GMT", None) is None


@pytest.mark.parametrize(
    ("status", "header", "wait"), [(429, None, None), (429, "9", 9.0), (503, "9", 9.0), (503, None, None)]
)
def test_the_wait_is_passed_on(status: int, header: str | None, wait: float | None) -> None:
    headers = {} if header is None else {"retry-after": header}
    assert failure_from_status(status, headers, BODY, NOW).retry_after_seconds == wait


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("out of memory", "upstream_unavailable", "out of memory"),
        (7, "upstream_unavailable", "7"),
        ({}, "upstream_unavailable", "no message"),
        ({"message": "overloaded", "code": "overloaded"}, "upstream_unavailable", "overloaded"),
        ({"message": "x", "code": True}, "upstream_unavailable", "x"),
        ({"message": "x", "code": 503}, "upstream_unavailable", "503"),
        ({"message": "x", "code": 400}, "upstream_refused", "x"),
        ({"message": "x", "type": "rate_limit_error"}, "upstream_rate_limited", "slow down"),
        ({"message": "x", "code": "insufficient_quota"}, "upstream_quota_exhausted", "out of quota"),
    ],
)
def test_an_error_inside_an_answer(error: JsonValue, code: str, said: str) -> None:
    named = error_in_answer(error)
    assert named.code == code
    assert said in named.message


GOOGLE = b'[{"error":{"code":400,"message":"bad key","status":"INVALID_ARGUMENT","details":[{"reason":"KEY"},7]}}]'


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, BODY, "some_code"),
        (498, BODY, "upstream_rate_limited"),
        (412, BODY, "upstream_quota_exhausted"),
        (400, GOOGLE, "upstream_auth_failed"),
        (400, b'{"error":{"status":"KEY","details":[]}}', "upstream_auth_failed"),
        (418, b'{"error":{"code":"KEY","type":7}}', "upstream_auth_failed"),
        (403, b'{"error":{"type":"KEY"}}', "upstream_auth_failed"),
        (403, b'{"error":"KEY"}', "upstream_refused"),
        (403, b"not json", "upstream_refused"),
        (404, BODY, "upstream_unavailable"),
        (401, BODY, "upstream_auth_failed"),
    ],
)
def test_a_provider_may_mean_something_else(status: int, body: bytes, code: str) -> None:
    meanings: dict[str, ErrorMeaning] = {
        "403": "refused",
        "498": "rate_limit",
        "412": "quota",
        "404": "unavailable",
        "KEY": "credential",
    }
    assert failure_from_status(status, {}, body, None, meanings).code == code


def test_a_404_that_is_no_word_of_the_api_blames_nobodys_request() -> None:
    failure = failure_from_status(404, {}, b"Path '/headrace-one/v1/chat/completions' not found.")
    assert (failure.code, failure.fault, failure.retryable) == ("upstream_unavailable", "upstream", True)
    refused = failure_from_status(404, {}, BODY)
    assert refused.fault == "caller"


@pytest.mark.parametrize("name", [{"type": "authentication_error"}, {"code": "invalid_api_key"}])
def test_a_text_about_a_credential_inside_an_answer_is_not_shown(name: JsonObject) -> None:
    named = error_in_answer({"message": "bad key sk-secret", **name})
    assert (named.code, "sk-secret" in named.message) == ("upstream_auth_failed", False)
