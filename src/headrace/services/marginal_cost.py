"""What one more request costs at a deployment: nothing while its paid replicas have free slots, then its queue; pure.

Its seconds are paid whether it works or not, so the margin counts and not the average. The formula is in
docs/dedicated-routing.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.dedicated import Deployment, Standing
from headrace.domain.money import divide_half_even
from headrace.domain.replica_run import MICROS_PER_HOUR
from headrace.services.fleet import wake_seconds

# What an answer is taken to last at, where nobody has measured the deployment.
UNMEASURED_TOKENS_PER_SECOND = 30.0
# What stays awake once it is woken is counted as paid for so long.
ENDLESS_SECONDS = 86_400
MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Marginal:
    """What one more request adds, in nano-dollars, and why; `wait_seconds` is how long it waits for a replica."""

    cost_nano: int
    reason: str
    wait_seconds: float = 0.0


def beyond_slots(deployment: Deployment, standing: Standing) -> int:
    """Return how many requests have no slot of a ready replica; below 0 it is how many slots are free."""
    return standing.in_flight + standing.waiting - standing.ready * max(deployment.wanted.slots, 1)


def marginal(deployment: Deployment, standing: Standing | None, service_seconds: float) -> Marginal:
    """Return what one more request costs that a slot works on for so long.

    Asleep, it is the replica's time from its start to its falling asleep again, or of a day where it never does. Awake
    with all slots taken, it is the slot's time, and as much again for every full round of requests that wait for one.
    """
    hourly, wanted = deployment.nano_per_hour, deployment.wanted
    service = round(service_seconds * MICROS)
    if standing is None or standing.ready == 0:
        wake = wake_seconds(standing)
        stay = wanted.idle_seconds or ENDLESS_SECONDS
        kept = round(wake * MICROS) + stay * MICROS + service
        end = "" if wanted.idle_seconds else ", for it does not fall asleep again"
        reason = f"asleep: a replica would be paid for {wake:.0f} s to wake and {stay} s to stay{end}"
        return Marginal(divide_half_even(hourly * kept, MICROS_PER_HOUR), reason, wake)
    slots = max(wanted.slots, 1)
    total = standing.ready * slots
    queue = beyond_slots(deployment, standing)
    if queue < 0:
        return Marginal(0, f"already paid: {-queue} of {total} slots free")
    cost = divide_half_even(hourly * service * (total + queue), MICROS_PER_HOUR * slots * total)
    return Marginal(cost, f"busy: all {total} slots taken, {queue} waiting")
