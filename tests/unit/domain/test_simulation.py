"""The simulation: nothing is lost, time goes on, money is time times price, and queues are as the theory says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.dedicated import ScaleTarget, ScalingMetric, WhenAsleep
from headrace.domain.money import divide_half_even
from headrace.domain.picking import ReadyReplica, pick
from headrace.domain.replica_run import MICROS_PER_HOUR
from headrace.domain.scaling import ScalingRules
from headrace.domain.simulation import (
    MICROS,
    Arrival,
    Outcome,
    ReplicaPace,
    ServerlessTwin,
    SimulatedPolicy,
    mean_over,
    percentile,
)
from headrace.domain.simulation_fleet import KEPT_PREFIXES, SimulatedFleet
from headrace.domain.simulation_report import Latency, report_of
from headrace.domain.simulation_run import REPORT_EVERY, simulate
from headrace.domain.simulation_traffic import DAY_MICROS, SplitMix, TrafficShape, made_traffic, spread

PACE = ReplicaPace(slots=2, tokens_per_second=20, input_tokens_per_second=1000, cold_start_micros=10 * MICROS)
TWIN = ServerlessTwin(input_pico=100_000, output_pico=400_000, first_token_micros=500_000, tokens_per_second=50)


def policy(least: int = 0, most: int = 4, **changes: Any) -> SimulatedPolicy:
    made = SimulatedPolicy(ScalingRules(least, most, PACE.slots, 60), PACE, nano_per_hour=3_600_000_000_000)
    return replace(made, **changes)


def at(second: float, read: int = 100, written: int = 10, prefix: bytes = b"") -> Arrival:
    return Arrival(round(second * MICROS), read, written, prefix)


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        st.integers(0, 600 * MICROS),
        st.integers(0, 3000),
        st.integers(0, 200),
        st.sampled_from([b"", b"a", b"b", b"c"]),
    ),
    max_size=40,
).map(lambda found: sorted(found, key=lambda each: each.at_micros))


@st.composite
def policies(draw: st.DrawFn) -> SimulatedPolicy:
    least = draw(st.integers(0, 2))
    target = draw(st.sampled_from([None, *(ScaleTarget(each, 3) for each in ScalingMetric)]))
    return policy(
        when_asleep=draw(st.sampled_from(list(WhenAsleep))),
        overflow_limit=draw(st.sampled_from([None, 0, 1, 3])),
        twin=draw(st.sampled_from([None, TWIN])),
        wait_micros=5 * MICROS,
        rules=ScalingRules(least, least + draw(st.integers(0, 3)), 2, 20, target, 2.0, 6.0),
    )


@settings(deadline=None, max_examples=60)
@given(ARRIVALS, policies())
def test_every_request_ends_exactly_once_and_not_before_it_came(
    arrivals: list[Arrival], played: SimulatedPolicy
) -> None:
    out = simulate(arrivals, played)
    assert out.ended == len(arrivals)
    assert len(out.first_token_micros) == len(out.total_micros) == out.answered + out.overflowed
    assert all(0 < first <= total for first, total in zip(out.first_token_micros, out.total_micros, strict=True))
    assert all(each >= 0 for each in out.served_micros)
    assert sum(out.served_micros) * PACE.slots >= out.busy_slot_micros
    assert out.ended_at_micros >= max((each.at_micros for each in arrivals), default=0)
    moments = [moment for moment, _ in out.steps]
    assert moments == sorted(moments)
    assert max(number for _, number in out.steps) <= played.rules.max_replicas
    assert out == simulate(arrivals, played)


@settings(deadline=None, max_examples=30)
@given(ARRIVALS, policies())
def test_what_it_costs_is_paid_time_at_the_price(arrivals: list[Arrival], played: SimulatedPolicy) -> None:
    out = simulate(arrivals, played)
    report = report_of(arrivals, played, out)
    assert report.replica_nano == sum(
        divide_half_even(each * played.nano_per_hour, MICROS_PER_HOUR) for each in out.served_micros
    )
    assert report.replica_micros == sum(out.served_micros)
    assert (
        abs(report.mean_replicas * report.micros - report.replica_micros) <= report.micros * played.rules.max_replicas
    )
    assert 0.0 <= report.utilisation <= 1.0
    assert report.cost_nano == report.replica_nano + report.overflow_nano


def erlang_c(servers: int, load: float) -> float:
    """The probability that a request waits in a queue M/M/c.

    Source: L. Kleinrock, Queueing Systems, volume 1, 1975, section 3.5.
    """
    terms = [load**each / math.factorial(each) for each in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


@pytest.mark.timeout(30)
def test_one_replica_is_the_queue_of_the_textbook() -> None:
    slots, mean_seconds, rate = 4, 2.0, 1.5
    shape = TrafficShape(round(rate * 1e6), 8_000 * MICROS, input_tokens=1, output_tokens=2000)
    arrivals = list(made_traffic(shape, seed=7))
    pace = ReplicaPace(slots=slots, tokens_per_second=slots * 1000, cold_start_micros=0)
    out = simulate(arrivals, SimulatedPolicy(ScalingRules(1, 1, slots, 0), pace))
    load = rate * mean_seconds
    expected = erlang_c(slots, load) * mean_seconds / (slots - load)
    waits = [(first - 1000) / MICROS for first in out.first_token_micros]
    assert sum(waits) / len(waits) == pytest.approx(expected, rel=0.15)
    assert sum(each > 0 for each in waits) / len(waits) == pytest.approx(erlang_c(slots, load), rel=0.06)
    busy = out.busy_slot_micros / (sum(out.served_micros) * slots)
    assert busy == pytest.approx(load / slots, rel=0.03)


def test_the_first_request_waits_for_the_start_and_it_sleeps_again() -> None:
    out = simulate([at(1.0), at(2.0)], policy(), until_micros=600 * MICROS)
    assert (out.answered, out.waited_for_start, out.cold_starts, out.starts) == (2, 2, 1, 1)
    # 10 s of start less the time since it came, 0.1 s to read, 0.1 s for the first token.
    assert out.first_token_micros == [10_200_000, 9_200_000]
    assert out.total_micros == [11_100_000, 10_100_000]
    # Ready at 11 s, its last request ends at 12.1 s, a minute later it is put to sleep at the next look.
    assert out.steps == [(0, 0), (11 * MICROS, 1), (74 * MICROS, 0)]
    assert out.served_micros == [63 * MICROS]
    assert out.ended_at_micros == 600 * MICROS


def test_who_sleeps_and_does_not_wait() -> None:
    refusing = policy(when_asleep=WhenAsleep.REFUSE, twin=TWIN, overflow_limit=0)
    out = simulate([at(1.0), at(20.0)], refusing)
    assert (out.refused, out.overflowed, out.answered) == (1, 1, 0)
    helped = policy(when_asleep=WhenAsleep.OVERFLOW, twin=TWIN, overflow_limit=5)
    out = simulate([at(1.0), at(20.0)], helped)
    assert (out.refused, out.overflowed, out.answered, out.cold_starts) == (0, 1, 1, 1)
    assert (out.first_token_micros[0], out.total_micros[0]) == (500_000, 700_000)
    alone = policy(when_asleep=WhenAsleep.OVERFLOW)
    assert simulate([at(1.0)], alone).refused == 1


def test_waiting_is_bounded() -> None:
    short = policy(wait_micros=5 * MICROS)
    assert simulate([at(1.0), at(8.0)], short).refused == 1
    helped = simulate([at(1.0)], replace(short, twin=TWIN, overflow_limit=9))
    assert (helped.overflowed, helped.first_token_micros) == (1, [5_500_000])
    never = simulate([at(1.0)], policy(0, 0))
    assert (never.refused, never.starts) == (1, 0)


def test_too_many_waiting_go_to_the_overflow() -> None:
    arrivals = [at(1.0 + each / 1000) for each in range(8)]
    out = simulate(arrivals, policy(1, 1, twin=TWIN, overflow_limit=3))
    assert (out.answered, out.overflowed) == (5, 3)
    report = report_of(arrivals, policy(1, 1, twin=TWIN), out)
    assert report.overflow_nano == (300 * 100_000 + 30 * 400_000) // 1000
    assert report.serverless_nano == (800 * 100_000 + 80 * 400_000) // 1000


def test_load_brings_replicas_up_and_down() -> None:
    arrivals = [at(each / 2, written=20) for each in range(2 * 240)]
    out = simulate(arrivals, policy(0, 3), until_micros=900 * MICROS)
    numbers = [number for _, number in out.steps]
    assert max(numbers) == 3
    assert numbers[-1] == 0
    assert out.starts == len(out.served_micros)


def test_scaling_may_follow_the_first_token() -> None:
    rules = ScalingRules(1, 5, 2, 0, ScaleTarget(ScalingMetric.FIRST_TOKEN, 300))
    arrivals = [at(each / 3, written=20) for each in range(600)]
    out = simulate(arrivals, policy(rules=rules))
    assert max(number for _, number in out.steps) > 1


def test_the_same_prefix_meets_the_same_warm_replica() -> None:
    warm = replace(PACE, warm_percent=50)
    arrivals = [at(10.0 * each, prefix=b"ab"[each % 2 :][:1]) for each in range(20)]
    out = simulate(arrivals, policy(2, 2, pace=warm))
    assert out.warm == 18
    assert sorted(out.first_token_micros) == [150_000] * 18 + [200_000] * 2


def test_a_replica_forgets_old_prefixes() -> None:
    arrivals = [at(each, prefix=str(each % (KEPT_PREFIXES + 1)).encode()) for each in range(2 * KEPT_PREFIXES)]
    assert simulate(arrivals, policy(1, 1)).warm == 0


@given(st.lists(st.integers(0, 60), max_size=60), st.integers(1, 6))
def test_picking_is_the_platforms_own(ends: list[int], replicas: int) -> None:
    fleet = SimulatedFleet(PACE, Outcome())
    fleet.begin(replicas)
    loads = {f"replica-{each}": 0 for each in range(1, replicas + 1)}
    for moment, end in enumerate(ends):
        shown = [ReadyReplica(name, load) for name, load in loads.items()]
        prefix = b"" if end % 2 else b"p"
        chosen = fleet.picked(prefix)
        assert chosen.name == pick(prefix, shown, PACE.slots)
        fleet.take(chosen, at(moment), moment)
        loads[chosen.name] += 1


def test_what_starts_is_ended_first_and_what_is_busy_ends_its_requests() -> None:
    out = Outcome()
    fleet = SimulatedFleet(PACE, out)
    fleet.begin(1)
    busy = fleet.picked(b"")
    fleet.take(busy, at(0.0), 0)
    fleet.take(busy, at(0.0), 0)
    fleet.start(0)
    fleet.end_one(1)
    assert (fleet.size, fleet.ready) == (1, 1)
    fleet.end_one(2)
    fleet.finish(busy, 3)
    assert out.served_micros == []
    fleet.finish(busy, 4)
    assert out.served_micros == [4]


def test_progress_is_reported() -> None:
    heard: list[int] = []
    arrivals = [at(each / 1000, written=1) for each in range(REPORT_EVERY + 1)]
    simulate(arrivals, policy(1, 1, pace=ReplicaPace(1, 100_000)), report=heard.append)
    assert heard == [REPORT_EVERY]


def test_an_empty_trace_has_no_figures() -> None:
    played = policy()
    report = report_of([], played, simulate([], played))
    assert (report.requests, report.cost_nano, report.utilisation, report.chart) == (0, 0, 0.0, ())
    assert report.first_token == Latency(None, None, None)
    assert report.serverless_nano is None


def test_percentiles_and_means() -> None:
    assert [percentile(range(1, 101), each) for each in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([7], 50) == 7
    assert mean_over([(0, 1), (10, 3)], 5, 15) == 2.0
    assert mean_over([(0, 1)], 5, 5) == 0.0


def test_traffic_repeats_with_its_seed_and_has_its_means() -> None:
    shape = TrafficShape(2_000_000, 3600 * MICROS, prefixes=5)
    made = list(made_traffic(shape, 3))
    assert made == list(made_traffic(shape, 3))
    assert made != list(made_traffic(shape, 4))
    assert len(made) == pytest.approx(7200, rel=0.05)
    assert sum(each.input_tokens for each in made) / len(made) == pytest.approx(1200, rel=0.05)
    assert {each.prefix for each in made} == {f"prefix-{each}".encode() for each in range(5)}


def test_the_day_has_a_night_and_a_noon() -> None:
    made = list(made_traffic(TrafficShape(100_000, DAY_MICROS, is_daily=True), 1))
    assert len(made) == pytest.approx(8640, rel=0.06)
    hours = [sum(each.at_micros // (3600 * MICROS) == hour for each in made) for hour in range(24)]
    assert hours[12] > 8 * hours[0]


def test_hours_are_spread() -> None:
    made = list(spread([(0, 4, 400, 40), (3600 * MICROS, 2, 2, 0)], 1))
    assert [each.input_tokens for each in made] == [100] * 4 + [1, 1]
    assert [each.output_tokens for each in made] == [10] * 4 + [1, 1]
    assert [each.at_micros // (3600 * MICROS) for each in made] == [0] * 4 + [1, 1]


def test_random_numbers_are_those_of_the_source() -> None:
    random = SplitMix(0)
    # The first three values of splitmix64 from the seed 0, as published with it and with its ports.
    expected = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    assert [random.uniform() for _ in range(3)] == [(each + 1) / 2**64 for each in expected]
