"""Plays a trace against a simulated deployment, event by event, by the platform's own scaling and picking; pure.

Overflow and sleep follow services/overflowing: who sleeps and does not wait is woken all the same, and who waits for
longer than it may goes to the overflow where there is one.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from statistics import median

from headrace.domain.dedicated import ScalingMetric, Standing, WhenAsleep
from headrace.domain.scaling import ScalingMemory, scaled
from headrace.domain.simulation import MICROS, Arrival, Outcome, ServerlessTwin, SimulatedPolicy
from headrace.domain.simulation_fleet import SimulatedFleet, SimulatedReplica

# As services/first_tokens keeps them.
LAST_ANSWERS = 32
RECENT_MICROS = 60 * MICROS
MILLI_MICROS = 1_000
REPORT_EVERY = 5_000
FAR = 2**63


def _nobody(_done: int) -> None:
    return None


def simulate(
    arrivals: Sequence[Arrival],
    policy: SimulatedPolicy,
    until_micros: int = 0,
    report: Callable[[int], None] = _nobody,
) -> Outcome:
    """Return what becomes of the arrivals, in ascending order of time, when the deployment runs by the policy.

    It ends when every request has ended, not before `until_micros`. `report` hears how many have arrived so far.
    """
    run = _Run(policy)
    for done, arrival in enumerate(arrivals, 1):
        run.advance(arrival.at_micros)
        run.arrive(arrival)
        if done % REPORT_EVERY == 0:
            report(done)
    run.finish(until_micros)
    return run.outcome


class _Run:
    def __init__(self, policy: SimulatedPolicy) -> None:
        self.outcome = Outcome()
        self._policy = policy
        self._rules = policy.rules
        self._fleet = SimulatedFleet(policy.pace, self.outcome)
        self._memory = ScalingMemory()
        self._now = 0
        self._next_tick = 0
        self._last_used = 0
        self._ends: list[tuple[int, int, SimulatedReplica]] = []
        self._order = 0
        self._waiting: deque[Arrival] = deque()
        self._firsts: list[tuple[int, int]] = []
        self._seen: deque[tuple[int, int]] = deque(maxlen=LAST_ANSWERS)
        self._follows_first_token = is_first_token(policy)
        self._wanted = self._rules.min_replicas
        self._fleet.begin(self._wanted)

    def advance(self, until: int) -> None:
        """Let happen what happens before or at a moment, in order; a tick comes after what else happens then."""
        while True:
            end = self._ends[0][0] if self._ends else FAR
            ready = self._fleet.next_ready_micros
            start = FAR if ready is None else ready
            patience = self._waiting[0].at_micros + self._policy.wait_micros if self._waiting else FAR
            at = min(end, start, patience, self._next_tick)
            if at > until:
                break
            self._now = at
            if at == end:
                self._end()
            elif at == start:
                self._become_ready()
            elif at == patience:
                self._give_up()
            else:
                self._tick(min(end, start, patience, until))
        self._now = until

    def arrive(self, arrival: Arrival) -> None:
        """Take one request in."""
        self._last_used = self._now
        if not self._fleet.ready:
            self._arrive_asleep(arrival)
        elif (twin := self._policy.overflow) is not None and self._is_over():
            self._overflow(arrival, twin)
        else:
            self._send(arrival)

    def finish(self, until: int) -> None:
        """Let everything end."""
        while self._fleet.in_flight or self._waiting:
            self.advance(self._next_event())
        last = max(self.outcome.ended_at_micros, until, self._now)
        self.advance(last)
        self._fleet.close(last)
        self.outcome.ended_at_micros = last

    def _next_event(self) -> int:
        ready = self._fleet.next_ready_micros
        times = [self._next_tick, *(() if ready is None else (ready,))]
        if self._ends:
            times.append(self._ends[0][0])
        if self._waiting:
            times.append(self._waiting[0].at_micros + self._policy.wait_micros)
        return min(times)

    def _arrive_asleep(self, arrival: Arrival) -> None:
        self._wake()
        twin = self._policy.overflow
        if self._policy.when_asleep is WhenAsleep.WAIT:
            self._waiting.append(arrival)
        elif self._policy.when_asleep is WhenAsleep.OVERFLOW and twin is not None:
            self._overflow(arrival, twin)
        else:
            self._refuse()

    def _wake(self) -> None:
        if self._wanted or not self._rules.max_replicas:
            return
        self.outcome.cold_starts += 1
        self._want(1)

    def _is_over(self) -> bool:
        ready = self._fleet.ready
        queue = max(0, self._fleet.in_flight - ready * self._policy.pace.slots) + len(self._waiting)
        return queue >= (self._policy.overflow_limit or 0) * ready

    def _send(self, arrival: Arrival) -> None:
        replica = self._fleet.picked(arrival.prefix)
        first, end = self._fleet.take(replica, arrival, self._now)
        self._order += 1
        heapq.heappush(self._ends, (end, self._order, replica))
        out, took = self.outcome, first - arrival.at_micros
        out.answered += 1
        out.first_token_micros.append(took)
        out.total_micros.append(end - arrival.at_micros)
        out.ended_at_micros = max(out.ended_at_micros, end)
        if self._follows_first_token:
            heapq.heappush(self._firsts, (first, took))

    def _overflow(self, arrival: Arrival, twin: ServerlessTwin) -> None:
        out, waited = self.outcome, self._now - arrival.at_micros
        write = arrival.output_tokens * MICROS // twin.tokens_per_second
        out.overflowed += 1
        out.overflow_input_tokens += arrival.input_tokens
        out.overflow_output_tokens += arrival.output_tokens
        out.first_token_micros.append(waited + twin.first_token_micros)
        out.total_micros.append(waited + twin.first_token_micros + write)
        out.ended_at_micros = max(out.ended_at_micros, self._now + twin.first_token_micros + write)

    def _refuse(self) -> None:
        self.outcome.refused += 1
        self.outcome.ended_at_micros = max(self.outcome.ended_at_micros, self._now)

    def _end(self) -> None:
        _, _, replica = heapq.heappop(self._ends)
        self._fleet.finish(replica, self._now)
        self._last_used = self._now

    def _become_ready(self) -> None:
        self._fleet.become_ready(self._now)
        while self._waiting:
            self.outcome.waited_for_start += 1
            self._send(self._waiting.popleft())

    def _give_up(self) -> None:
        arrival, twin = self._waiting.popleft(), self._policy.overflow
        if twin is not None:
            self._overflow(arrival, twin)
        else:
            self._refuse()

    def _tick(self, next_event: int) -> None:
        """Look at the load once; where nothing can change before the next event, the looks until then are left out."""
        found = scaled(self._rules, self._standing(), self._memory, self._now / MICROS)
        self._memory = found.memory
        if found.replicas != self._wanted:
            self._want(found.replicas)
        tick = self._policy.tick_micros
        self._next_tick = self._now + tick
        is_at_rest = not self._fleet.in_flight and not self._waiting and self._wanted == self._rules.min_replicas
        if is_at_rest and self._memory.below_since is None and self._memory.above_since is None:
            quiet = max(0, next_event - self._next_tick) // tick
            self._next_tick += quiet * tick

    def _want(self, replicas: int) -> None:
        self._wanted = replicas
        while self._fleet.size < replicas:
            self._fleet.start(self._now)
        while self._fleet.size > replicas:
            self._fleet.end_one(self._now)

    def _standing(self) -> Standing:
        is_idle = not self._fleet.in_flight and not self._waiting
        return Standing(
            wanted=self._wanted,
            ready=self._fleet.ready,
            starting=self._fleet.size - self._fleet.ready,
            in_flight=self._fleet.in_flight,
            waiting=len(self._waiting),
            idle_seconds=(self._now - self._last_used) / MICROS if is_idle else 0.0,
            first_token_ms=self._first_token_ms(),
        )

    def _first_token_ms(self) -> float | None:
        while self._firsts and self._firsts[0][0] <= self._now:
            self._seen.append(heapq.heappop(self._firsts))
        recent = [took for at, took in self._seen if at >= self._now - RECENT_MICROS]
        return median(recent) / MILLI_MICROS if recent else None


def is_first_token(policy: SimulatedPolicy) -> bool:
    """Whether the scaling follows the time to the first token."""
    target = policy.rules.target
    return target is not None and target.metric is ScalingMetric.FIRST_TOKEN
