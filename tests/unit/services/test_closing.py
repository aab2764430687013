"""How the books of an attempt are closed."""

import asyncio
from dataclasses import replace

import pytest

from headrace.domain.books import Settlement, Void
from headrace.domain.errors import (
    EngineFailed,
    HeadraceError,
    InvalidRequest,
    MeteringUnavailable,
    ShuttingDown,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTls,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from headrace.domain.usage import Usage
from headrace.services.answers import upstream_request_id
from headrace.services.closing import (
    AttemptState,
    attempt_end,
    may_go_on,
    settlement_at_end,
    settlement_or_void,
)
from tests.fakes.nouns import a_call, a_target

HELD = AttemptState(
    attempt_id="att_1",
    call=a_call(),
    target=a_target(),
    is_sent=False,
    is_last=True,
    departure=None,
    meaningful=False,
    usage=None,
    output_tokens_seen=0,
    delivered_bytes=0,
    upstream_status=None,
    upstream_request_id=None,
    held_at_micros=1_000_000,
    first_event_at_micros=None,
    ended_at_micros=3_500_000,
)
SENT = replace(HELD, is_sent=True)
ANSWERED = replace(SENT, meaningful=True, output_tokens_seen=3, upstream_status=200, first_event_at_micros=1_250_000)
DELIVERED = replace(ANSWERED, delivered_bytes=100)
TRUNCATED = UpstreamTruncated("cut")


def settled(state: AttemptState, error: BaseException) -> Settlement:
    closing = settlement_or_void(state, error)
    assert isinstance(closing, Settlement)
    return closing


def voided(state: AttemptState, error: BaseException) -> Void:
    closing = settlement_or_void(state, error)
    assert isinstance(closing, Void)
    return closing


def test_an_attempt_that_was_not_sent_owes_nothing() -> None:
    for error in (TRUNCATED, asyncio.CancelledError(), ZeroDivisionError()):
        assert not voided(HELD, error).possible_spend
    assert voided(replace(HELD, departure="client_closed"), asyncio.CancelledError()).request_status == 499


@pytest.mark.parametrize(
    ("error", "status", "possible"),
    [
        (UpstreamUnavailable("x", code="upstream_unreachable"), None, False),
        (UpstreamTls("x"), None, False),
        (UpstreamUnavailable("x"), None, True),
        (UpstreamTimeout("x"), None, True),
        (TRUNCATED, 200, True),
        (UpstreamRefused("x"), 400, False),
        (UpstreamUnavailable("x"), 503, False),
        (ZeroDivisionError(), None, True),
    ],
)
def test_a_failure_without_content_is_voided(error: BaseException, status: int | None, possible: bool) -> None:
    void = voided(replace(SENT, upstream_status=status), error)
    assert (void.possible_spend, void.upstream_status) == (possible, status)


def test_content_that_reached_nobody_is_a_cost_without_a_charge() -> None:
    closing = settled(ANSWERED, TRUNCATED)
    assert sum(line.charge_nano for line in closing.lines) == 0
    assert sum(line.cost_nano for line in closing.lines) > 0
    assert closing.request_status == 502


def test_delivered_content_is_charged_and_says_why_it_ended() -> None:
    closing = settled(DELIVERED, TRUNCATED)
    assert sum(line.charge_nano for line in closing.lines) > 0
    assert (closing.ending, closing.error_code, closing.request_status) == ("upstream_truncated",) * 2 + (200,)
    assert closing.usage.output_text == 3
    assert closing.usage.estimated


def test_the_upstreams_usage_is_taken_where_there_is_one() -> None:
    usage = Usage(input_fresh=5, output_text=9)
    assert settled(replace(DELIVERED, usage=usage), TRUNCATED).usage is usage


def test_our_own_count_never_passes_the_bound() -> None:
    assert settled(replace(DELIVERED, output_tokens_seen=10**9), TRUNCATED).usage.output_text == 256


@pytest.mark.parametrize("departure", ["client_closed", "slow_reader"])
@pytest.mark.parametrize("state", [SENT, ANSWERED, DELIVERED])
def test_a_caller_who_leaves_pays_for_what_was_running(state: AttemptState, departure: str) -> None:
    closing = settled(replace(state, departure=departure), asyncio.CancelledError())
    assert (closing.ending, closing.error_code, closing.request_status) == (departure, departure, 499)
    assert sum(line.charge_nano for line in closing.lines) > 0


def test_a_caller_who_leaves_a_refusal_pays_nothing() -> None:
    state = replace(SENT, departure="client_closed", upstream_status=429)
    assert voided(state, asyncio.CancelledError()).error_code == "client_closed"


def test_a_shutdown_is_not_the_callers_doing() -> None:
    assert voided(SENT, asyncio.CancelledError()).error_code == "shutting_down"
    closing = settled(ANSWERED, asyncio.CancelledError())
    assert sum(line.charge_nano for line in closing.lines) == 0
    assert (closing.ending, closing.request_status) == ("shutting_down", 503)
    assert settled(DELIVERED, asyncio.CancelledError()).request_status == 200


def test_the_status_is_open_while_another_target_follows() -> None:
    state = replace(SENT, is_last=False)
    assert voided(state, TRUNCATED).request_status is None
    assert voided(SENT, TRUNCATED).request_status == 502
    assert voided(SENT, UpstreamRefused("x")).request_status == 400
    assert voided(SENT, MeteringUnavailable("x")).request_status == 503
    assert settled(replace(DELIVERED, is_last=False), TRUNCATED).request_status == 200


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (TRUNCATED, True),
        (EngineFailed("x"), True),
        (UpstreamRefused("x"), False),
        (MeteringUnavailable("x"), False),
        (ShuttingDown("x"), False),
        (InvalidRequest("x"), False),
        (asyncio.CancelledError(), False),
        (ZeroDivisionError(), False),
    ],
)
def test_which_failures_go_on_to_the_next_target(error: HeadraceError, goes_on: bool) -> None:
    assert may_go_on(error) is goes_on


def test_what_observers_hear_of_a_settlement() -> None:
    end = attempt_end(DELIVERED, settlement_at_end(replace(DELIVERED, usage=Usage(input_fresh=2, output_text=1))))
    assert (end.request_id, end.attempt_id, end.operation) == ("req_1", "att_1", "chat")
    assert (end.model_id, end.provider, end.ending, end.error_code) == ("one", "acme", "complete", None)
    assert (end.first_event_seconds, end.duration_seconds) == (0.25, 2.5)
    assert (end.cost_nano, end.charge_nano) == (6, 6)


def test_what_observers_hear_of_a_void() -> None:
    end = attempt_end(SENT, voided(SENT, TRUNCATED))
    assert (end.ending, end.error_code, end.usage) == ("voided", "upstream_truncated", None)
    assert (end.first_event_seconds, end.cost_nano, end.charge_nano) == (None, 0, 0)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({}, None),
        ({"x-request-id": ""}, None),
        ({"x-request-id": "up_1"}, "up_1"),
        ({"x-request-id": "é" * 200}, "?" * 128),
    ],
)
def test_the_upstreams_name_of_a_request(headers: dict[str, str], name: str | None) -> None:
    assert upstream_request_id(headers) == name
