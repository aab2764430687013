"""Figures that are read when somebody looks: the ledger, replicas, targets, the loop's lag, requests in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.domain.dedicated import Standing


def no_deployments() -> Mapping[str, Standing]:
    """Return that no deployment runs."""
    return {}


@dataclass(frozen=True, slots=True)
class GaugeSources:
    """Where the figures come from; every one is quick and does not raise.

    `ledger_synchronous` is the store's setting by name, `replicas_by_state` counts replicas, `targets_by_breaker`
    targets that were used lately, `retries_denied` failures that the retry budget let stand, `limits_refused`
    requests by the kinds of the scope and of the limit that refused them. `credentials` are provider, label and state
    of each credential in force, `cache_outcomes` counts the requests of keys that have a cache, `switch_verdicts` the
    switches away from a session's warm cache that were weighed, `deployments` how each stands, by its name.
    """

    ledger_commits: Callable[[], int]
    ledger_synchronous: Callable[[], str]
    ledger_queue_depth: Callable[[], int]
    replicas_by_state: Callable[[], Mapping[str, int]]
    loop_lag_seconds: Callable[[], float]
    requests_in_flight: Callable[[], int]
    targets_by_breaker: Callable[[], Mapping[str, int]]
    retries_denied: Callable[[], int]
    limits_refused: Callable[[], Mapping[tuple[str, str], int]]
    credentials: Callable[[], Iterable[tuple[str, str, str]]]
    cache_outcomes: Callable[[], Mapping[str, int]]
    router_sessions: Callable[[], int]
    switch_verdicts: Callable[[], Mapping[str, int]]
    deployments: Callable[[], Mapping[str, Standing]] = no_deployments


class LiveFigures(Collector):
    """Reads every source once when metrics are rendered."""

    def __init__(self, sources: GaugeSources) -> None:
        self._sources = sources

    def describe(self) -> Iterable[Metric]:
        """Return the names without reading a source."""
        empty = (_refusals({}), _credentials(()), _cache({}), _switches({}), *_deployments({}))
        return (*_families({}, "", {}, {}), *empty)

    def collect(self) -> Iterable[Metric]:
        """Return the figures as they are now."""
        sources = self._sources
        figures: dict[str, float] = {
            "commits": sources.ledger_commits(),
            "queue": sources.ledger_queue_depth(),
            "lag": sources.loop_lag_seconds(),
            "in_flight": sources.requests_in_flight(),
            "denied": sources.retries_denied(),
            "sessions": sources.router_sessions(),
        }
        families = _families(
            figures, sources.ledger_synchronous(), sources.replicas_by_state(), sources.targets_by_breaker()
        )
        more = (
            _credentials(sources.credentials()),
            _cache(sources.cache_outcomes()),
            _switches(sources.switch_verdicts()),
            *_deployments(sources.deployments()),
        )
        return (*families, _refusals(sources.limits_refused()), *more)


def _families(
    figures: Mapping[str, float], synchronous: str, replicas: Mapping[str, int], targets: Mapping[str, int]
) -> tuple[Metric, ...]:
    setting = GaugeMetricFamily("headrace_ledger_synchronous", "The store's synchronous setting.", labels=["setting"])
    if synchronous:
        setting.add_metric([synchronous], 1)
    return (
        CounterMetricFamily("headrace_ledger_commits", "Durable ledger commits.", figures.get("commits")),
        setting,
        GaugeMetricFamily("headrace_ledger_queue_depth", "Writes that wait for the next commit.", figures.get("queue")),
        _by_state("headrace_replicas", "Replicas of deployments by state.", replicas),
        _by_state("headrace_targets", "Models at providers that were used lately, by their breaker's state.", targets),
        CounterMetricFamily(
            "headrace_retries_denied", "Failures that the retry budget let stand.", figures.get("denied")
        ),
        GaugeMetricFamily(
            "headrace_loop_lag_seconds", "How late the event loop woke the last time.", figures.get("lag")
        ),
        GaugeMetricFamily("headrace_requests_in_flight", "Requests being served now.", figures.get("in_flight")),
        GaugeMetricFamily("headrace_router_sessions", "Sessions that routers keep.", figures.get("sessions")),
    )


def _refusals(counts: Mapping[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(
        "headrace_limits_refused", "Requests that a rate limit refused.", labels=["scope", "limit"]
    )
    for kinds, count in sorted(counts.items()):
        family.add_metric(list(kinds), count)
    return family


def _credentials(known: Iterable[tuple[str, str, str]]) -> Metric:
    family = GaugeMetricFamily(
        "headrace_credentials",
        "Keys of providers by label: 1 under what their provider makes of them.",
        labels=["provider", "credential", "state"],
    )
    for each in known:
        family.add_metric(list(each), 1)
    return family


def _cache(counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(
        "headrace_response_cache", "Requests of keys that have a cache, by what it did.", labels=["outcome"]
    )
    for outcome, count in sorted(counts.items()):
        family.add_metric([outcome], count)
    return family


def _switches(counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(
        "headrace_router_switches", "Choices against a session's warm cache, by verdict.", labels=["verdict"]
    )
    for verdict, count in sorted(counts.items()):
        family.add_metric([verdict], count)
    return family


def _deployments(standings: Mapping[str, Standing]) -> tuple[Metric, ...]:
    replicas = GaugeMetricFamily(
        "headrace_deployment_replicas",
        "Replicas of a deployment: asked for, ready and starting.",
        labels=["deployment", "state"],
    )
    requests = GaugeMetricFamily(
        "headrace_deployment_requests",
        "Requests at a deployment: in flight at its replicas, and waiting for one.",
        labels=["deployment", "state"],
    )
    for name, each in sorted(standings.items()):
        for state, count in (("wanted", each.wanted), ("ready", each.ready), ("starting", each.starting)):
            replicas.add_metric([name, state], count)
        for state, count in (("in_flight", each.in_flight), ("waiting", each.waiting)):
            requests.add_metric([name, state], count)
    return replicas, requests


def _by_state(name: str, meaning: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=["state"])
    for state, count in sorted(counts.items()):
        family.add_metric([state], count)
    return family
