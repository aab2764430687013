"""Replays of a router's past: one report, or its progress as events and the report as the last of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from headrace.domain.errors import HeadraceError, InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import MANAGED_ROUTER
from headrace.http.routing import NO_STORE, Audience, Reply, Request, RouteSpec, Stream, json_reply
from headrace.ports.ambient import Clock
from headrace.services.replays import ReplayQuestion, ReplayReport, Replays, Step
from headrace.services.router_history import DEFAULT_REQUESTS, MOST_REQUESTS, Past
from headrace.wire.decision_question import take_draft
from headrace.wire.errors import control_error_object
from headrace.wire.iso_time import iso_time
from headrace.wire.json_strict import encode
from headrace.wire.openapi import EVENTS, JSON, Entry
from headrace.wire.openapi_replay import ReplayBody, ReplayReply
from headrace.wire.past_query import read_limit, read_since, read_until
from headrace.wire.replay_json import replay_fields
from headrace.wire.routing_preference import take_preference
from headrace.wire.sse import data_frame

PATH = "/v2/gen-ai/models/routers/{uuid}/replay"
FIELDS = frozenset({"since", "until", "limit", "router", "routing_preference", "stream"})
STREAM_HEADERS = (("content-type", "text/event-stream; charset=utf-8"), *NO_STORE)
ENTRY = Entry(
    "Decides logged requests anew, by the router as it is or as it might be, without calling anybody",
    ReplayReply,
    ReplayBody,
    media=(JSON, EVENTS),
)


def routes(replays: Replays, clock: Clock) -> tuple[RouteSpec, ...]:
    """Return the route."""

    async def replay(request: Request) -> Reply | Stream:
        fields = await request.fields(FIELDS)
        question = _question(request.part("uuid"), fields, clock.unix_micros())
        if _is_streamed(fields.get("stream")):
            return Stream(STREAM_HEADERS, _events(await replays.begin(question), request.request_id))
        return json_reply(_wrapped(await replays.whole(question)))

    return (RouteSpec("POST", PATH, replay, Audience.ADMIN, ENTRY),)


def _question(router: str, fields: JsonObject, now_micros: int) -> ReplayQuestion:
    since = read_since(fields.get("since"), now_micros)
    until = read_until(fields.get("until"), since, now_micros)
    most = read_limit(fields.get("limit"), DEFAULT_REQUESTS, MOST_REQUESTS)
    preference = take_preference(fields)
    return ReplayQuestion(router, Past(since, until, most), take_draft(fields), preference)


def _is_streamed(value: JsonValue) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidRequest('"stream" must be true or false.', param="stream")


async def _events(steps: AsyncGenerator[Step, None], request_id: str) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(steps):
        try:
            async for step in steps:
                yield data_frame(encode(_event(step)))
        except HeadraceError as error:
            yield data_frame(encode({"error": control_error_object(error, request_id)}))


def _event(step: Step) -> JsonObject:
    if isinstance(step, ReplayReport):
        return _wrapped(step)
    return {"what": step.what, "done": step.done, "total": step.total, "unit": step.unit}


def _wrapped(report: ReplayReport) -> JsonObject:
    return {
        "replay": {
            "router": report.router,
            "draft": report.is_draft,
            "routing_preference": None if report.preference is None else report.preference.value,
            "since": iso_time(report.past.since_micros),
            "until": iso_time(report.past.until_micros),
            "requests": report.known,
            **replay_fields(report.replay, report.left_out, has_tasks=report.router != MANAGED_ROUTER),
        }
    }
