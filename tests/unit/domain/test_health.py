"""The circuit breaker as a value, and cool-downs."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.health import CROWDED_SECONDS, Breaker, BreakerRules, BreakerState, Cooldown

RULES = BreakerRules()


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(RULES.failures_to_open):
        breaker = breaker.failed(at, 0)
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_how_long() -> None:
    breaker = Breaker(RULES).failed(0.0, 0).failed(0.1, 0)
    assert breaker.state(0.2) is BreakerState.CLOSED
    assert breaker.succeeded(0).failed(0.2, 0).failed(0.3, 0).admits(0.4)
    breaker = breaker.failed(0.5, 0)
    assert breaker.state(0.6) is BreakerState.OPEN
    assert not breaker.admits(0.6)
    assert breaker.wait_seconds(1.0) == 0.5
    assert breaker.state(1.5) is BreakerState.HALF_OPEN


def test_old_failures_are_forgotten() -> None:
    breaker = Breaker(RULES).failed(0.0, 0).failed(1.0, 0).failed(1.0 + RULES.memory_seconds + 0.1, 0)
    assert breaker.admits(100.0)
    assert breaker.failures == 1


def test_it_never_opens_when_it_may_not() -> None:
    breaker = Breaker(BreakerRules(failures_to_open=0))
    for _ in range(100):
        breaker = breaker.failed(0.0, 0)
    assert breaker.admits(0.0)


def test_it_closes_by_one_two_and_four_probes() -> None:
    breaker = opened()
    for stage in (1, 2, 4):
        rounds: list[int] = []
        while breaker.admits(2.0):
            breaker, number = breaker.began(2.0)
            rounds.append(number)
        assert len(rounds) == stage
        assert breaker.wait_seconds(2.0) == CROWDED_SECONDS
        for number in rounds:
            breaker = breaker.succeeded(number)
    assert breaker.state(2.0) is BreakerState.CLOSED


def test_a_failed_probe_opens_it_twice_as_long_up_to_a_limit() -> None:
    breaker, now = opened(), 0.0
    waits: list[float] = []
    for _ in range(9):
        now += breaker.wait_seconds(now)
        breaker, number = breaker.began(now)
        breaker = breaker.failed(now, number)
        waits.append(breaker.wait_seconds(now))
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_late_news_of_an_earlier_round_changes_nothing() -> None:
    breaker, first = opened().began(2.0)
    breaker = breaker.failed(2.0, first)
    assert breaker.failed(2.0, first) == breaker
    assert breaker.succeeded(first) == breaker
    assert breaker.abandoned(first) == breaker
    assert breaker.failed(2.0, 0) == breaker
    assert breaker.succeeded(0) == breaker


def test_an_abandoned_probe_gives_its_place_back() -> None:
    breaker, number = opened().began(2.0)
    assert not breaker.admits(2.0)
    assert breaker.abandoned(number).admits(2.0)


STEP = st.tuples(
    st.sampled_from(["begin", "succeed", "fail", "abandon"]), st.floats(0, 5, allow_nan=False), st.integers(0, 30)
)


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_no_more_than_four_probes_run_and_it_can_always_close(
    steps: list[tuple[str, float, int]],
) -> None:
    breaker, now = Breaker(RULES), 0.0
    running: list[int] = []
    for action, seconds, which in steps:
        now += seconds
        if action == "begin":
            if breaker.admits(now):
                breaker, number = breaker.began(now)
                running.append(number)
        elif running:
            number = running.pop(which % len(running))
            if action == "succeed":
                breaker = breaker.succeeded(number)
            elif action == "fail":
                breaker = breaker.failed(now, number)
            else:
                breaker = breaker.abandoned(number)
        probes = [number for number in running if number and number == breaker.round]
        assert breaker.probing == (len(probes) if breaker.open_until is not None else 0)
        assert len(probes) <= RULES.probes[-1]
        assert 0 <= breaker.wait_seconds(now) <= RULES.longest_open_seconds
        assert breaker.admits(now) is (breaker.wait_seconds(now) == 0)
    for number in running:
        breaker = breaker.abandoned(number)
    now += RULES.longest_open_seconds
    for _ in range(sum(RULES.probes)):
        breaker, number = breaker.began(now)
        breaker = breaker.succeeded(number)
    assert breaker.state(now) is BreakerState.CLOSED


def test_a_cool_down_passes() -> None:
    cooldown = Cooldown(10.0, "upstream_rate_limited")
    assert cooldown.remaining_seconds(4.0) == 6.0
    assert cooldown.remaining_seconds(11.0) == 0.0
