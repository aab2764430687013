"""What dedicated would have cost for hours that were served."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.breakeven_ledger import MICROS_PER_HOUR, LedgerQuestion, ledger_case, ledger_report
from headrace.domain.breakeven_request import Rates, Speed
from headrace.domain.breakeven_traffic import NANOS, Dedicated, Never
from headrace.domain.usage_hour import UsageHour
from tests.fakes.breakeven import a_usage_hour

SINCE = 1_795_521_600_000_000
RATES = {("one", "acme"): Rates(1_000_000, 100_000, 1_000_000, 4_000_000, 4_000_000)}


def usage(*requests: int, cost_nano: int = 1_000_000_000) -> tuple[UsageHour, ...]:
    return tuple(
        a_usage_hour(SINCE + number * MICROS_PER_HOUR, each, cost_nano=cost_nano)
        for number, each in enumerate(requests)
        if each
    )


def question(*hours: UsageHour, count: int = 24, fleet: Dedicated | None = None) -> LedgerQuestion:
    return LedgerQuestion(SINCE, count, hours, Speed(1_000_000), fleet or Dedicated(1_000_000_000), RATES)


def test_hours_stand_in_their_places_and_models_in_one_hour_are_one_load() -> None:
    (first, third) = usage(10, 0, 20)
    other = replace(first, model_id="two", provider="other", requests=5, input_cache_write=7)
    case = ledger_case(question(first, other, third, count=4))
    assert [each.requests for each in case.traffic.hours] == [15, 0, 20, 0]
    assert case.traffic.hours[0].serverless_pico == 2 * 10**12
    assert case.per_hour == Fraction(35, 4)


def test_the_answer_compares_what_was_booked_with_what_would_have_been_paid() -> None:
    report = ledger_report(question(*usage(10, 0, 20, cost_nano=3_000_000_000)), ())
    assert report.answer == (
        "Dedicated would have cost $24.00 instead of $6.00 in the last day; it wins from 5 requests an hour on."
    )
    figures = {each.name: each.value for each in report.figures}
    assert figures["serverless_usd"] == "6"
    assert figures["dedicated_usd"] == "24"
    assert (figures["requests"], figures["hours_with_traffic"], figures["busiest_hour"]) == (30, 2, 20)
    assert figures["mean_requests_per_hour"] == "1.25"
    assert report.outcome.break_even.first == 4
    assert len(report.hours) == 24
    assert [(each.requests, each.replicas, each.dedicated_nano) for each in report.hours[:2]] == [
        (10, 1, 1_000_000_000),
        (0, 1, 1_000_000_000),
    ]
    assert report.hours[2].hour_start_micros == SINCE + 2 * MICROS_PER_HOUR
    assert ledger_report(question(count=48), ()).answer.startswith(
        "Dedicated would have cost $48.00 instead of $0.00 in the last 2 days;"
    )


def test_it_is_the_cost_and_not_the_charge() -> None:
    (one,) = usage(10)
    assert ledger_report(question(one), ()).outcome.serverless_nano == one.cost_nano != one.charge_nano


def test_why_it_cannot_win() -> None:
    assert ledger_report(question(), ()).answer.endswith("it cannot win, because there was no traffic.")
    free = ledger_report(question(*usage(10, cost_nano=0)), ())
    assert free.outcome.break_even.reason is Never.FREE
    slow = replace(question(*usage(3_600, cost_nano=1_000)), speed=Speed(1_000))
    assert ledger_report(slow, ()).outcome.break_even.reason is Never.CAPACITY


def test_spikes_cost_more_than_the_same_traffic_evenly() -> None:
    spiky = ledger_report(question(*usage(240, cost_nano=24_000_000_000)), ())
    even = ledger_report(question(*usage(*[10] * 24)), ())
    assert spiky.outcome.serverless_nano == even.outcome.serverless_nano
    fleet = Dedicated(1_000_000_000)
    crowded = ledger_report(replace(question(*usage(24_000)), fleet=fleet), ())
    assert max(each.replicas for each in crowded.outcome.paid) == 4
    assert spiky.outcome.dedicated_nano == even.outcome.dedicated_nano < crowded.outcome.dedicated_nano


def test_another_share_of_the_cache_changes_what_serverless_costs() -> None:
    (one,) = usage(1_000)
    report = ledger_report(question(one), ())
    costs = {each.change: each.outcome.serverless_nano for each in report.sensitivity if "cached" in each.input}
    saved_a_token = 900_000
    assert costs["0 %"] == one.cost_nano + 100_000 * saved_a_token // 1_000
    assert costs["50 %"] == one.cost_nano - 400_000 * saved_a_token // 1_000
    assert costs["90 %"] == one.cost_nano - 800_000 * saved_a_token // 1_000


def test_without_a_price_another_share_of_the_cache_changes_nothing() -> None:
    (one,) = usage(1_000)
    report = ledger_report(replace(question(one), rates={}), ())
    assert {each.outcome.serverless_nano for each in report.sensitivity if "cached" in each.input} == {one.cost_nano}


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.integers(0, 5_000), min_size=1, max_size=24),
    st.integers(0, 2),
    st.none() | st.integers(0, 60),
    st.integers(1, 10**10),
)
def test_the_whole_is_the_sum_of_its_hours(requests: list[int], spare: int, idle: int | None, nano: int) -> None:
    fleet = Dedicated(
        nano, spare=spare, warm_up_nanos=61 * NANOS, sleep_after_nanos=None if idle is None else idle * 60 * NANOS
    )
    report = ledger_report(question(*usage(*requests), fleet=fleet), ())
    assert report.outcome.serverless_nano == sum(each.serverless_nano for each in report.hours)
    assert report.outcome.dedicated_nano == sum(each.dedicated_nano for each in report.hours)
    assert sum(each.requests for each in report.hours) == sum(requests)
