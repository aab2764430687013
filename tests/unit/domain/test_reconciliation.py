"""Our books beside a bill: what differs, by how much, and what it most likely comes from."""

from dataclasses import replace

import pytest

from headrace.domain.bill import DAY_MICROS, HOUR_MICROS, Bill, BilledLine, BookedAttempt, BookedHour, Figures, start_of
from headrace.domain.bill_cause import (
    ESTIMATED,
    LEFT,
    POSSIBLE_SPEND,
    RECOVERED,
    Cause,
    Drift,
    format_percent,
    unit_factor,
)
from headrace.domain.bill_days import booked_days, hours_shifted
from headrace.domain.bill_names import KnownModel, names_on_bill
from headrace.domain.reconciliation import Books, ReconciledRow, Reconciliation, reconcile

DAY = "2026-11-24"
NEXT = "2026-11-25"
DOLLAR = 10**12
USED = Figures(10, 1_000, 100, 0, 500, 50, 3 * DOLLAR)
NAMES = {"large": "acme/large", "small-2026-01-01": "small", "acme/large": "acme/large", "small": "small"}


def hour(day: str, model: str, figures: Figures, at: int = 12) -> BookedHour:
    return BookedHour(start_of(day) + at * HOUR_MICROS, model, figures)


def line(day: str, model: str, figures: Figures, *, step: int = 0, request_id: str | None = None) -> BilledLine:
    return BilledLine("line 2", day, model, figures, step, request_id)


def attempt(reason: str | None, number: int = 1, model: str = "small", day: str = DAY) -> BookedAttempt:
    reasons = () if reason is None else (reason,)
    return BookedAttempt(day, model, f"att_{number}", f"req_{number}", start_of(day), reasons, 10, 5, 7, f"up_{number}")


def compared(
    lines: list[BilledLine], hours: list[BookedHour], attempts: tuple[BookedAttempt, ...] = ()
) -> Reconciliation:
    days = sorted({each.day for each in lines})
    books = Books((days[0], days[-1]), hours, attempts, frozenset({"up_1"}))
    return reconcile(Bill("generic", tuple(lines)), books, NAMES)


def only(found: Reconciliation) -> ReconciledRow:
    (row,) = found.rows
    return row


def test_equal_figures_agree_under_any_name_of_the_model() -> None:
    halves = [line(DAY, "small", replace(USED, requests=4)), line(DAY, "small-2026-01-01", Figures(requests=6))]
    found = compared(halves, [hour(DAY, "small", USED, 0), hour(DAY, "small", Figures(), 23)])
    row = only(found)
    assert (row.cause, row.billed_as, row.agrees) == (Cause.AGREES, ("small", "small-2026-01-01"), True)
    assert found.drifting == 0
    assert found.says == "1 of 1 days and models agree with the bill."
    assert [drift.difference for drift in found.totals] == [0] * 7


def test_what_the_bill_does_not_tell_is_not_compared() -> None:
    row = only(compared([line(DAY, "small", Figures(cost_pico=3 * DOLLAR))], [hour(DAY, "small", USED)]))
    assert [drift.name for drift in row.drifts] == ["cost_nano"]
    assert row.agrees


@pytest.mark.parametrize(
    ("cost_pico", "step", "cause"),
    [
        (3 * DOLLAR + 60_000, 0, Cause.ROUNDING),
        (3 * DOLLAR + 60_001, 0, Cause.PRICES),
        (3 * DOLLAR - 4_900_000_000, 10**10, Cause.ROUNDING),
    ],
)
def test_amounts_may_differ_by_their_rounding(cost_pico: int, step: int, cause: Cause) -> None:
    billed = line(DAY, "small", replace(USED, cost_pico=cost_pico), step=step)
    assert only(compared([billed], [hour(DAY, "small", USED)])).cause is cause


def test_equal_use_at_another_cost_means_other_prices() -> None:
    billed = line(DAY, "small", replace(USED, cost_pico=3 * DOLLAR * 11 // 10))
    row = only(compared([billed], [hour(DAY, "small", USED)], (attempt(None),)))
    assert row.cause is Cause.PRICES
    assert row.says == (
        '2026-11-24: "small" was used as billed, but costs $0.300000000 more there (+10.0 %): the prices differ. '
        "Compare with headrace prices show small, and with the provider's discounts."
    )
    assert [each.attempt_id for each in row.attempts] == ["att_1"]
    cheaper = line(DAY, "small", replace(USED, cost_pico=DOLLAR))
    assert "$2.000000000 less there (-66.7 %)" in only(compared([cheaper], [hour(DAY, "small", USED)])).says


def test_a_cost_alone_cannot_tell_prices_from_use() -> None:
    row = only(compared([line(DAY, "small", Figures(cost_pico=DOLLAR))], [hour(DAY, "small", USED)]))
    assert row.cause is Cause.PRICES
    assert row.says.endswith("or the use; reconcile the usage export too.")


def test_a_model_that_is_none_of_ours_is_named() -> None:
    found = compared([line(DAY, "huge", USED)], [])
    row = only(found)
    assert (row.cause, row.model_id, row.billed_as) == (Cause.MODEL_UNKNOWN, "", ("huge",))
    assert '"huge" is on the bill, but no model' in row.says
    assert "--model THEIRS=OURS" in row.says
    assert row.drifts[0].per_mille is None


def test_use_that_did_not_pass_here_and_use_that_was_not_billed() -> None:
    found = compared([line(DAY, "small", USED)], [hour(DAY, "acme/large", USED)])
    assert [(row.model_id, row.cause) for row in found.rows] == [
        ("acme/large", Cause.NOT_BILLED),
        ("small", Cause.NOT_THROUGH_HERE),
    ]
    assert "is not on the bill" in found.rows[0].says
    assert found.says.startswith("2 of 2 days and models differ.")
    assert found.says.endswith(" 1 others have other causes.")


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (100, "100 times ours: cents read as dollars"),
        (1_000_000, "1,000,000 times ours: another unit"),
        (-100, "100 times smaller than ours: dollars read as cents"),
        (-1_000, "1,000 times smaller than ours: another unit"),
    ],
)
def test_amounts_in_another_unit_are_named_as_such(factor: int, says: str) -> None:
    cost = 3 * DOLLAR * factor if factor > 0 else 3 * DOLLAR // -factor
    found = compared([line(DAY, "small", replace(USED, cost_pico=cost * 51 // 50))], [hour(DAY, "small", USED)])
    assert found.cause is Cause.UNIT
    assert says in found.says
    assert "--format" in found.says


def test_a_factor_needs_both_sides() -> None:
    assert unit_factor([Drift("requests", 1, 100)]) is None
    assert unit_factor([Drift("cost_nano", 0, 100), Drift("cost_nano", 100, 0)]) is None
    assert unit_factor([Drift("cost_nano", 100, 300)]) is None


@pytest.mark.parametrize("shift", [-8, 1, 14])
def test_days_of_another_time_zone_are_found(shift: int) -> None:
    first = start_of(DAY)
    hours = [
        BookedHour(first + number * HOUR_MICROS, "small", Figures(requests=number * number % 17, input_tokens=number))
        for number in range(-24, 96)
    ]
    days: dict[str, int] = {}
    for each in hours:
        day = next(iter(booked_days([replace(each, hour_start_micros=each.hour_start_micros + shift * HOUR_MICROS)])))
        days[day[0]] = days.get(day[0], 0) + (each.figures.input_tokens or 0)
    lines = [line(day, "small", Figures(input_tokens=days[day])) for day in (DAY, NEXT, "2026-11-26")]
    found = compared(lines, hours)
    assert found.cause is Cause.TIME_ZONE
    assert f"UTC{'+' if shift > 0 else '-'}{abs(shift)}, ours are UTC's" in found.says


def test_one_day_says_nothing_of_a_time_zone() -> None:
    hours = [hour(DAY, "small", Figures(requests=5), 0), hour(DAY, "small", Figures(requests=5), 20)]
    assert hours_shifted({DAY: Figures(requests=5)}, hours) is None
    assert hours_shifted({}, hours) is None
    assert hours_shifted({DAY: Figures(requests=10), NEXT: Figures()}, hours) is None


def test_a_bill_that_tells_whole_days_is_compared_with_all_models() -> None:
    hours = [hour(DAY, "small", USED), hour(DAY, "acme/large", USED), hour(NEXT, "small", USED)]
    whole = Figures(cost_pico=6 * DOLLAR)
    found = compared([line(DAY, "", whole), line(NEXT, "small", Figures(cost_pico=DOLLAR))], hours, (attempt(LEFT),))
    assert [(row.day, row.model_id, row.cause) for row in found.rows] == [
        (DAY, "", Cause.AGREES),
        (NEXT, "small", Cause.PRICES),
    ]
    short = compared([line(DAY, "", Figures(cost_pico=DOLLAR))], hours, (attempt(LEFT),))
    assert "the whole day: the bill has less" in only(short).says
    assert only(short).doubts == {LEFT: 1}


def test_a_named_model_of_a_whole_day_stands_alone() -> None:
    hours = [hour(DAY, "small", USED), hour(DAY, "acme/large", USED)]
    lines = [line(DAY, "", Figures(requests=10)), line(DAY, "large", Figures(requests=10))]
    assert [row.agrees for row in compared(lines, hours).rows] == [True, True]


def test_voids_that_were_billed_come_first() -> None:
    behind = (attempt(POSSIBLE_SPEND, 1), attempt(ESTIMATED, 2))
    row = only(compared([line(DAY, "small", replace(USED, requests=11))], [hour(DAY, "small", USED)], behind))
    assert row.cause is Cause.BILLED_VOIDS
    assert "1 attempt was voided here after it was sent" in row.says
    assert row.doubts == {POSSIBLE_SPEND: 1, ESTIMATED: 1}


def test_counts_of_our_own_are_told_of() -> None:
    behind = (attempt(ESTIMATED, 1), attempt(RECOVERED, 2), attempt(POSSIBLE_SPEND, 3))
    row = only(compared([line(DAY, "small", replace(USED, input_tokens=9))], [hour(DAY, "small", USED)], behind))
    assert row.cause is Cause.ESTIMATED
    assert "2 attempts were counted here" in row.says


def test_attempts_that_seem_not_to_be_billed() -> None:
    behind = (attempt(LEFT, 1),)
    row = only(compared([line(DAY, "small", replace(USED, output_tokens=9))], [hour(DAY, "small", USED)], behind))
    assert row.cause is Cause.UNBILLED
    assert "the provider seems not to bill them" in row.says


def test_what_nothing_explains_says_so() -> None:
    row = only(compared([line(DAY, "small", replace(USED, cache_read_tokens=9))], [hour(DAY, "small", USED)]))
    assert row.cause is Cause.UNKNOWN
    assert "nothing here explains it" in row.says
    more = only(
        compared([line(DAY, "small", replace(USED, requests=90))], [hour(DAY, "small", USED)], (attempt(LEFT),))
    )
    assert more.cause is Cause.UNKNOWN


def test_requests_of_the_bill_that_are_not_here_are_listed() -> None:
    lines = [line(DAY, "small", Figures(requests=1), request_id=f"up_{number}") for number in (1, 2)]
    row = only(compared(lines, [hour(DAY, "small", Figures(requests=1))]))
    assert row.unmatched == ("up_2",)


def test_hours_and_attempts_of_other_days_are_left_out() -> None:
    hours = [hour(DAY, "small", USED), hour("2026-11-23", "small", USED), hour(NEXT, "small", USED)]
    assert only(compared([line(DAY, "small", USED)], hours, (attempt(LEFT, day=NEXT),))).agrees


def test_the_dearest_difference_speaks_for_the_whole() -> None:
    lines = [line(DAY, "small", replace(USED, cost_pico=0)), line(NEXT, "huge", replace(USED, cost_pico=1))]
    found = compared(lines, [hour(DAY, "small", USED)])
    assert (found.cause, found.drifting) == (Cause.PRICES, 2)
    counts = compared([line(DAY, "huge", Figures(output_tokens=5))], [])
    assert counts.cause is Cause.MODEL_UNKNOWN
    cached = compared([line(DAY, "huge", Figures(cache_read_tokens=5))], [])
    assert cached.cause is Cause.MODEL_UNKNOWN


def test_figures_tell_what_they_know() -> None:
    assert (Figures().tokens, Figures().cost_nano) == (None, None)
    assert Figures(input_tokens=3).tokens == 3
    assert Figures(cost_pico=1_500).cost_nano == 2
    assert start_of("1970-01-02") == DAY_MICROS
    assert format_percent(-15) == "-1.5 %"


def test_names_are_alike_but_for_date_case_and_signs() -> None:
    known = (
        KnownModel("claude-haiku-4.5", ("claude-haiku-4-5-20251001", "Claude Haiku 4.5")),
        KnownModel("acme/gpt-5.4", ("gpt-5.4",)),
        KnownModel("small"),
    )
    billed = [
        "Claude Haiku 4.5",
        "claude-haiku-4-5",
        "gpt-5.4-2026-03-01",
        "GPT-5.4",
        "openai/gpt-5.4",
        "tiny",
        "",
        "x",
    ]
    assert names_on_bill(billed, known, {"x": "small"}) == {
        "Claude Haiku 4.5": "claude-haiku-4.5",
        "claude-haiku-4-5": "claude-haiku-4.5",
        "gpt-5.4-2026-03-01": "acme/gpt-5.4",
        "GPT-5.4": "acme/gpt-5.4",
        "openai/gpt-5.4": "acme/gpt-5.4",
        "x": "small",
    }
