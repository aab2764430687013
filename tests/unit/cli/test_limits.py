"""`headrace limits`: what it asks the server and what it says."""

from headrace.domain.json_value import JsonObject
from tests.unit.cli.command_line import CommandLine

LIMITS: JsonObject = {
    "scope": "key:k1",
    "requests_per_minute": 60,
    "requests_per_day": None,
    "tokens_per_minute": 100_000,
    "tokens_per_day": None,
    "concurrent_requests": 5,
    "changed_at": "2026-11-24T12:00:00.000000Z",
}


def test_limits_are_listed() -> None:
    ran = CommandLine().answers("GET /v2/limits", {"limits": [LIMITS]})("limits", "list")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["SCOPE", "REQUESTS/MIN", "REQUESTS/DAY", "TOKENS/MIN", "TOKENS/DAY", "AT", "ONCE"],
        ["key:k1", "60", "-", "100000", "-", "5"],
    ]
    empty = CommandLine().answers("GET /v2/limits", {"limits": []})("limits", "list")
    assert empty.out.startswith("There are no rate limits.")


def test_limits_are_set_and_removed() -> None:
    line = CommandLine().answers("PUT /v2/limits/key:k1", {"limits": LIMITS})
    ran = line("limits", "set", "key:k1", "--requests-per-minute", "60", "--tokens-per-minute", "100000")
    assert ran.out == "key:k1 may have 60 requests per minute, 100000 tokens per minute, 5 concurrent requests.\n"
    assert line.api.last_body == {
        "requests_per_minute": 60,
        "requests_per_day": None,
        "tokens_per_minute": 100_000,
        "tokens_per_day": None,
        "concurrent_requests": None,
    }
    gone = CommandLine().answers("DELETE /v2/limits/model:acme/one", {"limits": {**LIMITS, "scope": "model:acme/one"}})
    assert gone("limits", "remove", "model:acme/one").out == "model:acme/one has no rate limits any more.\n"


def test_no_limit_at_all_is_not_sent() -> None:
    line = CommandLine()
    ran = line("limits", "set", "key:k1")
    assert (ran.status, line.api.asked) == (2, [])
    assert "headrace limits remove" in ran.err


def test_a_limit_that_is_no_number_is_not_sent() -> None:
    line = CommandLine()
    ran = line("limits", "set", "key:k1", "--requests-per-minute", "many")
    assert (ran.status, line.api.asked) == (2, [])
    assert "many" in ran.err
