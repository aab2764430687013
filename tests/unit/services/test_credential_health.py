"""What is learnt of several credentials of one provider, and who is asked first."""

import pytest

from headrace.domain.errors import HeadraceError, UpstreamAuthFailed, UpstreamQuota, UpstreamRateLimited
from headrace.domain.health import CredentialHealth, CredentialState, Resting
from headrace.domain.plan import Target
from headrace.services.credential_health import MAX_RESTS, REFUSED_CREDENTIAL_SECONDS, CredentialsHealth
from tests.fakes.nouns import a_credential, a_model, a_target, targets_of

ONE, TWO = a_credential("sk-1", "one"), a_credential("sk-2", "two")
LARGE, LARGE_TWO = targets_of(a_target(a_model("large")), ONE, TWO)
SMALL, SMALL_TWO = targets_of(a_target(a_model("small")), ONE, TWO)
REFUSED = Resting("upstream_auth_failed", REFUSED_CREDENTIAL_SECONDS)


@pytest.mark.parametrize("error", [UpstreamAuthFailed("x"), UpstreamQuota("x")])
def test_a_refused_credential_rests_for_every_model_and_the_other_does_not(error: HeadraceError) -> None:
    health = CredentialsHealth()
    health.refused(LARGE, error, 401, 0.0)
    assert [health.resting(each, 0.0) for each in (LARGE, SMALL)] == [Resting(error.code, 60.0)] * 2
    assert [health.resting(each, 0.0) for each in (LARGE_TWO, SMALL_TWO)] == [None, None]
    assert health.resting(LARGE, 60.0) is None


def test_it_stays_refused_in_words_until_it_is_taken_by_an_attempt_that_began_later() -> None:
    health = CredentialsHealth()
    health.refused(LARGE, UpstreamAuthFailed("x"), 401, 5.0)
    health.taken(SMALL, 4.0)
    assert health.resting(LARGE, 5.0) == REFUSED
    assert health.health("acme", ONE, 70.0) == CredentialHealth(CredentialState.REFUSED, "upstream_auth_failed", 5.0)
    health.refused(LARGE, UpstreamAuthFailed("x"), 401, 70.0)
    known = health.health("acme", ONE, 70.0)
    assert (known.since, known.until) == (5.0, 130.0)
    health.taken(SMALL, 130.0)
    assert health.health("acme", ONE, 130.0) == CredentialHealth()


def test_one_model_alone_may_be_refused_or_slowed_down() -> None:
    health = CredentialsHealth()
    health.refused(LARGE, UpstreamAuthFailed("x"), 403, 0.0)
    assert (health.resting(LARGE, 0.0), health.resting(SMALL, 0.0)) == (REFUSED, None)
    known = health.health("acme", ONE, 0.0)
    assert known == CredentialHealth(CredentialState.REFUSED, "upstream_auth_failed", None, 60.0, ("large",))
    health.refused(SMALL, UpstreamRateLimited("x", retry_after_seconds=90.0), 429, 0.0)
    known = health.health("acme", ONE, 0.0)
    assert (known.state, known.until, known.models) == (CredentialState.RATE_LIMITED, 90.0, ("large", "small"))


def test_a_replaced_credential_begins_anew() -> None:
    health = CredentialsHealth()
    health.refused(LARGE, UpstreamAuthFailed("x"), 401, 0.0)
    renewed = a_credential("sk-new", "one")
    [again, _] = targets_of(a_target(a_model("large")), renewed, TWO)
    assert health.resting(again, 0.0) is None
    assert health.health("acme", renewed, 0.0) == CredentialHealth()


def test_what_is_remembered_is_bounded() -> None:
    health = CredentialsHealth()
    for number in range(MAX_RESTS + 1):
        [target, _] = targets_of(a_target(a_model(f"m{number}")), ONE, TWO)
        health.refused(target, UpstreamRateLimited("x", retry_after_seconds=1.0), 429, number * 2.0)
    assert len(health.health("acme", ONE, MAX_RESTS * 2.0).models) == 1


def test_targets_keep_their_order_and_only_siblings_change_places() -> None:
    health = CredentialsHealth()
    other = a_target(a_model("other"))
    health.began(LARGE)
    plan = (LARGE, LARGE_TWO, other, SMALL, SMALL_TWO)
    assert health.spread(plan) == (LARGE_TWO, LARGE, other, SMALL_TWO, SMALL)
    alone: tuple[Target, ...] = (other, a_target())
    assert health.spread(alone) is alone
