"""When alerts fire and are armed again, whatever figures and clocks do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.alert import EPISODE, HOUR_MICROS, Alert, Metric, Reading, Standing, Windows, judge, window_at
from headrace.domain.budget import Budget, BudgetMode, Window

NOON = 1_795_521_600_000_000
DAY = 86_400_000_000


def alert(metric: Metric, threshold: int) -> Alert:
    return Alert("alr_1", "mine", metric, "platform", threshold, 0, 0, (), None, NOON, NOON)


def fires(subject: Alert, readings: list[Reading | None]) -> tuple[list[bool], Windows]:
    standing, told = Standing(subject), list[bool]()
    for reading in readings:
        verdict = judge(standing, reading)
        told.append(verdict.fires)
        standing = replace(standing, fired=verdict.fired)
    return told, standing.fired


@pytest.mark.parametrize(("spent", "is_over"), [(79, False), (80, True), (81, True), (200, True)])
def test_a_share_fires_at_its_threshold(spent: int, is_over: bool) -> None:
    assert fires(alert(Metric.BUDGET_USED, 80), [Reading(spent, 100, NOON)])[0] == [is_over]


def test_shares_are_compared_without_rounding() -> None:
    limit = 3 * 10**18
    over = limit * 80 // 100
    assert fires(alert(Metric.BUDGET_USED, 80), [Reading(over - 1, limit, 0), Reading(over, limit, 0)])[0] == [
        False,
        True,
    ]


def test_a_budget_of_nothing_is_used_up() -> None:
    assert fires(alert(Metric.BUDGET_USED, 80), [Reading(0, 0, NOON)] * 3)[0] == [True, False, False]


def test_a_budget_fires_once_in_each_window() -> None:
    first = [Reading(each, 100, NOON) for each in (85, 90, 100)]
    second = [Reading(each, 100, NOON + DAY) for each in (0, 79, 80, 95)]
    told, fired = fires(alert(Metric.BUDGET_USED, 80), [*first, *second])
    assert told == [True, False, False, False, False, True, False]
    assert fired == (NOON, NOON + DAY)


def test_a_raised_limit_arms_a_budget_again_in_the_same_window() -> None:
    readings = [Reading(80, 100, NOON), Reading(80, 105, NOON), Reading(80, 200, NOON), Reading(170, 200, NOON)]
    assert fires(alert(Metric.BUDGET_USED, 80), list(readings))[0] == [True, False, False, True]


def test_an_error_rate_has_to_come_back_a_tenth_of_the_threshold() -> None:
    counted = [(9, 50), (10, 50), (91, 500), (10, 50), (90, 500), (10, 50)]
    readings: list[Reading | None] = [Reading(failed, attempts, EPISODE) for failed, attempts in counted]
    assert fires(alert(Metric.ERROR_RATE, 20), readings)[0] == [False, True, False, False, False, True]


def test_too_few_attempts_say_nothing_and_silence_ends_an_episode() -> None:
    bad = Reading(30, 40, EPISODE)
    told, _ = fires(alert(Metric.ERROR_RATE, 20), [None, bad, None, bad, Reading(0, 1, EPISODE), None, bad])
    assert told == [False, True, False, False, False, False, True]


def test_a_balance_fires_below_and_is_armed_above() -> None:
    left = [500, 101, 100, 0, 109, 100, 110, 100]
    told, _ = fires(alert(Metric.BALANCE_LEFT, 100), [Reading(each, 100, EPISODE) for each in left])
    assert told == [False, False, True, False, False, False, False, True]


def test_a_balance_of_nothing_is_armed_by_any_payment() -> None:
    told, _ = fires(alert(Metric.BALANCE_LEFT, 0), [Reading(each, 100, EPISODE) for each in (1, 0, 0, 1, 0)])
    assert told == [False, True, False, False, True]


def test_a_clock_that_is_set_back_and_forth_fires_nothing_twice() -> None:
    today, yesterday, tomorrow = Reading(90, 100, NOON), Reading(95, 100, NOON - DAY), Reading(85, 100, NOON + DAY)
    told, _ = fires(alert(Metric.BUDGET_USED, 80), [yesterday, today, yesterday, today, tomorrow, today, yesterday])
    assert told == [True, True, False, False, True, False, False]


def test_a_clock_that_was_far_ahead_silences_nothing() -> None:
    far = Reading(90, 100, NOON + 4000 * DAY)
    told, fired = fires(alert(Metric.COST_PER_HOUR, 90), [far, *(Reading(90, 100, NOON + n) for n in range(12))])
    assert told == [True] * 13
    assert len(fired) == 8


def test_without_a_subject_nothing_changes() -> None:
    assert fires(alert(Metric.BUDGET_USED, 80), [Reading(80, 100, NOON), None, Reading(80, 100, NOON)]) == (
        [True, False, False],
        (NOON,),
    )


def test_each_metric_has_its_window() -> None:
    budget = Budget("bud_1", "platform", Window.DAY, "UTC", 1, BudgetMode.REJECT, 0, 0)
    at = NOON + 1_234_567
    assert window_at(alert(Metric.BUDGET_USED, 1), budget, at) == NOON - DAY // 2
    assert window_at(alert(Metric.BUDGET_USED, 1), replace(budget, window=Window.TOTAL), at) == EPISODE
    assert window_at(alert(Metric.BUDGET_USED, 1), None, at) == EPISODE
    assert window_at(alert(Metric.COST_PER_HOUR, 1), None, at) == NOON
    assert window_at(alert(Metric.COST_PER_HOUR, 1), None, at - 2_000_000) == NOON - HOUR_MICROS
    assert window_at(alert(Metric.ERROR_RATE, 1), None, at) == EPISODE
