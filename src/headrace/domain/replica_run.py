"""Replica runs: one replica from its start to its end, and what its seconds cost; pure, in integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.domain.dedicated import DEDICATED
from headrace.domain.money import divide_half_even

MICROS_PER_HOUR = 3_600_000_000
# Days of every time zone begin at a quarter of an hour of UTC, so a line within one lies in one window of each budget.
QUARTER_MICROS = 900_000_000
DAY_MICROS = 24 * MICROS_PER_HOUR
REPLICA_SECONDS = "replica_seconds"
REPLICA_STATUS = "replica"


@dataclass(frozen=True, slots=True)
class ReplicaRun:
    """One run of one replica at one price; times are microseconds since 1970 UTC, None when it has not come to that.

    Its seconds are paid from `ready_at_micros` to `gone_at_micros` at `nano_per_hour`, the price of all its
    accelerators together on the day it began, whose source is `price_source`; the books have them up to
    `metered_to_micros`. Where another price comes into force, the replica goes on in another run of the same start.
    `account` pays. `seen_at_micros` is when it was last known to run.
    """

    id: str
    deployment_id: str
    deployment: str
    account: str
    model_id: str
    replica: str
    driver: str
    accelerator: str
    gpus: int
    nano_per_hour: int
    price_source: str
    started_at_micros: int
    ready_at_micros: int | None = None
    gone_at_micros: int | None = None
    metered_to_micros: int | None = None
    pid: int | None = None
    seen_at_micros: int | None = None

    @property
    def process(self) -> tuple[str, int]:
        """What the runs of one replica have in common: its name and its start."""
        return self.replica, self.started_at_micros

    @property
    def provider(self) -> str:
        """Who is owed for it, as accounts of the ledger name it."""
        return f"{DEDICATED}:{self.driver}"

    def is_on_another_day(self, at_micros: int) -> bool:
        """Whether it comes to another day of UTC then: its books reach a midnight, or it was ready after one."""
        if self.metered_to_micros in (None, self.ready_at_micros):
            return at_micros // DAY_MICROS != self.started_at_micros // DAY_MICROS
        return self.metered_to_micros == at_micros and at_micros % DAY_MICROS == 0

    def amount_nano(self, until_micros: int) -> int:
        """Return what is owed from ready until then, rounded half to even once over the whole span."""
        return share_nano(self.micros_between(0, until_micros), self.nano_per_hour)

    def between_nano(self, since_micros: int, until_micros: int) -> int:
        """Return what is owed for a part of it: parts that follow one another add up to what is owed for the whole."""
        return self.amount_nano(until_micros) - self.amount_nano(since_micros)

    def micros_between(self, since_micros: int, until_micros: int) -> int:
        """Return how long of a span of time it was paid for, as if it had not ended where it has not yet."""
        if self.ready_at_micros is None:
            return 0
        gone = until_micros if self.gone_at_micros is None else self.gone_at_micros
        return max(0, min(until_micros, gone) - max(since_micros, self.ready_at_micros))


@dataclass(frozen=True, slots=True)
class ReplicaShare:
    """A request's part of its replica's time, and what an hour of that is paid with, None where no run is known."""

    micros: int = 0
    nano_per_hour: int | None = None


NO_SHARE = ReplicaShare()


def share_nano(micros: int, nano_per_hour: int) -> int:
    """Return what so much time of a replica costs, rounded half to even."""
    return divide_half_even(micros * nano_per_hour, MICROS_PER_HOUR)


def cuts(since_micros: int, until_micros: int) -> Iterator[int]:
    """Yield the quarters of an hour of UTC that lie between two times, and neither of the two."""
    yield from range((since_micros // QUARTER_MICROS + 1) * QUARTER_MICROS, until_micros, QUARTER_MICROS)
