"""What target health learns of attempts, and what planning reads from it."""

import asyncio

import pytest

from headrace.domain.errors import (
    HeadraceError,
    MeteringUnavailable,
    UpstreamAuthFailed,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from headrace.domain.health import BreakerRules, BreakerState, CredentialState, Resting
from headrace.domain.plan import Target
from headrace.services.credential_health import REFUSED_CREDENTIAL_SECONDS
from headrace.services.health import BREAKER_OPEN, TargetHealth
from tests.fakes.nouns import LOCAL, a_credential, a_model, a_target, targets_of

ONE, TWO = a_target(a_model("one")), a_target(a_model("two"))
LIMITED = "upstream_rate_limited"


def attempt(
    health: TargetHealth, target: Target, error: BaseException | None, *, at: float = 0.0, status: int | None = None
) -> None:
    health.began(target, at).ended(error, status, at)


@pytest.mark.parametrize(("asked", "wait"), [(None, 1.0), (0.5, 0.5), (30.0, 30.0), (3600.0, 3600.0)])
def test_a_target_that_asks_to_wait_rests_so_long(asked: float | None, wait: float) -> None:
    health = TargetHealth()
    attempt(health, ONE, UpstreamRateLimited("x", retry_after_seconds=asked), at=5.0)
    assert health.resting(ONE, 5.0) == Resting(LIMITED, wait)
    assert health.resting(TWO, 5.0) is None
    assert health.resting(ONE, 5.0 + wait) is None


def test_no_wait_is_no_rest_and_a_shorter_one_shortens_nothing() -> None:
    health = TargetHealth()
    attempt(health, ONE, UpstreamRateLimited("x", retry_after_seconds=0.0))
    assert health.resting(ONE, 0.0) is None
    attempt(health, ONE, UpstreamRateLimited("x", retry_after_seconds=9.0))
    attempt(health, ONE, UpstreamUnavailable("x", retry_after_seconds=2.0))
    assert health.resting(ONE, 1.0) == Resting(LIMITED, 8.0)


@pytest.mark.parametrize("error", [UpstreamUnavailable("x"), UpstreamTimeout("x")])
def test_failures_in_a_row_open_the_breaker(error: HeadraceError) -> None:
    health = TargetHealth()
    for _ in range(3):
        assert health.resting(ONE, 0.0) is None
        attempt(health, ONE, error)
    assert health.resting(ONE, 0.25) == Resting(BREAKER_OPEN, 0.75)
    [state] = health.states(0.25)
    assert (state.breaker, state.in_flight) == (BreakerState.OPEN, 0)


@pytest.mark.parametrize(
    "error",
    [
        None,
        UpstreamRefused("x"),
        asyncio.CancelledError(),
        MeteringUnavailable("x"),
        UpstreamRateLimited("x", retry_after_seconds=0.0),
    ],
)
def test_what_is_not_its_failure_opens_nothing(error: BaseException | None) -> None:
    health = TargetHealth()
    for _ in range(10):
        attempt(health, ONE, error)
    assert health.resting(ONE, 0.0) is None


def test_a_deployment_of_our_own_has_no_breaker() -> None:
    local, health = a_target(a_model("here", local=LOCAL)), TargetHealth()
    for _ in range(10):
        attempt(health, local, UpstreamUnavailable("x"))
    assert health.resting(local, 0.0) is None


def test_a_probe_has_proved_the_target_at_its_first_event() -> None:
    health = TargetHealth(BreakerRules(failures_to_open=1, probes=(1,)))
    attempt(health, ONE, UpstreamUnavailable("x"))
    trial = health.began(ONE, 2.0)
    assert health.resting(ONE, 2.0) == Resting(BREAKER_OPEN, 1.0)
    trial.answered()
    assert health.resting(ONE, 2.0) is None
    trial.answered()
    trial.ended(None, 200, 3.0)
    assert health.states(3.0)[0].breaker is BreakerState.CLOSED


def test_a_probe_whose_caller_leaves_is_made_by_the_next() -> None:
    health = TargetHealth(BreakerRules(failures_to_open=1))
    attempt(health, ONE, UpstreamUnavailable("x"))
    health.began(ONE, 2.0).ended(asyncio.CancelledError(), None, 2.0)
    assert health.resting(ONE, 2.0) is None


@pytest.mark.parametrize(
    ("error", "status", "code", "is_whole"),
    [
        (UpstreamAuthFailed("x"), 401, "upstream_auth_failed", True),
        (UpstreamQuota("x"), 402, "upstream_quota_exhausted", True),
        (UpstreamAuthFailed("x"), 403, "upstream_auth_failed", False),
    ],
)
def test_a_refused_credential_rests_until_it_is_renewed(
    error: HeadraceError, status: int, code: str, is_whole: bool
) -> None:
    old = a_credential("old")
    [one], [two] = targets_of(ONE, old), targets_of(TWO, old)
    health = TargetHealth()
    attempt(health, one, error, status=status)
    assert health.resting(one, 0.0) == Resting(code, REFUSED_CREDENTIAL_SECONDS)
    assert (health.resting(two, 0.0) is not None) is is_whole
    assert health.resting(one, REFUSED_CREDENTIAL_SECONDS) is None
    attempt(health, one, error, status=status)
    [renewed] = targets_of(TWO, a_credential("new"))
    assert health.resting(renewed, 0.0) is None
    assert health.credential("acme", old, 0.0).state is CredentialState.REFUSED


def test_a_missing_credential_is_no_news_of_the_provider() -> None:
    health = TargetHealth()
    attempt(health, ONE, UpstreamAuthFailed("x"))
    assert health.resting(ONE, 0.0) is None


def test_load_is_kept_per_target() -> None:
    health = TargetHealth()
    trials = [health.began(ONE, 0.0), health.began(ONE, 0.0)]
    [state] = health.states(0.0)
    assert (state.provider, state.model_id, state.in_flight, state.resting) == ("acme", "one", 2, None)
    trials[0].ended(None, 200, 1.0)
    assert health.states(1.0)[0].in_flight == 1


def test_its_memory_is_bounded_and_keeps_what_runs() -> None:
    health = TargetHealth(max_targets=3)
    running = health.began(ONE, 0.0)
    for number in range(20):
        attempt(health, a_target(a_model(f"m{number}")), None)
    names = [state.model_id for state in health.states(0.0)]
    assert len(names) == 3
    assert "one" in names
    running.ended(None, 200, 0.0)
