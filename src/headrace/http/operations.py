"""Routes for whoever operates the process: does it live, can it serve, what does it count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from headrace.domain.json_value import JsonObject
from headrace.http.routing import NO_STORE, Audience, Reply, Request, RouteSpec, json_reply
from headrace.wire.openapi import Entry
from headrace.wire.openapi_control import Health, Readiness

Check: TypeAlias = Callable[[], str | None]
RenderMetrics: TypeAlias = Callable[[], tuple[str, bytes]]
HEALTH_ENTRY = Entry("The process lives", Health)
READY_ENTRY = Entry("Says whether it can serve, and what is wrong", Readiness, statuses=(200, 503))
METRICS_ENTRY = Entry("Prometheus metrics; everybody's on a loopback address, else the admin's", media=("text/plain",))


def operations_routes(
    checks: Mapping[str, Check], render_metrics: RenderMetrics, *, metrics_public: bool
) -> tuple[RouteSpec, ...]:
    """Return `/healthz`, `/readyz` and `/metrics`; a check returns what is wrong, or None."""

    async def health(request: Request) -> Reply:
        return json_reply({"status": "ok"})

    async def ready(request: Request) -> Reply:
        found = {name: check() for name, check in checks.items()}
        is_ready = not any(found.values())
        results: JsonObject = {name: problem or "ok" for name, problem in found.items()}
        body: JsonObject = {"status": "ready" if is_ready else "not_ready", "checks": results}
        return json_reply(body, 200 if is_ready else 503)

    async def metrics(request: Request) -> Reply:
        content_type, body = render_metrics()
        return Reply(200, (("content-type", content_type), *NO_STORE), body)

    return (
        RouteSpec("GET", "/healthz", health, Audience.PUBLIC, HEALTH_ENTRY),
        RouteSpec("GET", "/readyz", ready, Audience.PUBLIC, READY_ENTRY),
        RouteSpec("GET", "/metrics", metrics, Audience.PUBLIC if metrics_public else Audience.ADMIN, METRICS_ENTRY),
    )
