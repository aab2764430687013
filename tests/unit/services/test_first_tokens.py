"""The last times to a first token of each deployment."""

from __future__ import annotations

from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.services.first_tokens import LAST_ANSWERS, MAX_DEPLOYMENTS, FirstTokens
from headrace.testing.clock import FakeClock


def an_end(seconds: float | None, deployment: str | None = "dep_1", *, stream: bool = True) -> AttemptEnd:
    names = ("req_1", "att_1", "chat", "prod-llm", "dedicated", "complete", None)
    return AttemptEnd(*names, seconds, 9.0, None, 0, 0, stream=stream, deployment=deployment)


def test_it_is_the_median_of_the_last_streams() -> None:
    seen = FirstTokens(FakeClock())
    assert seen.first_token_ms("dep_1") is None
    for seconds in (0.1, 0.3, 0.2):
        seen.attempt_ended(an_end(seconds))
    assert seen.first_token_ms("dep_1") == 200.0
    for _ in range(LAST_ANSWERS):
        seen.attempt_ended(an_end(0.5))
    assert seen.first_token_ms("dep_1") == 500.0
    seen.request_ended(RequestEnd("req_1", "POST", "/", 200, 1.0))


def test_what_is_a_minute_old_says_nothing() -> None:
    clock = FakeClock()
    seen = FirstTokens(clock)
    seen.attempt_ended(an_end(4.0))
    clock.advance(59)
    seen.attempt_ended(an_end(1.0))
    clock.advance(2)
    assert seen.first_token_ms("dep_1") == 1000.0
    clock.advance(60)
    assert seen.first_token_ms("dep_1") is None


def test_providers_whole_answers_and_those_without_an_event_are_not_heard() -> None:
    seen = FirstTokens(FakeClock())
    seen.attempt_ended(an_end(1.0, None))
    seen.attempt_ended(an_end(None))
    seen.attempt_ended(an_end(1.0, stream=False))
    assert seen.first_token_ms("dep_1") is None


def test_its_memory_is_bounded() -> None:
    seen = FirstTokens(FakeClock())
    for number in range(MAX_DEPLOYMENTS + 1):
        seen.attempt_ended(an_end(1.0, f"dep_{number}"))
    assert seen.first_token_ms("dep_0") is None
    assert seen.first_token_ms(f"dep_{MAX_DEPLOYMENTS}") == 1000.0
