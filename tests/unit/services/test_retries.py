"""How much retries may be of the load, and where a request goes after a failure."""

from dataclasses import replace

import pytest

from headrace.domain.errors import (
    EngineFailed,
    Forbidden,
    HeadraceError,
    InvalidRequest,
    MeteringUnavailable,
    UpstreamAuthFailed,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamResting,
    UpstreamUnavailable,
)
from headrace.domain.plan import Target
from headrace.services.health import TargetHealth
from headrace.services.retries import CONNECTION_REUSED, Course, RetryBudget, Step, is_too_long
from tests.fakes.nouns import a_credential, a_model, a_plan, a_target, targets_of

ONE, TWO, THREE = (a_target(a_model(name)) for name in ("one", "two", "three"))
BIG = a_target(replace(a_model("big"), context_length=100_000))
DOWN = UpstreamUnavailable("x")


def a_course(*targets: Target, health: TargetHealth | None = None, budget: RetryBudget | None = None) -> Course:
    used = (budget or RetryBudget()).request()
    return Course(a_plan(*targets), health or TargetHealth(), used.__enter__(), 0.0, 100.0)


def after(course: Course, error: HeadraceError, now: float = 0.0) -> Step | None:
    return course.after(error, now, is_delivered=False)


@pytest.mark.parametrize(("in_flight", "most"), [(1, 3), (15, 3), (19, 3), (20, 4), (100, 20)])
def test_retries_are_a_fifth_of_the_load_and_three_at_least(in_flight: int, most: int) -> None:
    budget = RetryBudget()
    contexts = [budget.request() for _ in range(in_flight)]
    requests = [context.__enter__() for context in contexts]
    assert sum(each.take() for each in requests * 3) == most
    assert budget.denied == in_flight * 3 - most
    for context in contexts:
        context.__exit__(None, None, None)
    assert (budget.in_flight, budget.retries) == (0, 0)


def test_a_failure_goes_on_in_order_and_each_has_one_answer() -> None:
    course = a_course(ONE, TWO, THREE)
    assert course.first(0.0) == Step(ONE)
    error = UpstreamUnavailable("x")
    assert after(course, error) == after(course, error) == Step(TWO)
    assert after(course, UpstreamAuthFailed("x")) == Step(THREE)
    assert after(course, EngineFailed("x")) is None


@pytest.mark.parametrize("error", [UpstreamRefused("no"), MeteringUnavailable("x"), Forbidden("x")])
def test_what_another_target_would_not_cure_is_the_last_word(error: HeadraceError) -> None:
    assert after(a_course(ONE, TWO), error) is None


def test_nothing_follows_delivered_content_or_a_defect() -> None:
    assert a_course(ONE, TWO).after(DOWN, 0.0, is_delivered=True) is None
    assert a_course(ONE, TWO).after(ZeroDivisionError(), 0.0, is_delivered=False) is None


@pytest.mark.parametrize(("wait", "stays"), [(0.0, True), (1.5, True), (2.0, True), (2.1, False), (None, False)])
def test_a_short_wait_that_was_asked_for_stays_once(wait: float | None, stays: bool) -> None:
    course = a_course(ONE, TWO)
    step = after(course, UpstreamRateLimited("x", retry_after_seconds=wait))
    assert step == (Step(ONE, wait or 0.0) if stays else Step(TWO))
    if stays:
        assert after(course, UpstreamRateLimited("x", retry_after_seconds=wait)) == Step(TWO)


def test_a_connection_that_died_idle_is_tried_again_once() -> None:
    course = a_course(ONE)
    assert after(course, UpstreamUnavailable("x", code=CONNECTION_REUSED)) == Step(ONE)
    assert after(course, UpstreamUnavailable("x", code=CONNECTION_REUSED)) is None


def test_a_request_too_long_goes_to_a_larger_context_only() -> None:
    too_long = UpstreamRefused("x", code="context_length_exceeded")
    assert after(a_course(ONE, TWO, BIG), too_long) == Step(BIG)
    assert after(a_course(ONE, TWO), too_long) is None


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (UpstreamRefused("x", code="context_length_exceeded"), True),
        (UpstreamRefused("The provider refused the request: prompt is too long: 9 > 8"), True),
        (UpstreamRefused("This model's maximum context length is 8 tokens."), True),
        (UpstreamRefused("messages must not be empty"), False),
        (UpstreamUnavailable("context length"), False),
    ],
)
def test_how_a_request_that_is_too_long_is_told(error: HeadraceError, is_so: bool) -> None:
    assert is_too_long(error) is is_so


def test_a_target_that_cannot_express_the_request_is_passed_over_for_free() -> None:
    budget = RetryBudget(floor=0)
    course = a_course(ONE, TWO, budget=budget)
    assert after(course, InvalidRequest("logprobs")) == Step(TWO)
    assert (budget.retries, budget.denied) == (0, 0)


def test_without_budget_or_time_the_failure_stands() -> None:
    budget = RetryBudget(floor=0)
    assert after(a_course(ONE, TWO, budget=budget), DOWN) is None
    assert budget.denied == 1
    assert after(a_course(ONE, TWO), DOWN, now=100.0) is None
    assert after(a_course(ONE), UpstreamRateLimited("x", retry_after_seconds=2.0), now=98.5) is None


KEYS = (a_credential("sk-1", "default"), a_credential("sk-2", "spare"), a_credential("sk-3", "third"))


@pytest.mark.parametrize(
    "error",
    [
        UpstreamAuthFailed("x"),
        UpstreamQuota("x"),
        UpstreamRateLimited("x"),
        UpstreamRateLimited("x", retry_after_seconds=1.0),
    ],
)
def test_a_failure_of_the_credential_is_answered_by_the_providers_next_one(error: HeadraceError) -> None:
    first, second, _ = targets = targets_of(ONE, *KEYS)
    course = a_course(TWO, *targets, TWO)
    course.first(0.0)
    assert after(course, DOWN) == Step(first)
    assert after(course, error) == Step(second)


def test_a_short_wait_is_waited_for_when_no_credential_is_left() -> None:
    course = a_course(*targets_of(ONE, *KEYS[:2]), TWO)
    limited = [UpstreamRateLimited("x", retry_after_seconds=1.0) for _ in range(3)]
    first, second, third = (after(course, each) for each in limited)
    assert first is not None and first.target.credential is KEYS[1]
    assert second == Step(first.target, 1.0)
    assert third == Step(TWO)


def test_another_credential_is_no_help_against_a_failing_upstream() -> None:
    targets = targets_of(ONE, *KEYS)
    assert after(a_course(*targets, TWO), DOWN) == Step(TWO)
    assert after(a_course(*targets), DOWN) is None


def test_a_credential_that_rests_is_passed_over() -> None:
    health = TargetHealth()
    first, second, third = targets_of(ONE, *KEYS)
    rest(health, second, UpstreamAuthFailed("x"), 401)
    course = a_course(first, second, third, health=health)
    assert course.first(0.0) == Step(first)
    assert after(course, UpstreamAuthFailed("x")) == Step(third)
    assert after(course, UpstreamAuthFailed("x")) is None


def test_requests_are_spread_over_the_credentials() -> None:
    health = TargetHealth()
    targets = targets_of(ONE, *KEYS)

    def chosen() -> Target:
        return a_course(*targets, health=health).first(0.0).target

    for expected in (*targets, *targets):
        assert chosen() is expected
        health.began(expected, 0.0).ended(None, 200, 0.0)
    busy = [health.began(targets[0], 0.0), health.began(targets[1], 0.0), health.began(targets[0], 0.0)]
    assert chosen() is targets[2]
    busy.append(health.began(targets[2], 0.0))
    assert chosen() is targets[1]
    for trial in busy:
        trial.ended(None, 200, 0.0)
    assert chosen() is targets[1]


def rest(health: TargetHealth, target: Target, error: HeadraceError, status: int | None = None) -> None:
    health.began(target, 0.0).ended(error, status, 0.0)


def test_a_resting_target_is_passed_over_at_every_step() -> None:
    health = TargetHealth()
    rest(health, ONE, UpstreamRateLimited("x", retry_after_seconds=50.0))
    course = a_course(ONE, TWO, THREE, health=health)
    assert course.first(0.0) == Step(TWO)
    [excluded] = course.excluded
    assert (excluded.model_id, excluded.code) == (ONE.model.id, "upstream_rate_limited")
    assert excluded.reason == "It is left alone for 50.0 s more."
    rest(health, THREE, UpstreamRateLimited("x", retry_after_seconds=5.0))
    assert after(course, DOWN) is None


@pytest.mark.parametrize(
    ("first", "second", "kind", "wait"),
    [
        (
            UpstreamRateLimited("x", retry_after_seconds=9.0),
            UpstreamRateLimited("x", retry_after_seconds=4.0),
            UpstreamRateLimited,
            4.0,
        ),
        (UpstreamAuthFailed("x"), UpstreamAuthFailed("x"), UpstreamAuthFailed, None),
        (UpstreamAuthFailed("x"), UpstreamRateLimited("x", retry_after_seconds=9.0), UpstreamResting, 9.0),
        (
            UpstreamUnavailable("x", retry_after_seconds=7.0),
            UpstreamRateLimited("x", retry_after_seconds=9.0),
            UpstreamResting,
            7.0,
        ),
    ],
)
def test_when_all_rest_the_caller_is_told_at_once_when_to_come_back(
    first: HeadraceError, second: HeadraceError, kind: type[HeadraceError], wait: float | None
) -> None:
    health = TargetHealth()
    for target, error in ((ONE, first), (TWO, second)):
        rest(health, target, error, 403)
    with pytest.raises(kind) as caught:
        a_course(ONE, TWO, health=health).first(0.0)
    assert type(caught.value) is kind
    assert caught.value.retry_after_seconds == wait


def test_the_last_word_names_who_was_asked_last_and_in_which_attempt() -> None:
    course = a_course(ONE, TWO)
    first = UpstreamUnavailable("x")
    assert course.after(first, 1.0, is_delivered=False) == Step(TWO)
    told = dict(course.last_word(UpstreamUnavailable("y"), 2.0, 2).told)
    assert told == {"x-headrace-model": "two", "x-headrace-provider": "acme", "x-headrace-attempts": "2"}
    health = TargetHealth()
    rest(health, ONE, UpstreamRateLimited("x", retry_after_seconds=9.0))
    assert first.told == a_course(ONE, health=health).last_word(UpstreamUnavailable("z"), 2.0, 1).told == ()


def test_the_last_word_carries_the_smallest_wait() -> None:
    health = TargetHealth()
    course = a_course(ONE, TWO, health=health)
    rest(health, ONE, UpstreamRateLimited("x", retry_after_seconds=9.0))
    rest(health, TWO, UpstreamRateLimited("x", retry_after_seconds=30.0))
    assert course.last_word(UpstreamRateLimited("x", retry_after_seconds=30.0), 2.0, 1).retry_after_seconds == 7.0
    assert course.last_word(UpstreamUnavailable("x"), 2.0, 1).retry_after_seconds is None
    assert a_course(THREE).last_word(UpstreamRateLimited("x"), 0.0, 1).retry_after_seconds == 1.0
