"""Where the gauges of the running platform read their figures when somebody looks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from headrace.app.foundation import Foundation
from headrace.domain.dedicated import Standing
from headrace.drivers.observability.gauges import GaugeSources
from headrace.http.gateway import InFlight
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Compute
from headrace.services.affinity import Affinity
from headrace.services.health import TargetHealth
from headrace.services.limits import Limits
from headrace.services.loop_watch import LoopWatch
from headrace.services.response_cache import ResponseCache
from headrace.services.retries import RetryBudget
from headrace.services.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Counters:
    """Services whose figures are read when somebody looks."""

    in_flight: InFlight
    health: TargetHealth
    retries: RetryBudget
    limits: Limits
    snapshots: Snapshots
    cache: ResponseCache
    affinity: Affinity


def gauge_sources(
    ground: Foundation,
    compute: Compute,
    watch: LoopWatch,
    counters: Counters,
) -> GaugeSources:
    """Return where each gauge reads its figure."""
    writer = ground.database.writer
    return GaugeSources(
        ledger_commits=lambda: writer.commits,
        ledger_synchronous=lambda: writer.synchronous,
        ledger_queue_depth=lambda: writer.queue_depth,
        replicas_by_state=lambda: Counter(each.state.value for each in compute.observe()),
        loop_lag_seconds=lambda: watch.lag_seconds,
        requests_in_flight=lambda: counters.in_flight.count,
        targets_by_breaker=lambda: Counter(
            each.breaker.value for each in counters.health.states(ground.clock.monotonic())
        ),
        retries_denied=lambda: counters.retries.denied,
        limits_refused=lambda: counters.limits.refused,
        credentials=lambda: _credentials(counters, ground.clock),
        cache_outcomes=lambda: counters.cache.outcomes,
        router_sessions=lambda: counters.affinity.count,
        switch_verdicts=lambda: counters.affinity.verdicts,
        deployments=lambda: _standings(counters.snapshots, compute),
    )


def _standings(snapshots: Snapshots, compute: Compute) -> dict[str, Standing]:
    found = {each.name: compute.standing(each.id) for each in snapshots.current().deployments.values()}
    return {name: standing for name, standing in found.items() if standing is not None}


def _credentials(counters: Counters, clock: Clock) -> list[tuple[str, str, str]]:
    now = clock.monotonic()
    return [
        (name, each.label, counters.health.credential(name, each, now).state.value)
        for name, provider in counters.snapshots.current().providers.items()
        for each in provider.credentials
    ]
