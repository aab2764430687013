"""The headers by which every reply tells who served it, or failed to; what it cost is metering's."""

from __future__ import annotations

import re
from typing import TypeAlias

from headrace.domain.call import Call, Operation
from headrace.domain.plan import Target
from headrace.domain.routing import Decision
from headrace.wire import speech

Headers: TypeAlias = tuple[tuple[str, str], ...]
MAX_DROPPED_CHARS = 1000
ROUTING_HEADERS = frozenset(
    {
        "x-model-router-selected-route",
        "x-headrace-router",
        "x-headrace-route-score",
        "x-headrace-route-basis",
        "x-headrace-session",
    }
)
_CUT = "..., and others"
_NO_HEADER = re.compile(r"[^ -~]")


def reply_headers(
    call: Call, target: Target, attempts: int, dropped: tuple[str, ...], decision: Decision | None = None
) -> Headers:
    """Return the headers of a reply: its type, who served, attempts, what a router decided, and dropped fields."""
    content_type = "text/event-stream" if call.envelope.stream else "application/json"
    if call.operation is Operation.SPEECH:
        content_type = speech.content_type(call.body)
    headers = (("content-type", content_type), *asked_headers(target, attempts, decision))
    if not dropped:
        return headers
    # A field's name is the caller's own text: what no header may hold would break the reply off.
    named = _NO_HEADER.sub("?", ", ".join(dropped)).strip()
    if len(named) > MAX_DROPPED_CHARS:
        named = f"{named[:MAX_DROPPED_CHARS]}{_CUT}"
    return (*headers, ("x-headrace-dropped", named))


def asked_headers(target: Target, attempts: int, decision: Decision | None) -> Headers:
    """Return the headers that tell who was asked last, in which attempt, and what a router decided."""
    return (
        ("x-headrace-model", target.model.id),
        ("x-headrace-provider", target.provider.name),
        ("x-headrace-attempts", str(attempts)),
        *(() if decision is None else routing_headers(decision)),
    )


def routing_headers(decision: Decision) -> Headers:
    """Return the headers by which a reply tells what a router decided; the route only where a task matched.

    Source: https://docs.digitalocean.com/products/inference/how-to/use-inference-router (name of the first, read
    2026-11).
    """
    told = (
        ("x-model-router-selected-route", decision.route),
        ("x-headrace-router", decision.router),
        ("x-headrace-route-score", None if decision.score is None else f"{decision.score:.3f}"),
        ("x-headrace-route-basis", decision.basis),
        ("x-headrace-session", decision.session),
    )
    return tuple((name, value) for name, value in told if value is not None)
