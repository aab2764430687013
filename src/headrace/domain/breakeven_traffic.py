"""What replicas cost for traffic hour by hour, and from which load on they cost no more than serverless; pure.

Work is the time of a busy replica, in units that make it whole: the traffic says how many an hour has. Serverless
amounts are pico-dollars, rates nano-dollars per hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from headrace.domain.money import PICO_PER_NANO, PPM, divide_half_even

NANOS = 1_000_000_000
HOUR_SECONDS = 3_600
HOUR_NANOS = HOUR_SECONDS * NANOS
# GPU machines are billed by the second, a start for five minutes at least.
# Source: https://docs.digitalocean.com/products/inference/details/pricing (read 2026-11-24).
LEAST_START_NANOS = 300 * NANOS
FARTHEST = 10**9
MOST_STEPS = 400


class Never(StrEnum):
    """Why no load makes dedicated cheaper."""

    NO_TRAFFIC = "no_traffic"
    FREE = "serverless_is_free"
    CAPACITY = "capacity_below_break_even"
    TOO_FAR = "not_found"


@dataclass(frozen=True, slots=True)
class HourLoad:
    """One hour of traffic: how many requests, how much work, and what serverless costs."""

    requests: int
    work: int
    serverless_pico: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Hours in a row; in a cycle the first follows the last, so that nothing begins.

    `units_per_hour` is the work that one replica does in an hour when it is always busy.
    """

    hours: tuple[HourLoad, ...]
    units_per_hour: int
    is_cycle: bool = False

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(each.requests for each in self.hours)

    @property
    def work(self) -> int:
        """All work."""
        return sum(each.work for each in self.hours)

    @property
    def serverless_pico(self) -> int:
        """What serverless costs in all hours."""
        return sum(each.serverless_pico for each in self.hours)


@dataclass(frozen=True, slots=True)
class Dedicated:
    """How replicas are kept. `nano_per_hour` is of one replica with all its GPUs.

    `utilisation_ppm` is how much of its time a replica may be busy. Awake are at least `min_replicas` (and at least
    one), each hour's load needs enough for itself, `spare` run beside them. With `sleep_after_nanos` all stop when
    nothing was asked for so long. A start is paid for `warm_up_nanos` before it serves.
    """

    nano_per_hour: int
    utilisation_ppm: int = PPM
    min_replicas: int = 1
    spare: int = 0
    warm_up_nanos: int = 0
    sleep_after_nanos: int | None = None

    @property
    def awake(self) -> int:
        """How many replicas serve when there is little to do."""
        return max(1, self.min_replicas)


@dataclass(frozen=True, slots=True)
class HourPaid:
    """What is paid for in one hour: replicas, spare ones included, and their seconds."""

    replicas: int
    seconds: int


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The loads at which dedicated costs no more, as multiples of the traffic.

    `first` is the smallest; more replicas may lose again above it. From `always` on it never does. Without a `first`
    there is a reason.
    """

    first: Fraction | None
    always: Fraction | None
    reason: Never | None = None


def paid_hours(traffic: Traffic, fleet: Dedicated, scale: Fraction) -> tuple[HourPaid, ...]:
    """Return what is paid for in each hour when the traffic is `scale` times as much."""
    hours, hourly = traffic.hours, _Hourly(fleet, scale, traffic.units_per_hour)
    before = hours[-1] if traffic.is_cycle else None
    running = fleet.awake if before is None else hourly.serving(before)
    started = 0 if traffic.is_cycle or fleet.sleep_after_nanos is not None else fleet.awake + fleet.spare
    paid: list[HourPaid] = []
    for hour in hours:
        serving = hourly.serving(hour)
        started += max(0, serving - running)
        awake = hourly.awake_nanos(hour, before)
        nanos = awake * (fleet.awake + fleet.spare) + (serving - fleet.awake) * HOUR_NANOS
        nanos += started * fleet.warm_up_nanos
        kept = serving + fleet.spare if nanos else 0
        paid.append(HourPaid(kept, -(-nanos // NANOS)))
        before, running, started = hour, serving, 0
    return tuple(paid)


def dedicated_nano(paid: HourPaid, fleet: Dedicated) -> int:
    """Return what one hour costs."""
    return divide_half_even(paid.seconds * fleet.nano_per_hour, HOUR_SECONDS)


def serverless_nano(hour: HourLoad, scale: Fraction) -> int:
    """Return what one hour costs by the token."""
    return divide_half_even(hour.serverless_pico * scale.numerator, PICO_PER_NANO * scale.denominator)


def find_break_even(traffic: Traffic, fleet: Dedicated, parts: int) -> BreakEven:
    """Return the smallest multiple of the traffic, in steps of 1/`parts`, that dedicated serves for no more money.

    Dedicated never falls when the load grows, so what it costs at one load bounds the answer from below, and the
    step to that bound repeated ends at the answer. The last load that loses is found the same way from above.
    """
    reason = _never(traffic, fleet)
    if reason is not None:
        return BreakEven(None, None, reason)
    cost = _Cost(traffic, fleet, parts)
    first = cost.climb()
    if first is None:
        return BreakEven(None, None, Never.TOO_FAR)
    losing = cost.descend(first)
    return BreakEven(Fraction(first, parts), None if losing is None else Fraction(losing + 1, parts))


def _never(traffic: Traffic, fleet: Dedicated) -> Never | None:
    if not traffic.requests:
        return Never.NO_TRAFFIC
    if not traffic.serverless_pico:
        return Never.FREE
    at_best = traffic.work * PPM * fleet.nano_per_hour * PICO_PER_NANO
    earned = traffic.serverless_pico * traffic.units_per_hour * fleet.utilisation_ppm
    return Never.CAPACITY if at_best >= earned else None


@dataclass(frozen=True, slots=True)
class _Cost:
    traffic: Traffic
    fleet: Dedicated
    parts: int

    def climb(self) -> int | None:
        load = 1
        for _ in range(MOST_STEPS):
            needed = self._earning(load)
            if needed <= load:
                return load
            if needed > FARTHEST * self.parts:
                return None
            load = needed
        return None

    def descend(self, first: int) -> int | None:
        """Return the greatest load that loses, or None when there is no greatest one or it is not found."""
        load = self._safe()
        if load is None:
            return None
        for _ in range(MOST_STEPS):
            needed = self._earning(load)
            if needed > load:
                return load
            load = max(needed - 1, first - 1)
            if load == first - 1:
                return load
        return None

    def _safe(self) -> int | None:
        """Return a load from which on dedicated always wins: each hour has at most one replica in part, one start more.

        None when starts alone eat what each further request saves.
        """
        hours, fleet = self.traffic.hours, self.fleet
        before = (hours[-1].work if self.traffic.is_cycle else 0, *(each.work for each in hours))
        risen = sum(max(0, hour.work - last) for hour, last in zip(hours, before, strict=False))
        kept = fleet.awake + fleet.spare
        fixed = len(hours) * (HOUR_NANOS * (kept + 1) + NANOS) + fleet.warm_up_nanos * (len(hours) + kept)
        busy = self.traffic.work * HOUR_NANOS + fleet.warm_up_nanos * risen
        growing = Fraction(busy * PPM, self.traffic.units_per_hour * fleet.utilisation_ppm)
        earned = Fraction(self.traffic.serverless_pico * HOUR_NANOS, fleet.nano_per_hour * PICO_PER_NANO)
        saved = earned - growing
        return int(fixed * self.parts / saved) + 1 if saved > 0 else None

    def _earning(self, load: int) -> int:
        """Return the smallest load whose serverless price is what dedicated costs at this one."""
        seconds = sum(each.seconds for each in paid_hours(self.traffic, self.fleet, Fraction(load, self.parts)))
        owed = seconds * self.fleet.nano_per_hour * PICO_PER_NANO * self.parts
        return -(-owed // (self.traffic.serverless_pico * HOUR_SECONDS))


@dataclass(frozen=True, slots=True)
class _Hourly:
    """What one hour needs when there is `scale` times its traffic."""

    fleet: Dedicated
    scale: Fraction
    units_per_hour: int

    def serving(self, hour: HourLoad) -> int:
        per_replica = self.units_per_hour * self.fleet.utilisation_ppm * self.scale.denominator
        return max(self.fleet.awake, -(-hour.work * PPM * self.scale.numerator // per_replica))

    def awake_nanos(self, hour: HourLoad, before: HourLoad | None) -> int:
        """For how much of an hour the least replicas are up: each request alone wakes them, at the dearest."""
        idle = self.fleet.sleep_after_nanos
        if idle is None:
            return HOUR_NANOS
        if hour.requests or before is None:
            return self._woken_nanos(hour, idle)
        return min(idle, self._woken_nanos(before, idle))

    def _woken_nanos(self, hour: HourLoad, idle: int) -> int:
        times, parts = self.scale.numerator, self.scale.denominator
        least = -(-hour.requests * LEAST_START_NANOS * times // parts)
        around = -(-hour.requests * (self.fleet.warm_up_nanos + idle) * times // parts)
        busy = hour.work * HOUR_NANOS * PPM * times // (self.units_per_hour * self.fleet.utilisation_ppm * parts)
        return min(HOUR_NANOS, max(least, around + busy + 1 if hour.requests else 0))
