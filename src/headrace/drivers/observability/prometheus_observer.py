"""Counts what has ended for Prometheus, in a registry of its own with a bounded number of series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from headrace.domain.usage import TokenClass
from headrace.drivers.observability.gauges import GaugeSources, LiveFigures
from headrace.drivers.observability.tallies import Spreads, Tallies, Tally
from headrace.ports.observer import AttemptEnd, RequestEnd

OTHER = "other"
MAX_MODELS, MAX_ROUTES = 300, 100
FIRST_EVENT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
DURATION_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
ENDINGS = frozenset(
    {
        "complete", "client_closed", "slow_reader", "upstream_truncated", "upstream_stalled", "upstream_error",
        "recovered", "voided", "structured_output_invalid",
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


class PrometheusObserver:
    """An Observer whose counts are read by `render`; past so many models or routes, later ones count as "other"."""

    def __init__(self, sources: GaugeSources, max_models: int = MAX_MODELS, max_routes: int = MAX_ROUTES) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._routes = _Bounded(max_routes)
        self._models = _Bounded(max_models)
        self._requests = Tally("headrace_requests", "Ended HTTP requests.", ("route", "status_class"))
        self._request_seconds = Spreads(
            "headrace_request_duration_seconds",
            "Time from the request's coming to the end of its reply.",
            "route",
            DURATION_BUCKETS,
        )
        self._attempts = Tally("headrace_attempts", "Resolved attempts.", ("model", "provider", "ending"))
        self._tokens = Tally("headrace_tokens", "Tokens by class.", ("model", "class"))
        self._charge = Tally("headrace_charge_nano_usd", "What callers were billed, in nano-dollars.", ("model",))
        self._cost = Tally("headrace_cost_nano_usd", "What upstreams are owed, in nano-dollars.", ("model",))
        self._first_event_seconds = Spreads(
            "headrace_first_event_seconds",
            "Time from an attempt's hold to its first meaningful event.",
            "model",
            FIRST_EVENT_BUCKETS,
        )
        self._attempt_seconds = Spreads(
            "headrace_attempt_duration_seconds",
            "Time from an attempt's hold to its end.",
            "model",
            DURATION_BUCKETS,
        )
        counted = (self._requests, self._attempts, self._tokens, self._charge, self._cost)
        timed = (self._request_seconds, self._first_event_seconds, self._attempt_seconds)
        self._registry.register(Tallies((*counted, *timed)))
        self._registry.register(LiveFigures(sources))
        ProcessCollector(registry=self._registry)

    def request_ended(self, end: RequestEnd) -> None:
        """Count one ended request."""
        route = self._routes.value(end.route)
        self._requests.add((route, _status_class(end.status)))
        self._request_seconds.observe(route, end.duration_seconds)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Count one resolved attempt with its tokens and money."""
        model = self._models.value(end.model_id)
        provider = end.provider if model != OTHER else OTHER
        self._attempts.add((model, provider, end.ending if end.ending in ENDINGS else OTHER))
        self._attempt_seconds.observe(model, end.duration_seconds)
        if end.first_event_seconds is not None:
            self._first_event_seconds.observe(model, end.first_event_seconds)
        if end.usage is not None:
            for each, quantity in end.usage.quantities():
                if isinstance(each, TokenClass):
                    self._tokens.add((model, each.value), quantity)
        self._charge.add((model,), end.charge_nano)
        self._cost.add((model,), end.cost_nano)

    def render(self) -> tuple[str, bytes]:
        """Return the content type and the text of all metrics now."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)


def _status_class(status: int) -> str:
    return f"{status // 100}xx" if 100 <= status < 600 else "none"
