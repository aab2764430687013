"""Rate limits on the request path: counted everywhere or nowhere, settled by what was used, given back once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.access import AccessKey, Role
from headrace.domain.call import Call, Dialect
from headrace.domain.errors import RateLimited
from headrace.domain.plan import Plan
from headrace.domain.rate_limit import RateLimits, ScopedLimits
from headrace.domain.snapshot import Snapshot
from headrace.domain.usage import Usage
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.services.limits import MOST_REMEMBERED, Admission, Limits
from headrace.testing.clock import FakeClock
from tests.fakes.nouns import CALLER, a_call, a_model, a_plan, a_target

ONE, TWO = a_target(a_model("one")), a_target(a_model("two"))
KEY, TEAM = f"key:{CALLER.key_id}", f"team:{CALLER.team}"
CALL = a_call(max_tokens=80)
PROMPT = -(-CALL.envelope.body_bytes // 4)
ESTIMATE = PROMPT + 80


def snapshot_of(**by_scope: RateLimits) -> Snapshot:
    limits = {scope.replace("_", ":", 1): each for scope, each in by_scope.items()}
    return Snapshot(1, {}, {}, {}, limits={scope: ScopedLimits(scope, each, 1) for scope, each in limits.items()})


class Gate:
    """Limits with a clock, and short words for what a request does."""

    def __init__(self, **by_scope: RateLimits) -> None:
        self.clock = FakeClock()
        self.limits = Limits(self.clock)
        self.limits.follow(snapshot_of(**by_scope))

    def admit(self, call: Call = CALL, *, plan: Plan | None = None) -> Admission:
        admission = self.limits.standing(call.caller).admit(call, plan or a_plan(ONE))
        admission.__enter__()
        return admission

    def refused(self, call: Call = CALL, *, plan: Plan | None = None) -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            self.admit(call, plan=plan)
        return caught.value

    def attempt(self, call: Call = CALL, model: str = "one", usage: Usage | None = None) -> None:
        ending = "voided" if usage is None else "complete"
        self.limits.attempt_ended(
            AttemptEnd(call.request_id, "att", "chat", model, "acme", ending, None, None, 0.1, usage, 0, 0)
        )

    def headers(self, dialect: Dialect = Dialect.CHAT) -> dict[str, str]:
        return dict(self.limits.standing(CALLER, dialect).headers())

    def left(self) -> int:
        return int(self.headers()["x-ratelimit-remaining-tokens"])


def end(admission: Admission) -> None:
    admission.__exit__(None, None, None)


def named(call: Call, name: str) -> Call:
    return replace(call, request_id=name)


def test_without_limits_nothing_is_counted_and_nothing_is_told() -> None:
    gate = Gate()
    plan = a_plan(ONE)
    with gate.limits.standing(CALLER).admit(CALL, plan) as admitted:
        gate.attempt(usage=Usage(output_text=5))
        assert admitted is plan
    assert gate.headers() == {}
    gate.limits.request_ended(RequestEnd("req_1", "POST", "/v1", 200, 0.1))


@pytest.mark.parametrize("scope", ["platform", TEAM, KEY, "model:one"])
def test_every_scope_of_a_request_refuses_it_and_says_so(scope: str) -> None:
    gate = Gate(**{scope.replace(":", "_", 1): RateLimits(requests_per_minute=2)})
    for _ in range(2):
        admission = gate.admit()
        gate.attempt()
        end(admission)
    error = gate.refused()
    assert (error.status, error.code, error.retry_after_seconds) == (429, "rate_limit_exceeded", 30.0)
    assert error.extra == {"scope": scope, "limit": "requests_per_minute"}
    assert error.message == (
        f"{scope} may make 2 requests per minute and has 0 left. Wait 30 s, or ask the operator to raise the limit."
    )
    assert gate.limits.refused == {(scope.partition(":")[0], "requests_per_minute"): 1}
    gate.clock.advance(30)
    end(gate.admit())


def test_other_keys_teams_and_models_are_not_concerned() -> None:
    full = RateLimits(requests_per_minute=1)
    gate = Gate(key_other=full, team_other=full, model_two=full)
    for _ in range(3):
        end(gate.admit())
    assert gate.headers() == {}


def test_a_refused_request_is_counted_nowhere() -> None:
    gate = Gate(platform=RateLimits(requests_per_minute=9), key_key1=RateLimits(requests_per_minute=1))
    end(gate.admit())
    for _ in range(5):
        gate.refused()
    gate.limits.follow(snapshot_of(platform=RateLimits(requests_per_minute=9)))
    assert gate.headers()["x-ratelimit-remaining-requests"] == "8"


def test_the_longest_wait_of_all_scopes_is_told() -> None:
    gate = Gate(platform=RateLimits(requests_per_minute=1), key_key1=RateLimits(requests_per_day=1))
    end(gate.admit())
    error = gate.refused()
    assert (error.extra["scope"], error.retry_after_seconds) == (KEY, 86_400.0)


def test_the_estimate_is_held_and_the_true_usage_is_spent() -> None:
    gate = Gate(key_key1=RateLimits(tokens_per_minute=1000))
    admission = gate.admit()
    assert gate.left() == 1000 - ESTIMATE
    gate.attempt(usage=Usage(input_fresh=7, input_cache_read=3, output_text=11, output_reasoning=2))
    assert gate.left() == 1000 - 23
    end(admission)
    assert gate.left() == 1000 - 23


def test_a_request_that_used_nothing_gets_its_tokens_back() -> None:
    gate = Gate(key_key1=RateLimits(tokens_per_minute=1000))
    end(gate.admit())
    assert gate.left() == 1000
    admission = gate.admit()
    gate.attempt()
    assert gate.left() == 1000 - ESTIMATE
    end(admission)
    assert gate.left() == 1000


def test_the_usage_of_every_attempt_counts_once() -> None:
    gate = Gate(key_key1=RateLimits(tokens_per_minute=1000))
    admission = gate.admit()
    gate.attempt()
    gate.attempt(usage=Usage(output_text=20))
    gate.attempt(usage=Usage(output_text=30))
    end(admission)
    assert gate.left() == 950
    gate.attempt(usage=Usage(output_text=500))
    assert gate.left() == 950


def test_more_than_was_held_is_a_debt() -> None:
    gate = Gate(key_key1=RateLimits(tokens_per_minute=200))
    admission = gate.admit()
    gate.attempt(usage=Usage(output_text=300))
    end(admission)
    assert gate.left() == 0
    error = gate.refused()
    assert error.retry_after_seconds == pytest.approx((100 + ESTIMATE) * 60 / 200)


def test_requests_at_once_are_given_back_exactly_once() -> None:
    gate = Gate(key_key1=RateLimits(concurrent_requests=2))
    first, second = gate.admit(named(CALL, "a")), gate.admit(named(CALL, "b"))
    error = gate.refused()
    assert (error.extra["limit"], error.retry_after_seconds) == ("concurrent_requests", 1.0)
    assert "until one of them has ended" in error.message
    end(first)
    end(first)
    third = gate.admit(named(CALL, "c"))
    gate.refused()
    end(second)
    end(third)


def test_a_request_that_never_fits_is_told_what_would() -> None:
    gate = Gate(key_key1=RateLimits(tokens_per_minute=PROMPT + 50))
    error = gate.refused()
    assert (error.code, error.param, error.retry_after_seconds) == ("request_over_limit", "max_tokens", None)
    assert "Lower max_tokens to at most 50, or" in error.message
    end(gate.admit(a_call(max_tokens=50)))
    gate.limits.follow(snapshot_of(key_key1=RateLimits(tokens_per_minute=PROMPT - 1)))
    error = gate.refused()
    assert (error.param, "Shorten the prompt, or" in error.message) == (None, True)


def test_without_a_cap_the_models_own_is_held() -> None:
    gate = Gate(key_key1=RateLimits(tokens_per_minute=1000))
    call = a_call()
    gate.admit(call)
    assert gate.left() == 1000 - 256 - -(-call.envelope.body_bytes // 4)


def test_a_full_model_is_left_out_while_another_target_remains() -> None:
    gate = Gate(model_one=RateLimits(requests_per_minute=1))
    plan = a_plan(ONE, TWO, ONE)
    end_of_first = gate.admit(plan=plan)
    assert end_of_first.plan is plan
    gate.attempt(model="one", usage=Usage(output_text=1))
    end(end_of_first)
    second = gate.admit(plan=plan)
    assert [target.model.id for target in second.plan.targets] == ["two"]
    assert {(each.model_id, each.code) for each in second.plan.excluded} == {("one", "rate_limit_exceeded")}
    assert gate.limits.refused == {}
    assert gate.refused(plan=a_plan(ONE)).extra["scope"] == "model:one"


def test_when_every_model_is_full_the_shortest_wait_is_told() -> None:
    gate = Gate(model_one=RateLimits(requests_per_day=1), model_two=RateLimits(requests_per_minute=1))
    admission = gate.admit(plan=a_plan(ONE, TWO))
    gate.attempt(model="one")
    gate.attempt(model="two")
    end(admission)
    error = gate.refused(plan=a_plan(ONE, TWO))
    assert (error.extra["scope"], error.retry_after_seconds) == ("model:two", 60.0)
    gate.limits.follow(snapshot_of(model_one=RateLimits(tokens_per_day=1), model_two=RateLimits(requests_per_minute=1)))
    assert gate.refused(plan=a_plan(ONE, TWO)).extra["scope"] == "model:two"


def test_a_model_that_was_never_asked_did_not_have_the_request() -> None:
    gate = Gate(
        model_one=RateLimits(requests_per_minute=1, tokens_per_minute=1000), model_two=RateLimits(requests_per_minute=1)
    )
    admission = gate.admit(plan=a_plan(ONE, TWO))
    gate.refused(plan=a_plan(TWO))
    gate.attempt(model="one", usage=Usage(output_text=9))
    end(admission)
    assert gate.refused(plan=a_plan(ONE)).extra["scope"] == "model:one"
    end(gate.admit(plan=a_plan(TWO)))


def test_the_headers_tell_of_the_model_that_is_asked_first_in_the_callers_dialect() -> None:
    gate = Gate(platform=RateLimits(requests_per_minute=60), model_one=RateLimits(tokens_per_minute=1000))
    standing = gate.limits.standing(CALLER, Dialect.MESSAGES)
    assert "x-ratelimit-limit-tokens" not in dict(standing.headers())
    with standing.admit(CALL, a_plan(ONE)):
        told = dict(standing.headers())
    assert told["anthropic-ratelimit-tokens-remaining"] == str(1000 - ESTIMATE)
    assert told["x-ratelimit-limit-requests"] == "60"
    assert "anthropic-ratelimit-requests-limit" not in gate.headers()


def test_a_failure_inside_gives_the_slot_back() -> None:
    gate = Gate(key_key1=RateLimits(concurrent_requests=1))
    with pytest.raises(LookupError), gate.limits.standing(CALLER).admit(CALL, a_plan(ONE)):
        raise LookupError
    end(gate.admit())


def test_ever_more_keys_are_not_remembered_and_limits_hold_all_the_same() -> None:
    gate = Gate(platform=RateLimits(requests_per_minute=1))
    end(gate.admit())
    for index in range(MOST_REMEMBERED + 1):
        gate.limits.standing(replace(CALLER, key_id=f"key{index}"))
    gate.refused()


def test_changed_limits_hold_at_once_and_keep_the_count() -> None:
    gate = Gate(key_key1=RateLimits(requests_per_minute=1))
    running = gate.admit()
    gate.refused()
    gate.limits.follow(snapshot_of(key_key1=RateLimits(requests_per_minute=3)))
    end(gate.admit(named(CALL, "b")))
    assert gate.headers()["x-ratelimit-remaining-requests"] == "1"
    gate.limits.follow(snapshot_of())
    assert gate.headers() == {}
    end(gate.admit(named(CALL, "c")))
    gate.limits.follow(snapshot_of(key_key1=RateLimits(concurrent_requests=1)))
    assert gate.refused(named(CALL, "d")).extra["limit"] == "concurrent_requests"
    end(running)
    end(gate.admit(named(CALL, "e")))


def regenerated(*keys: str) -> Snapshot:
    """A snapshot in which each key has replaced the one before it, all with the same limit."""
    chain: dict[str, AccessKey] = {}
    for at, key in enumerate(keys):
        revoked_at, first = (None if at == len(keys) - 1 else 1), (keys[0] if at else None)
        chain[key] = AccessKey(key, "web", Role.KEY, CALLER.team, b"", None, 0, revoked_at, None, first)
    few = RateLimits(requests_per_day=3)
    return replace(snapshot_of(**{f"key_{key}": few for key in keys}), keys=chain)


def test_a_key_that_replaces_another_has_what_was_left_to_it() -> None:
    gate, first = Gate(key_key1=RateLimits(requests_per_day=3)), CALLER.key_id
    running = gate.admit()
    gate.admit().__exit__(None, None, None)
    gate.limits.follow(regenerated(first, "key2"))
    second = replace(CALL, caller=replace(CALLER, key_id="key2", first_id=first))
    gate.admit(second).__exit__(None, None, None)
    refused = gate.refused(second)
    assert refused.extra["scope"] == "key:key2"
    running.__exit__(None, None, None)
    gate.limits.follow(regenerated(first, "key2", "key3"))
    third = replace(CALL, caller=replace(CALLER, key_id="key3", first_id=first))
    assert gate.refused(third).extra["scope"] == "key:key3"


def test_a_lifted_limit_that_nothing_runs_under_is_forgotten() -> None:
    gate = Gate(key_key1=RateLimits(requests_per_minute=1))
    end(gate.admit())
    gate.limits.follow(snapshot_of())
    gate.limits.follow(snapshot_of(key_key1=RateLimits(requests_per_minute=1)))
    end(gate.admit())


def test_what_surely_does_not_fit_is_refused_before_anybody_is_chosen() -> None:
    Gate().limits.unlimited.require_room(CALL)
    gate = Gate(platform=RateLimits(requests_per_minute=1, tokens_per_minute=PROMPT))
    standing = gate.limits.standing(CALLER)
    standing.require_room(CALL)
    standing.require_room(CALL)
    with pytest.raises(RateLimited):
        gate.limits.standing(CALLER).require_room(a_call(pad="x" * 400))
    gate.admit(replace(CALL, envelope=replace(CALL.envelope, output_cap=0)))
    with pytest.raises(RateLimited) as caught:
        standing.require_room(CALL)
    assert caught.value.extra["limit"] in ("requests_per_minute", "tokens_per_minute")


def test_a_question_that_goes_to_no_model_counts_as_a_request_only() -> None:
    gate = Gate(
        platform=RateLimits(requests_per_minute=2, tokens_per_minute=1), model_one=RateLimits(requests_per_day=1)
    )
    question = replace(CALL, envelope=replace(CALL.envelope, prompt_tokens=0))
    nobody = Plan("router:support", ())
    for _ in range(2):
        end(gate.admit(question, plan=nobody))
    assert gate.refused(question, plan=nobody).extra["limit"] == "requests_per_minute"
