"""The headers that tell who served a request."""

from __future__ import annotations

import pytest

from headrace.services.reply_headers import MAX_DROPPED_CHARS, ROUTING_HEADERS, reply_headers, routing_headers
from tests.fakes.decisions import a_decision
from tests.fakes.nouns import a_call, a_target


def dropped_header(*names: str) -> str | None:
    return dict(reply_headers(a_call(), a_target(), 1, names)).get("x-headrace-dropped")


def test_a_reply_says_who_served_it_and_names_nothing_when_nothing_was_dropped() -> None:
    assert reply_headers(a_call(stream=True), a_target(), 2, ()) == (
        ("content-type", "text/event-stream"),
        ("x-headrace-model", "one"),
        ("x-headrace-provider", "acme"),
        ("x-headrace-attempts", "2"),
    )
    assert dropped_header() is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("seed", "seed"),
        ("\x1f", "?"),
        ("a\r\nset-cookie: b=1", "a??set-cookie: b=1"),
        ("größe", "gr??e"),
        ("\x7f", "?"),
        (" wide ", "wide"),
    ],
)
def test_a_field_that_the_caller_named_freely_makes_a_header_that_can_be_sent(name: str, shown: str) -> None:
    assert dropped_header(name) == shown


def test_many_fields_make_a_header_of_bounded_length() -> None:
    header = dropped_header(*(["a" * 90] * 50)) or ""
    assert MAX_DROPPED_CHARS < len(header) < MAX_DROPPED_CHARS + 20
    assert header.endswith("aaa..., and others")


def test_a_routed_reply_says_what_the_router_decided() -> None:
    headers = reply_headers(a_call(), a_target(), 1, ("seed",), a_decision())
    assert headers[4:] == (
        ("x-model-router-selected-route", "refund"),
        ("x-headrace-router", "support"),
        ("x-headrace-route-score", "0.910"),
        ("x-headrace-route-basis", "matched"),
        ("x-headrace-session", "implicit:0011"),
        ("x-headrace-dropped", "seed"),
    )
    assert {name for name, _ in headers[4:-1]} == ROUTING_HEADERS
    unread = routing_headers(a_decision(route=None, score=None, session=None, basis="unread"))
    assert unread == (("x-headrace-router", "support"), ("x-headrace-route-basis", "unread"))
