"""Bounds, estimates and what the caller is told of the cost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.call import Operation
from headrace.domain.price import price_lines
from headrace.services.closing import settlement_at_end
from headrace.services.metering import (
    TEMPLATE_TOKENS,
    bound_of,
    estimated_usage,
    money_fields,
    money_headers,
    output_cap,
    request_start,
)
from tests.fakes.decisions import DECISION
from tests.fakes.nouns import a_call, a_price, a_target
from tests.unit.services.test_closing import DELIVERED

TARGET = a_target()


def test_the_output_cap_is_the_callers_or_the_catalogs() -> None:
    assert output_cap(a_call(), TARGET) == 256
    assert output_cap(a_call(max_tokens=9), TARGET) == 9
    assert output_cap(a_call(operation=Operation.EMBEDDINGS), TARGET) == 0


def test_the_bound_holds_for_every_choice() -> None:
    call = a_call(n=3, max_completion_tokens=10)
    bound = bound_of(call, TARGET)
    assert bound.input_tokens == (call.envelope.body_bytes + TEMPLATE_TOKENS) * 3
    assert bound.output_tokens == 30
    assert bound.amount_nano == bound.input_tokens * 1 + 30 * 4
    assert 0 < bound.input_estimate < bound.input_tokens


@given(seen=st.integers(0, 10**6), choices=st.integers(1, 128), cap=st.integers(1, 10**6), markup=st.integers(0, 10**7))
def test_what_we_count_ourselves_is_never_over_the_hold(seen: int, choices: int, cap: int, markup: int) -> None:
    call = a_call(n=choices, max_tokens=cap)
    target = a_target(price=a_price(input_pico=37, output_pico=1_501, markup_ppm=markup))
    lines = price_lines(estimated_usage(call, target, seen), target.price, 0)
    assert sum(line.charge_nano for line in lines) <= bound_of(call, target).amount_nano


def test_a_request_as_the_ledger_first_writes_it() -> None:
    start = request_start(a_call(stream=True), DECISION)
    assert (start.request_id, start.operation, start.account) == ("req_1", "chat", "shop")
    assert (start.key_id, start.key_name, start.requested_model) == ("key1", "web", "one")
    assert (start.stream, start.received_at_micros, start.route) == (True, 1_000_000, "refund")
    assert start.decision is DECISION
    assert request_start(a_call()).route is None


@pytest.mark.parametrize("tokens", [0, 1_234_567_890])
def test_the_caller_is_told_the_charge(tokens: int) -> None:
    usage = replace(DELIVERED, usage=replace(estimated_usage(a_call(), TARGET, 0), input_fresh=tokens))
    settlement = settlement_at_end(usage)
    text = "1.234567890" if tokens else "0.000000000"
    assert money_fields(a_call(), TARGET, settlement, 3) == {
        "request_id": "req_1",
        "model": "one",
        "attempts": 3,
        "cost_usd": text,
        "cost_nano_usd": tokens,
    }
    routed = money_fields(a_call(), TARGET, settlement, 3, DECISION)
    assert (routed["router"], routed["route"], routed["route_basis"]) == ("support", "refund", "matched")
    assert "route" not in money_fields(a_call(), TARGET, settlement, 3, replace(DECISION, route=None))
    assert money_headers(settlement) == (("x-headrace-cost-usd", text), ("x-headrace-cost-nano-usd", str(tokens)))
