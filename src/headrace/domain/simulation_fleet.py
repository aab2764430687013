"""The replicas of a simulated deployment: which are ready, which gets the next request, and since when each is paid."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field

from headrace.domain.picking import ReadyReplica, pick
from headrace.domain.simulation import MICROS, Arrival, Outcome, ReplicaPace

# How many prefixes a replica's cache is taken to hold.
KEPT_PREFIXES = 1_000


@dataclass(slots=True, eq=False)
class SimulatedReplica:
    """One replica; `slots` are the moments at which each of its slots is free, the earliest first."""

    number: int
    name: str
    slots: list[int]
    ready_at_micros: int
    is_draining: bool = False
    in_flight: int = 0
    prefixes: OrderedDict[bytes, None] = field(default_factory=OrderedDict[bytes, None])

    def knows(self, prefix: bytes) -> bool:
        """Whether it had this prefix lately; from now on it has."""
        is_known = prefix in self.prefixes
        self.prefixes[prefix] = None
        self.prefixes.move_to_end(prefix)
        if len(self.prefixes) > KEPT_PREFIXES:
            self.prefixes.popitem(last=False)
        return is_known


class SimulatedFleet:
    """The replicas of one deployment; `picked` chooses among them as the platform does."""

    def __init__(self, pace: ReplicaPace, outcome: Outcome) -> None:
        self._pace = pace
        self._outcome = outcome
        self._numbers = 0
        self._starting: list[SimulatedReplica] = []
        self._ready: list[SimulatedReplica] = []
        self._shown: list[ReadyReplica] = []
        self._places: dict[int, int] = {}
        self.in_flight = 0
        # What one token takes in a slot, times the tokens that all slots write in a second.
        self._write_micros = pace.slots * MICROS

    @property
    def ready(self) -> int:
        """How many replicas can be sent to."""
        return len(self._ready)

    @property
    def size(self) -> int:
        """How many replicas are ready or start."""
        return len(self._ready) + len(self._starting)

    @property
    def next_ready_micros(self) -> int | None:
        """When the next start is over."""
        return self._starting[0].ready_at_micros if self._starting else None

    def begin(self, replicas: int) -> None:
        """Have so many ready from the beginning."""
        for _ in range(replicas):
            self._ready.append(self._new(0))
        self._changed(0)

    def start(self, now: int) -> None:
        """Begin to start one more."""
        self._outcome.starts += 1
        self._starting.append(self._new(now + self._pace.cold_start_micros))

    def end_one(self, now: int) -> None:
        """End one: the last that starts, else the ready one with the least to do, once it has nothing to do."""
        if self._starting:
            self._starting.pop()
            return
        replica = min(self._ready, key=lambda each: (each.in_flight, -each.number))
        replica.is_draining = True
        self._ready.remove(replica)
        self._changed(now)
        if not replica.in_flight:
            self._gone(replica, now)

    def become_ready(self, now: int) -> None:
        """The first that starts is ready now."""
        self._ready.append(self._starting.pop(0))
        self._changed(now)

    def picked(self, prefix: bytes) -> SimulatedReplica:
        """Return the replica that gets a request; there is one."""
        if prefix:
            name = pick(prefix, self._shown, self._pace.slots)
            return self._ready[self._places[int(name.rpartition("-")[2])]]
        # In the order in which pick takes equals: the first with the least is the one that it would return.
        loads = [each.in_flight for each in self._ready]
        return self._ready[loads.index(min(loads))]

    def take(self, replica: SimulatedReplica, arrival: Arrival, now: int) -> tuple[int, int]:
        """Give a replica a request; returns when its first token comes and when it ends."""
        read, tokens = self._read_micros(replica, arrival), max(1, arrival.output_tokens)
        began = max(now, heapq.heappop(replica.slots))
        first = began + read + self._write_micros // self._pace.tokens_per_second
        end = began + read + tokens * self._write_micros // self._pace.tokens_per_second
        heapq.heappush(replica.slots, end)
        replica.in_flight += 1
        self.in_flight += 1
        self._show(replica)
        self._outcome.busy_slot_micros += end - began
        return first, end

    def finish(self, replica: SimulatedReplica, now: int) -> None:
        """A request of a replica ended."""
        replica.in_flight -= 1
        self.in_flight -= 1
        if replica.is_draining:
            if not replica.in_flight:
                self._gone(replica, now)
        else:
            self._show(replica)

    def close(self, now: int) -> None:
        """Pay every replica that is left until now."""
        for replica in self._ready:
            self._gone(replica, now)
        self._ready.clear()

    def _new(self, ready_at: int) -> SimulatedReplica:
        self._numbers += 1
        return SimulatedReplica(self._numbers, f"replica-{self._numbers}", [ready_at] * self._pace.slots, ready_at)

    def _read_micros(self, replica: SimulatedReplica, arrival: Arrival) -> int:
        tokens = arrival.input_tokens
        if arrival.prefix and replica.knows(arrival.prefix):
            self._outcome.warm += 1
            tokens -= tokens * self._pace.warm_percent // 100
        rate = self._pace.input_tokens_per_second
        return tokens * MICROS // rate if rate else 0

    def _gone(self, replica: SimulatedReplica, now: int) -> None:
        self._outcome.served_micros.append(now - replica.ready_at_micros)

    def _changed(self, now: int) -> None:
        """Order the ready ones as equals are taken, and remember how many they are."""
        left = {each.name: each for each in self._ready}
        equals = [ReadyReplica(each, 0) for each in left]
        self._ready = []
        while equals:
            name = pick(b"", equals, self._pace.slots)
            self._ready.append(left[name])
            equals = [each for each in equals if each.id != name]
        self._shown = [ReadyReplica(each.name, each.in_flight) for each in self._ready]
        self._places = {each.number: place for place, each in enumerate(self._ready)}
        self._outcome.steps.append((now, len(self._ready)))

    def _show(self, replica: SimulatedReplica) -> None:
        self._shown[self._places[replica.number]] = ReadyReplica(replica.name, replica.in_flight)
