"""Kept responses as routes of the data plane; creating one is inference's.

Source: OpenAI API reference, "Responses", get, delete, cancel, list input items (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.services.responses import Responses
from headrace.wire.openapi import Entry
from headrace.wire.openapi_responses import InputItems, InputItemsQuery, Response, ResponseDeleted, ResponseQuery
from headrace.wire.responses_listed import listed_item

DEFAULT_LIMIT, MAX_LIMIT = 20, 100
ONE_ENTRY = Entry("Returns a kept response", Response, asks=ResponseQuery)
DELETE_ENTRY = Entry("Forgets a kept response", ResponseDeleted)
COMPACT_ENTRY = Entry("Refuses: conversations are not compacted", statuses=())
CANCEL_ENTRY = Entry("Refuses: nothing runs in the background", statuses=())
ITEMS_ENTRY = Entry("Lists what a response answered", InputItems, asks=InputItemsQuery)


def response_routes(responses: Responses) -> tuple[RouteSpec, ...]:
    """Return `/v1/responses/{id}` and what lies below it."""

    async def one(request: Request) -> Reply:
        if _choice(request, "stream", ("false", "true")) == "true":
            raise InvalidRequest("A kept response is returned whole: leave out `stream`.", param="stream")
        return json_reply(await responses.get(request.who, request.part("id")))

    async def delete(request: Request) -> Reply:
        response_id = request.part("id")
        await responses.delete(request.who, response_id)
        return json_reply({"id": response_id, "object": "response", "deleted": True})

    async def cancel(request: Request) -> Reply:
        await responses.cancel(request.who, request.part("id"))
        raise AssertionError("a kept response was cancelled")

    async def compact(_: Request) -> Reply:
        raise InvalidRequest(
            "Conversations are not compacted here: only the provider that compacted one could read it again. Send the "
            "items that still matter as `input`, or let `previous_response_id` name the conversation.",
            code="compaction_unsupported",
        )

    async def input_items(request: Request) -> Reply:
        items = await responses.input_of(request.who, request.part("id"))
        return json_reply(_page(request, items))

    return (
        RouteSpec("POST", "/v1/responses/compact", compact, Audience.OWN, COMPACT_ENTRY),
        RouteSpec("GET", "/v1/responses/{id}", one, Audience.OWN, ONE_ENTRY),
        RouteSpec("DELETE", "/v1/responses/{id}", delete, Audience.OWN, DELETE_ENTRY),
        RouteSpec("POST", "/v1/responses/{id}/cancel", cancel, Audience.OWN, CANCEL_ENTRY),
        RouteSpec("GET", "/v1/responses/{id}/input_items", input_items, Audience.OWN, ITEMS_ENTRY),
    )


def _page(request: Request, items: list[JsonValue]) -> JsonObject:
    listed = [listed_item(item, index) for index, item in enumerate(items)]
    if _choice(request, "order", ("desc", "asc")) == "desc":
        listed.reverse()
    after = request.text("after")
    if after is not None:
        ids = [item["id"] for item in listed]
        if after not in ids:
            raise InvalidRequest(f'No item has the id "{after[:80]}".', param="after")
        listed = listed[ids.index(after) + 1 :]
    limit = request.number("limit", DEFAULT_LIMIT, MAX_LIMIT)
    page = listed[:limit]
    return {
        "object": "list",
        "data": list[JsonValue](page),
        "first_id": page[0]["id"] if page else "",
        "last_id": page[-1]["id"] if page else "",
        "has_more": len(listed) > limit,
    }


def _choice(request: Request, name: str, choices: tuple[str, ...]) -> str:
    """Return a word of the query string that is one of these, the first when it is absent; raises InvalidRequest."""
    text = request.text(name)
    if text is None:
        return choices[0]
    if text not in choices:
        raise InvalidRequest(f'"{name}" must be one of {", ".join(choices)}, not "{text[:40]}".', param=name)
    return text
