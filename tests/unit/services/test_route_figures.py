"""What models turn out to use and how fast they are, as it is learnt from their answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.candidate import NO_HABITS
from headrace.domain.usage import Usage
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.services.route_figures import RouteFigures

ANSWER = Usage(input_fresh=60, input_cache_read=40, output_text=200, output_reasoning=100)
END = AttemptEnd("req", "att", "chat", "one", "acme", "complete", None, 0.5, 1.5, ANSWER, 1, 1)


def an_end(usage: Usage | None = ANSWER, **fields: Any) -> AttemptEnd:
    return replace(END, usage=usage, **fields)


def ended(request: str) -> RequestEnd:
    return RequestEnd(request, "POST", "/v1/chat/completions", 200, 1.0)


def test_nothing_is_known_at_first() -> None:
    assert RouteFigures().habits("one", "acme", 100) == NO_HABITS


def test_habits_come_near_to_what_is_seen_again_and_again() -> None:
    figures = RouteFigures()
    for number in range(200):
        figures.predicted(f"req_{number}", 100.0)
        figures.attempt_ended(an_end(request_id=f"req_{number}"))
    habits = figures.habits("one", "acme", 100)
    assert habits.verbosity == pytest.approx(2.0, abs=0.05)
    assert habits.reasoning == pytest.approx(0.5, abs=0.02)
    assert habits.cached_share == pytest.approx(0.4, abs=0.02)
    assert habits.first_event_seconds == pytest.approx(0.5)
    assert habits.tokens_per_second == pytest.approx(300.0)
    assert habits.whole_seconds is None
    assert figures.habits("one", "other", 100) == NO_HABITS


def test_one_odd_answer_changes_little() -> None:
    figures = RouteFigures()
    figures.predicted("req", 100.0)
    figures.attempt_ended(an_end(Usage(input_fresh=10, output_text=700)))
    assert figures.habits("one", "acme", 10).verbosity == pytest.approx(2.0)


def test_the_newest_count_more_than_the_oldest() -> None:
    figures = RouteFigures()
    for seconds in (1.0,) * 50 + (3.0,) * 50:
        figures.attempt_ended(an_end(first_event_seconds=seconds, duration_seconds=9.0))
    assert 2.8 < (figures.habits("one", "acme", 100).first_event_seconds or 0) < 3.0


def test_times_belong_to_a_size_of_prompt_or_to_the_nearest_that_was_measured() -> None:
    figures = RouteFigures()
    for tokens, seconds in ((100, 0.1), (2_000, 1.0), (1_000_000, 9.0)):
        figures.attempt_ended(
            an_end(Usage(input_fresh=tokens, output_text=1), first_event_seconds=seconds, duration_seconds=10.0)
        )
    found = [figures.habits("one", "acme", tokens).first_event_seconds for tokens in (1, 256, 4_096, 5_000, 200_000)]
    assert found == pytest.approx([0.1, 0.1, 1.0, 1.0, 9.0])


def test_whole_replies_are_timed_to_their_end() -> None:
    figures = RouteFigures()
    figures.attempt_ended(an_end(stream=False, first_event_seconds=4.0, duration_seconds=4.0))
    habits = figures.habits("one", "acme", 100)
    assert (habits.whole_seconds, habits.first_event_seconds, habits.tokens_per_second) == (4.0, None, None)


def test_a_stream_in_one_event_has_no_pace() -> None:
    figures = RouteFigures()
    figures.attempt_ended(an_end(first_event_seconds=None))
    assert figures.habits("one", "acme", 100).first_event_seconds is None
    figures.attempt_ended(an_end(first_event_seconds=1.5, duration_seconds=1.5))
    assert figures.habits("one", "acme", 100).tokens_per_second is None


@pytest.mark.parametrize(
    "end",
    [
        an_end(None),
        an_end(Usage(output_text=5, source="counted")),
        an_end(ending="upstream_truncated"),
        an_end(operation="embeddings"),
    ],
)
def test_what_says_nothing_of_a_model_is_not_learnt(end: AttemptEnd) -> None:
    figures = RouteFigures()
    figures.attempt_ended(end)
    assert figures.habits("one", "acme", 100) == NO_HABITS


def test_without_a_prediction_nothing_is_learnt_of_verbosity() -> None:
    figures = RouteFigures(max_awaited=2)
    for number in range(3):
        figures.predicted(f"req_{number}", 100.0)
    figures.request_ended(ended("req_1"))
    for number in (0, 1):
        figures.attempt_ended(an_end(request_id=f"req_{number}"))
    assert figures.habits("one", "acme", 100).verbosity == 1.0
    figures.attempt_ended(an_end(request_id="req_2"))
    assert figures.habits("one", "acme", 100).verbosity > 1.0


def test_the_models_that_were_used_longest_ago_are_forgotten() -> None:
    figures = RouteFigures(max_targets=2)
    for model in ("one", "two", "one", "three"):
        figures.attempt_ended(an_end(model_id=model))
    assert figures.habits("two", "acme", 100) == NO_HABITS
    assert figures.habits("one", "acme", 100) != NO_HABITS
