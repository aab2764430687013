"""How many replicas: the rules one by one, and what holds for every load and every memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.dedicated import ScaleTarget, ScalingMetric, Standing
from headrace.domain.scaling import SHORTAGE_SECONDS, Scaling, ScalingMemory, ScalingRules, Shortage, scaled

QUEUE = ScaleTarget(ScalingMetric.QUEUE_DEPTH, 4)
FIRST_TOKEN = ScaleTarget(ScalingMetric.FIRST_TOKEN, 500)
RULES = ScalingRules(min_replicas=0, max_replicas=4, slots=2, idle_seconds=300)


def standing(wanted: int, requests: int, first_token_ms: float) -> Standing:
    """A deployment whose wanted replicas are all ready."""
    return Standing(wanted=wanted, ready=wanted, in_flight=requests, first_token_ms=first_token_ms)


@dataclass(slots=True)
class Watched:
    """A deployment whose driver does at once as it is told."""

    rules: ScalingRules
    now: float = 0.0
    replicas: int = 0
    last_used: float = 0.0
    memory: ScalingMemory = field(default_factory=ScalingMemory)
    changes: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    def look(self, requests: int, first_token_ms: float | None = None) -> Scaling:
        self.last_used = self.now if requests else self.last_used
        seen = Standing(
            wanted=self.replicas,
            ready=self.replicas,
            in_flight=requests if self.replicas else 0,
            waiting=0 if self.replicas else requests,
            idle_seconds=self.now - self.last_used,
            first_token_ms=first_token_ms,
        )
        found = scaled(self.rules, seen, self.memory, self.now)
        if found.replicas != self.replicas:
            self.changes.append((self.now, found.replicas))
        self.replicas, self.memory = found.replicas, found.memory
        return found

    def looks(self, requests: int, seconds: int, first_token_ms: float | None = None) -> Iterator[Scaling]:
        """Look once a second."""
        for _ in range(seconds):
            self.now += 1.0
            yield self.look(requests, first_token_ms)

    def after(self, requests: int, seconds: int, first_token_ms: float | None = None) -> int:
        return [each.replicas for each in self.looks(requests, seconds, first_token_ms)][-1]


def test_what_waits_wakes_one_at_once_and_more_when_it_lasts() -> None:
    watched = Watched(RULES)
    assert watched.look(0) == Scaling(0, "It sleeps until a request comes.", ScalingMemory())
    woken = watched.look(7)
    assert (woken.replicas, woken.reason) == (1, "7 requests woke it.")
    assert watched.after(7, 1) == 1
    assert watched.after(7, 1) == 4
    assert Watched(RULES).look(1).reason == "1 request woke it."


def test_nothing_wakes_what_may_have_no_replica() -> None:
    assert Watched(replace(RULES, max_replicas=0)).look(3).replicas == 0


def test_a_short_burst_is_not_followed() -> None:
    watched = Watched(RULES, replicas=1)
    assert "More are asked for if it stays so." in watched.look(8).reason
    assert watched.after(2, 1) == 1
    assert watched.after(8, 2) == 1
    assert watched.after(8, 1) == 4


def test_only_what_was_needed_all_the_time_is_asked_for() -> None:
    watched = Watched(RULES, replicas=1)
    watched.look(3)
    watched.after(8, 1)
    assert watched.after(8, 1) == 2


@pytest.mark.parametrize(("requests", "replicas"), [(1, 1), (4, 1), (5, 2), (16, 4), (99, 4)])
def test_a_queue_depth_is_held(requests: int, replicas: int) -> None:
    watched = Watched(replace(RULES, target=QUEUE), replicas=1)
    assert watched.after(requests, 3) == replicas


def test_fewer_are_kept_when_it_lasts_and_the_most_that_was_needed_stays() -> None:
    watched = Watched(RULES, replicas=4)
    assert "Fewer are kept if it stays so." in watched.look(1).reason
    assert watched.after(5, 30) == 4
    assert watched.after(1, 29) == 4
    assert watched.after(1, 1) == 3
    assert watched.after(1, 59) == 3
    assert watched.after(1, 2) == 1


def test_it_sleeps_after_its_time_and_never_where_it_may_not() -> None:
    watched = Watched(replace(RULES, idle_seconds=30), replicas=3)
    assert watched.after(0, 29) == 3
    slept = [*watched.looks(0, 1)][-1]
    assert (slept.replicas, slept.reason) == (0, "No request for 30 s, and it sleeps after 30 s.")
    for rules in (replace(RULES, min_replicas=1), replace(RULES, idle_seconds=0)):
        assert Watched(rules, replicas=3).after(0, 400) == 1


def test_new_bounds_are_kept_at_once() -> None:
    assert Watched(replace(RULES, min_replicas=2)).look(0).replicas == 2
    lowered = Watched(replace(RULES, max_replicas=2), replicas=4).look(40)
    assert (lowered.replicas, lowered.reason) == (2, "The bounds are 0 to 2 replicas.")


def test_a_late_first_token_adds_one_at_a_time() -> None:
    watched = Watched(replace(RULES, target=FIRST_TOKEN), replicas=1)
    assert watched.after(8, 2, 900.0) == 1
    assert watched.after(8, 1, 900.0) == 2
    assert watched.after(8, 2, 900.0) == 2
    assert watched.after(8, 1, 900.0) == 3
    assert "The first token takes 900 ms of 500 ms" in [*watched.looks(8, 1, 900.0)][-1].reason


def test_a_late_first_token_adds_none_while_one_starts_or_where_none_can_help() -> None:
    rules = replace(RULES, target=FIRST_TOKEN)
    starting = replace(standing(2, 8, 900.0), ready=1, starting=1)
    found = scaled(rules, starting, ScalingMemory(above_since=0.0, extreme=3), 100.0)
    assert (found.replicas, found.reason) == (
        2,
        "The first token takes 900 ms of 500 ms; not all replicas are ready yet.",
    )
    found = scaled(rules, standing(2, 2, 900.0), ScalingMemory(above_since=0.0, extreme=3), 100.0)
    assert found.replicas == 2
    assert "2 requests cannot use more replicas" in found.reason


def test_an_early_first_token_takes_one_away_if_the_rest_have_slots() -> None:
    rules = replace(RULES, target=FIRST_TOKEN)
    assert Watched(rules, replicas=3).after(4, 62, 200.0) == 2
    assert Watched(rules, replicas=3).after(5, 200, 200.0) == 3
    assert Watched(rules, replicas=3).after(2, 200, 260.0) == 3
    assert Watched(rules, replicas=3).after(0, 62, 900.0) == 2


def test_what_was_too_few_for_a_load_is_not_gone_back_to_for_a_while() -> None:
    watched = Watched(replace(RULES, slots=8, target=FIRST_TOKEN), replicas=1)
    assert watched.after(6, 3, 900.0) == 2
    assert watched.memory.shortage == Shortage(1, 6, 3.0)
    assert watched.after(6, 600, 100.0) == 2
    assert watched.after(5, 62, 100.0) == 1
    watched = Watched(replace(RULES, slots=8, target=FIRST_TOKEN), replicas=1)
    watched.after(6, 3, 900.0)
    assert watched.after(6, int(SHORTAGE_SECONDS) + 62, 100.0) == 1


def test_before_the_first_answer_the_slots_count() -> None:
    assert Watched(replace(RULES, target=FIRST_TOKEN), replicas=1).after(6, 3) == 3


def some_rules(low: int, more: int, slots: int, idle_seconds: int, target: ScaleTarget | None) -> ScalingRules:
    return ScalingRules(low, low + more, slots, idle_seconds, target)


def some_standing(
    wanted: int, ready: int, requests: tuple[int, int], idle_seconds: float, first_token_ms: float | None
) -> Standing:
    ready = min(wanted, ready)
    return Standing(wanted, ready, wanted - ready, *requests, idle_seconds, first_token_ms)


targets: list[ScaleTarget | None] = [None, QUEUE, FIRST_TOKEN]
rules = st.builds(
    some_rules,
    st.integers(0, 3),
    st.integers(0, 5),
    st.integers(1, 8),
    st.sampled_from([0, 10, 300]),
    st.sampled_from(targets),
)
moments = st.floats(0.0, 1_000.0)
memories = st.builds(
    ScalingMemory,
    st.none() | moments,
    st.none() | moments,
    st.integers(0, 9),
    st.none() | st.builds(Shortage, st.integers(0, 9), st.integers(0, 40), moments),
)
standings = st.builds(
    some_standing,
    st.integers(0, 9),
    st.integers(0, 9),
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
    st.floats(0.0, 1_000.0),
    st.none() | st.floats(0.0, 2_000.0),
)


@given(rules, standings, memories)
def test_bounds_are_kept_and_work_is_never_left_without_a_replica(
    rules: ScalingRules, seen: Standing, memory: ScalingMemory
) -> None:
    found = scaled(rules, seen, memory, 1_000.0)
    assert rules.min_replicas <= found.replicas <= rules.max_replicas
    assert not found.reason[0].islower()
    assert found.reason.endswith(".")
    if seen.in_flight + seen.waiting and rules.max_replicas:
        assert found.replicas >= 1


@given(rules, standings, memories, st.integers(0, 20))
def test_more_load_never_means_fewer_replicas(
    rules: ScalingRules, seen: Standing, memory: ScalingMemory, more: int
) -> None:
    less = scaled(rules, seen, memory, 1_000.0).replicas
    assert scaled(rules, replace(seen, waiting=seen.waiting + more), memory, 1_000.0).replicas >= less


@given(rules, standings, memories)
def test_fewer_is_never_fewer_than_what_is_in_flight_needs(
    rules: ScalingRules, seen: Standing, memory: ScalingMemory
) -> None:
    found = scaled(rules, seen, memory, 1_000.0).replicas
    each = QUEUE.value if rules.target == QUEUE else rules.slots
    if rules.min_replicas <= found < seen.wanted <= rules.max_replicas:
        assert found * each >= seen.in_flight


@settings(max_examples=25)
@given(rules, st.integers(0, 9), st.integers(0, 60), st.none() | st.floats(0.0, 2_000.0))
def test_a_constant_load_settles(rules: ScalingRules, start: int, requests: int, first_token_ms: float | None) -> None:
    watched = Watched(rules, replicas=start)
    watched.after(requests, 600, first_token_ms)
    settled = len(watched.changes)
    assert settled <= 2 + rules.max_replicas
    watched.after(requests, 200, first_token_ms)
    assert len(watched.changes) == settled


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 8), st.floats(100.0, 4_000.0))
def test_a_first_token_that_follows_the_load_settles_too(requests: int, slots: int, alone_ms: float) -> None:
    watched = Watched(ScalingRules(1, 6, slots, 0, FIRST_TOKEN), replicas=1)
    for _ in range(1_000):
        watched.after(requests, 1, alone_ms * requests / watched.replicas)
    ups = [each for before, each in zip([(0.0, 1), *watched.changes], watched.changes, strict=False) if each > before]
    assert len(watched.changes) <= 8
    assert len(ups) <= 8


@given(rules, st.lists(st.integers(0, 40), min_size=1, max_size=300))
def test_any_load_makes_few_changes(rules: ScalingRules, load: list[int]) -> None:
    watched = Watched(replace(rules, target=QUEUE), replicas=rules.min_replicas)
    for requests in load:
        watched.after(requests, 1)
    falls = [
        now for (now, after), (_, before) in zip(watched.changes[1:], watched.changes, strict=False) if after < before
    ]
    patience = min(watched.rules.down_seconds, watched.rules.idle_seconds or watched.rules.down_seconds)
    assert all(later - earlier >= patience for earlier, later in itertools.pairwise(falls))


@given(st.integers(1, 40), st.integers(0, 4))
def test_a_burst_is_followed_in_time(requests: int, start: int) -> None:
    watched = Watched(replace(RULES, max_replicas=40, target=QUEUE), replicas=start)
    watched.look(requests)
    watched.now += watched.rules.up_seconds
    assert watched.look(requests).replicas * QUEUE.value >= requests
