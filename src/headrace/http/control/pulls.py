"""Pulls of weights: started and followed as a stream of events, and listed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from headrace.domain.catalog import WeightsFile
from headrace.domain.json_value import JsonObject
from headrace.http.routing import NO_STORE, READ, TAGGED, Audience, Reply, Request, RouteSpec, Stream, resource_reply
from headrace.services.pulls import Pull, Pulls, PullState
from headrace.wire.control_json import list_object
from headrace.wire.errors import control_error_object
from headrace.wire.json_strict import encode
from headrace.wire.openapi import EVENTS, Entry
from headrace.wire.openapi_control import PullList
from headrace.wire.sse import data_frame

STREAM_HEADERS = (("content-type", "text/event-stream; charset=utf-8"), *NO_STORE)
START_ENTRY = Entry("Downloads an embedded model's weights, or joins a download", media=(EVENTS,))
LIST_ENTRY = Entry("Shows the last state of every download", PullList, sends=TAGGED, reads=READ)


def routes(pulls: Pulls) -> tuple[RouteSpec, ...]:
    """Return starting a pull and the list of pulls."""

    async def start(request: Request) -> Stream:
        model_id = request.part("id")
        files = pulls.files(model_id)
        return Stream(STREAM_HEADERS, _events(pulls.start(model_id), files, request.request_id))

    async def all_pulls(request: Request) -> Reply:
        return resource_reply(list_object("pulls", map(_object, pulls.states())))

    return (
        RouteSpec("POST", "/v2/models/{id:path}/pull", start, Audience.ADMIN, START_ENTRY),
        RouteSpec("GET", "/v2/models/pulls", all_pulls, Audience.ADMIN, LIST_ENTRY),
    )


async def _events(pull: Pull, files: Sequence[WeightsFile], request_id: str) -> AsyncGenerator[bytes, None]:
    for file in files:
        yield _frame({"name": file.name, "size_bytes": file.size_bytes, "licence": file.licence})
    async for state in pull.follow():
        if state.error is not None:
            yield _frame({"error": control_error_object(state.error, request_id)})
        elif state.phase == "done":
            yield _frame({"done": True, "model": state.model_id})
        elif state.progress is not None:
            yield _frame(_progress(state))


def _frame(event: JsonObject) -> bytes:
    return data_frame(encode(event))


def _progress(state: PullState) -> JsonObject:
    progress = state.progress
    if progress is None:
        return {"what": None, "done": 0, "total": 0, "unit": None}
    return {"what": progress.what, "done": progress.done, "total": progress.total, "unit": progress.unit}


def _object(state: PullState) -> JsonObject:
    error: JsonObject | None = None
    if state.error is not None:
        error = {"id": state.error.code, "message": state.error.message}
    return {"model": state.model_id, **_progress(state), "state": state.phase, "error": error}
