"""The published figures to the digit, and the full form against sums made by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.breakeven import Outcome, Report, verdict
from headrace.domain.breakeven_full import Discounts, FullQuestion, SimpleQuestion, full_report, simple_report
from headrace.domain.breakeven_request import Rates, Shape, Speed, cached_at, request_pico
from headrace.domain.breakeven_traffic import NANOS, BreakEven, Dedicated, Never
from headrace.domain.money import PPM, parse_usd_per_mtok

HOUR_OF_MI300X, TODAY, DEAREST = 1_990_000_000, 2_590_000_000, 7_990_000_000
OPUS = Rates(*(parse_usd_per_mtok(each) for each in ("5", "0.5", "6.25", "25", "25")))
QUESTION = FullQuestion(
    OPUS, Shape(1_200, 0, 0, 500, 0), Discounts(), Speed(2_000_000), Dedicated(HOUR_OF_MI300X), requests_per_hour=300
)


def simple(usd_per_mtok: str, nano_per_hour: int, requests: int = 300, tokens: int = 1_701) -> Report:
    return simple_report(SimpleQuestion(parse_usd_per_mtok(usd_per_mtok), nano_per_hour, tokens, requests), ())


def figure(report: Report, name: str) -> int | str | None:
    return next(each.value for each in report.figures if each.name == name)


def exact(report: Report, name: str) -> str:
    return next(each.exact for each in report.figures if each.name == name)


@pytest.mark.parametrize(
    ("usd_per_mtok", "nano_per_hour", "published"),
    [
        ("5", HOUR_OF_MI300X, 234),
        ("0.1", HOUR_OF_MI300X, 11_700),
        ("5", DEAREST, 940),
        ("5", TODAY, 305),
    ],
)
def test_the_published_figures(usd_per_mtok: str, nano_per_hour: int, published: int) -> None:
    report = simple(usd_per_mtok, nano_per_hour)
    assert figure(report, "break_even_requests_per_hour") == report.outcome.first == published


def test_the_tokens_of_the_published_example_follow_from_its_figures() -> None:
    tokens = Fraction(HOUR_OF_MI300X * 1_000, 234 * parse_usd_per_mtok("5"))
    assert 1_700 < tokens < 1_701


def test_the_simple_form_says_what_both_cost() -> None:
    report = simple("5", HOUR_OF_MI300X)
    assert figure(report, "serverless_usd_per_request") == "0.008505"
    assert figure(report, "serverless_usd_per_hour") == "2.5515"
    assert figure(report, "dedicated_usd_per_hour") == "1.99"
    assert exact(report, "break_even_requests_per_hour") == "398000/1701"
    assert report.answer == "Dedicated costs $1.99 instead of $2.5515 an hour; it wins from 234 requests an hour on."
    assert report.outcome.dedicated_wins
    assert not simple("5", HOUR_OF_MI300X, requests=233).outcome.dedicated_wins


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            BreakEven(Fraction(5), None),
            "it wins from 5 requests an hour on, but loses again at some loads above, where a further replica starts.",
        ),
        (BreakEven(Fraction(5), Fraction(9)), "it wins from 5 requests an hour on, and at every load from 9 on."),
        (
            BreakEven(None, None, Never.TOO_FAR),
            "it cannot win, because no load was found at which it does: starts and idle hours eat what it saves.",
        ),
        (BreakEven(None, None, Never.NO_TRAFFIC), "it cannot win, because there was no traffic."),
    ],
)
def test_the_answer_has_words_for_every_outcome(found: BreakEven, said: str) -> None:
    outcome = Outcome(1_000_000_000, 2_500_000_000, (), found, Fraction(1))
    answer = verdict(outcome, "Dedicated costs", "an hour")
    assert answer == f"Dedicated costs $2.50 instead of $1.00 an hour; {said}"


def test_a_free_model_is_never_beaten() -> None:
    report = simple("0", HOUR_OF_MI300X)
    assert report.outcome.first is None
    assert report.outcome.break_even.reason is Never.FREE
    assert report.answer.endswith("it cannot win, because serverless costs nothing for this traffic.")


def test_with_output_the_published_figure_is_less_than_half() -> None:
    assert request_pico(OPUS, QUESTION.shape) == 18_500_000_000
    report = full_report(QUESTION, ())
    assert report.outcome.first == report.outcome.always == 108
    assert figure(report, "serverless_usd_per_request") == "0.0185"
    assert figure(report, "serverless_usd_per_day") == "133.2"
    assert figure(report, "dedicated_usd_per_day") == "47.76"
    assert report.answer == "Dedicated costs $47.76 instead of $133.20 a day; it wins from 108 requests an hour on."


def test_capacity_is_tokens_a_second_by_output_and_utilisation() -> None:
    report = full_report(replace(QUESTION, speed=Speed(150_000)), ())
    assert figure(report, "capacity_per_replica") == 1_080
    assert exact(report, "replica_seconds_per_request") == "10/3"
    half = full_report(replace(QUESTION, fleet=Dedicated(HOUR_OF_MI300X, utilisation_ppm=PPM // 2)), ())
    assert figure(half, "capacity_per_replica") == 7_200


def test_reading_the_prompt_takes_its_time_where_it_is_known() -> None:
    report = full_report(replace(QUESTION, speed=Speed(2_000_000, 12_000_000)), ())
    assert exact(report, "replica_seconds_per_request") == "7/20"
    cached = full_report(
        replace(QUESTION, speed=Speed(None, 12_000_000), shape=Shape(0, 1_200, 1_200, 0, 0), requests_per_hour=1), ()
    )
    assert exact(cached, "replica_seconds_per_request") == "1/10"
    assert "effective_output_usd_per_mtok" not in {each.name for each in cached.figures}


def test_effective_price_of_output() -> None:
    question = replace(QUESTION, speed=Speed(1_000_000), fleet=Dedicated(3_600_000_000, utilisation_ppm=PPM // 2))
    assert figure(full_report(question, ()), "effective_output_usd_per_mtok") == "2"


def test_below_capacity_it_cannot_win() -> None:
    cheap = Rates(*(parse_usd_per_mtok(each) for each in ("0.1", "0.1", "0.1", "0.7", "0.7")))
    report = full_report(replace(QUESTION, rates=cheap, speed=Speed(150_000), fleet=Dedicated(TODAY)), ())
    assert report.outcome.break_even.reason is Never.CAPACITY
    assert report.answer.endswith(
        "it cannot win, because one replica serves at most 1,080 such requests an hour and it takes 5,511 to pay for "
        "it: more traffic only needs more replicas."
    )
    assert all(each.outcome.first is None for each in report.sensitivity)


def test_a_spare_doubles_what_must_be_earned() -> None:
    report = full_report(replace(QUESTION, fleet=Dedicated(HOUR_OF_MI300X, spare=1)), ())
    assert (report.outcome.first, figure(report, "replicas")) == (216, 2)


def test_batches_cost_their_share_less() -> None:
    whole = full_report(replace(QUESTION, discounts=Discounts(PPM, PPM // 2)), ())
    half = full_report(replace(QUESTION, discounts=Discounts(PPM // 2, PPM // 2)), ())
    assert figure(whole, "serverless_usd_per_day") == "66.6"
    assert figure(half, "serverless_usd_per_day") == "99.9"
    assert whole.outcome.first == 216


def test_hours_of_the_day_may_have_their_own_price() -> None:
    report = full_report(replace(QUESTION, discounts=Discounts(off_peak_hours=6, off_peak_price_ppm=700_000)), ())
    assert figure(report, "serverless_usd_per_day") == "123.21"


def test_idle_hours_are_paid_unless_it_sleeps() -> None:
    eight = replace(QUESTION, active_hours=8)
    assert figure(full_report(eight, ()), "dedicated_usd_per_day") == "47.76"
    sleeping = replace(eight, fleet=Dedicated(HOUR_OF_MI300X, sleep_after_nanos=600 * NANOS))
    report = full_report(sleeping, ())
    assert figure(report, "paid_replica_seconds_per_day") == 8 * 3_600 + 600
    assert full_report(eight, ()).outcome.first == 323


def test_the_answer_says_when_it_loses_again() -> None:
    loses_again = replace(QUESTION, speed=Speed(16_700))
    report = full_report(loses_again, ())
    assert (report.outcome.first, report.outcome.always) == (108, 969)
    assert report.answer.endswith("it wins from 108 requests an hour on, and at every load from 969 on.")


def test_sensitivity_changes_one_input_at_a_time() -> None:
    report = full_report(QUESTION, ())
    found = {(each.input, each.change): each.outcome.first for each in report.sensitivity}
    assert found["gpu_usd_per_hour", "-20 %"] == 87
    assert found["gpu_usd_per_hour", "+20 %"] == 130
    assert found["serverless prices", "+20 %"] == 90
    assert found["tokens_per_second", "-20 %"] == 108
    assert found["utilisation_percent", "50 %"] == 108
    assert found["cached share of the input", "0 %"] == 108
    assert found["cached share of the input", "90 %"] == 146
    assert len(report.sensitivity) == 12


def test_another_share_of_the_cache_keeps_the_prompt_whole() -> None:
    assert cached_at(Shape(900, 100, 7, 5, 3), 500_000) == Shape(500, 500, 7, 5, 3)


FORMULA_WORDS = re.compile(r"[a-z]+(?:_[a-z]+)+")
INPUTS = frozenset(
    [
        "gpu_usd_per_hour",
        "machines_per_replica",
        "input_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "input_usd_per_mtok",
        "cache_read_usd_per_mtok",
        "cache_write_usd_per_mtok",
        "output_usd_per_mtok",
        "reasoning_usd_per_mtok",
        "requests_per_hour",
        "active_hours_per_day",
        "off_peak_hours",
        "off_peak_price_percent",
        "batch_share_percent",
        "batch_price_percent",
        "tokens_per_second",
        "input_tokens_per_second",
        "utilisation_percent",
        "min_replicas",
        "spare_replicas",
        "warm_up_seconds",
        "sleep_after_minutes",
        "tokens_per_request",
    ]
)


@pytest.mark.parametrize("report", [simple("5", TODAY), full_report(QUESTION, ())], ids=["simple", "full"])
def test_every_formula_is_made_of_figures_and_inputs(report: Report) -> None:
    names = INPUTS | {each.name for each in report.figures}
    for each in report.figures:
        assert each.formula
        assert set(FORMULA_WORDS.findall(each.formula)) <= names


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 10_000), st.integers(100, 100_000_000), st.integers(1, 10**11), st.integers(0, 3))
def test_at_an_even_rate_the_search_is_the_formula(load: int, milli: int, nano: int, spare: int) -> None:
    question = replace(QUESTION, speed=Speed(milli), fleet=Dedicated(nano, spare=spare), requests_per_hour=load)
    report = full_report(question, ())
    replicas = -(-load * 500_000 // (3_600 * milli)) + spare
    assert figure(report, "replicas") == replicas
    assert report.outcome.dedicated_nano == 24 * replicas * nano
    first = report.outcome.first
    if first is not None:
        needed = (-(-first * 500_000 // (3_600 * milli)) + spare) * nano * 1_000
        assert needed <= first * request_pico(OPUS, QUESTION.shape)
