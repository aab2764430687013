"""Counts what has ended for Prometheus, in a registry of its own with a bounded number of series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from headrace.domain.usage import TokenClass
from headrace.drivers.observability.gauges import GaugeSources, LiveFigures
from headrace.ports.observer import AttemptEnd, RequestEnd

OTHER = "other"
MAX_MODELS, MAX_ROUTES = 300, 100
FIRST_EVENT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
DURATION_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
ENDINGS = frozenset(
    {
        "complete", "client_closed", "slow_reader", "upstream_truncated", "upstream_stalled", "upstream_error",
        "recovered", "voided",
    }
)  # fmt: skip


class _Bounded:
    """Lets the first so many different values through and calls every later one "other"."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[str] = set()

    def value(self, text: str) -> str:
        if text in self._seen:
            return text
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(text)
        return text


@dataclass(frozen=True, slots=True)
class _ModelSeries:
    """The series of one model; finding them anew costs more than counting."""

    tokens: Mapping[TokenClass, Counter]
    charge: Counter
    cost: Counter
    first_event: Histogram
    duration: Histogram


class PrometheusObserver:
    """An Observer whose counts are read by `render`; past so many models or routes, later ones count as "other"."""

    def __init__(self, sources: GaugeSources, max_models: int = MAX_MODELS, max_routes: int = MAX_ROUTES) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._routes = _Bounded(max_routes)
        self._models = _Bounded(max_models)
        self._series: dict[str, _ModelSeries] = {}
        self._requests = Counter(
            "headrace_requests", "Ended HTTP requests.", ("route", "status_class"), registry=self._registry
        )
        self._request_seconds = Histogram(
            "headrace_request_duration_seconds",
            "Time from the request's coming to the end of its reply.",
            ("route",),
            buckets=DURATION_BUCKETS,
            registry=self._registry,
        )
        self._attempts = Counter(
            "headrace_attempts", "Resolved attempts.", ("model", "provider", "ending"), registry=self._registry
        )
        self._tokens = Counter("headrace_tokens", "Tokens by class.", ("model", "class"), registry=self._registry)
        self._charge = Counter(
            "headrace_charge_nano_usd",
            "What callers were billed, in nano-dollars.",
            ("model",),
            registry=self._registry,
        )
        self._cost = Counter(
            "headrace_cost_nano_usd", "What upstreams are owed, in nano-dollars.", ("model",), registry=self._registry
        )
        self._first_event_seconds = Histogram(
            "headrace_first_event_seconds",
            "Time from an attempt's hold to its first meaningful event.",
            ("model",),
            buckets=FIRST_EVENT_BUCKETS,
            registry=self._registry,
        )
        self._attempt_seconds = Histogram(
            "headrace_attempt_duration_seconds",
            "Time from an attempt's hold to its end.",
            ("model",),
            buckets=DURATION_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(LiveFigures(sources))
        ProcessCollector(registry=self._registry)

    def request_ended(self, end: RequestEnd) -> None:
        """Count one ended request."""
        route = self._routes.value(end.route)
        self._requests.labels(route, _status_class(end.status)).inc()
        self._request_seconds.labels(route).observe(end.duration_seconds)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Count one resolved attempt with its tokens and money."""
        model = self._models.value(end.model_id)
        provider = end.provider if model != OTHER else OTHER
        ending = end.ending if end.ending in ENDINGS else OTHER
        self._attempts.labels(model, provider, ending).inc()
        series = self._series.get(model)
        if series is None:
            series = self._series[model] = self._series_of(model)
        series.duration.observe(end.duration_seconds)
        if end.first_event_seconds is not None:
            series.first_event.observe(end.first_event_seconds)
        if end.usage is not None:
            for token_class, quantity in end.usage.quantities():
                series.tokens[token_class].inc(quantity)
        series.charge.inc(end.charge_nano)
        series.cost.inc(end.cost_nano)

    def render(self) -> tuple[str, bytes]:
        """Return the content type and the text of all metrics now."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    def _series_of(self, model: str) -> _ModelSeries:
        return _ModelSeries(
            tokens={each: self._tokens.labels(model, each.value) for each in TokenClass},
            charge=self._charge.labels(model),
            cost=self._cost.labels(model),
            first_event=self._first_event_seconds.labels(model),
            duration=self._attempt_seconds.labels(model),
        )


def _status_class(status: int) -> str:
    return f"{status // 100}xx" if 100 <= status < 600 else "none"
