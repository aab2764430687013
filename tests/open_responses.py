"""Judges what the server says in the Responses dialect, byte by byte as it left: by two documents that others wrote.

One is the Open Responses schema of 2026-04-24, which the package `openresponses-py` carries from the repository
openresponses/openresponses; the other the types of the official `openai` SDK, in strict mode.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, cast

import httpx2
from jsonschema import Draft202012Validator
from openai.types.responses import InputTokenCountResponse, Response, ResponseItemList, ResponseStreamEvent
from pydantic import TypeAdapter

SCHEMA = "openresponses/openapi/2026-04-24.json"
# The two documents name these otherwise; the SDK's names are said, and the rest of the event is the schema's.
NAMED_OTHERWISE = {
    "response.reasoning_text.delta": "response.reasoning.delta",
    "response.reasoning_text.done": "response.reasoning.done",
}
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
RESPONSE = re.compile(r"/v1/responses(/input_tokens|/resp_[^/]+(/input_items)?)?$")


@cache
def _document() -> dict[str, Any]:
    document = json.loads(Path(str(distribution("openresponses-py").locate_file(SCHEMA))).read_text())
    # This edition takes null only for the schema that an answer keeps to; a later commit of the repository takes
    # an object too: schema/components/schemas/JsonSchemaResponseFormat.json at ebf2ab1 (read 2026-11-25).
    document["components"]["schemas"]["JsonSchemaResponseFormat"]["properties"]["schema"]["anyOf"] = [
        {"type": "object"},
        {"type": "null"},
    ]
    return document


@cache
def _validator(name: str) -> Any:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": _document()["components"]})


@cache
def _event_schemas() -> dict[str, str]:
    """The name of each event's schema by the event's type."""
    content = _document()["paths"]["/responses"]["post"]["responses"]["200"]["content"]
    names = [each["$ref"].rpartition("/")[2] for each in content["text/event-stream"]["schema"]["oneOf"]]
    types = [_document()["components"]["schemas"][name]["properties"]["type"]["enum"] for name in names]
    return {kind: name for name, [kind] in zip(names, types, strict=True)}


def schema_faults(name: str, value: object) -> list[str]:
    """What the schema finds wrong with a value, each with its place."""
    errors = _validator(name).iter_errors(value)
    return [f"{name} at {error.json_path}: {error.message[:300]}" for error in errors]


def judge_body(body: Any) -> None:
    """Expect a whole response to be of both documents."""
    faults = schema_faults("ResponseResource", body)
    assert not faults, faults
    assert Response.model_validate(body, strict=True)


def judge_list(body: Any) -> None:
    """Expect a list of a response's input to be of the SDK's types, and each item of both documents."""
    assert ResponseItemList.model_validate(body, strict=True)
    faults = [fault for item in body["data"] for fault in schema_faults("ItemField", item)]
    assert not faults, faults


def judge_whole(body: Any) -> None:
    """Expect whatever is not a stream to be of the documents that know it; the schema has no count and no list."""
    match body["object"]:
        case "list":
            judge_list(body)
        case "response.input_tokens":
            assert InputTokenCountResponse.model_validate(body, strict=True)
        case _:
            judge_body(body)


def judge_event(event: dict[str, Any]) -> None:
    """Expect one streamed event to be of both documents."""
    kind = event["type"]
    assert EVENTS.validate_python(event, strict=True).type == kind
    name = NAMED_OTHERWISE.get(kind, kind)
    assert name in _event_schemas(), f"no event of the schema: {kind}"
    faults = schema_faults(_event_schemas()[name], {**event, "type": name})
    assert not faults, faults


def judge_stream(body: bytes) -> list[dict[str, Any]]:
    """Expect every whole event to be named by its type, numbered from zero and of both documents; returns them."""
    events: list[dict[str, Any]] = []
    for frame in body.decode().split("\n\n")[:-1]:
        if frame.startswith(":"):
            continue
        name, data = frame.split("\n")
        event: dict[str, Any] = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        judge_event(event)
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    judge_order(events)
    return events


def judge_order(events: list[dict[str, Any]]) -> None:
    """Expect what a text, an item and a response add up to, to be what their last events say."""
    texts: dict[tuple[str, int], str] = {}
    items: dict[int, Any] = {}
    for event in events:
        kind = event["type"].removeprefix("response.")
        place = (event.get("item_id", ""), event.get("content_index", 0))
        if kind.endswith(".delta"):
            texts[place] = texts.get(place, "") + event["delta"]
        elif kind in ("output_text.done", "refusal.done", "reasoning_text.done", "function_call_arguments.done"):
            said = next(event[name] for name in ("text", "refusal", "arguments") if name in event)
            assert said == texts.get(place, "")
        elif kind == "output_item.done":
            items[event["output_index"]] = event["item"]
        elif kind in ("completed", "incomplete"):
            assert [items[index] for index in sorted(items)] == event["response"]["output"]
            assert event is events[-1]


@dataclass
class JudgedTransport(httpx2.BaseTransport):
    """A client's way to the server that judges every answer of `/v1/responses` as its bytes came; counts them."""

    inner: httpx2.BaseTransport = field(default_factory=lambda: httpx2.HTTPTransport())
    judged: int = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on; a response's body is judged when the client has it whole."""
        response = self.inner.handle_request(request)
        if response.status_code != 200 or not RESPONSE.search(request.url.path) or request.method == "DELETE":
            return response
        stream = cast("httpx2.SyncByteStream", response.stream)
        is_stream = response.headers["content-type"].startswith("text/event-stream")
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_JudgedStream(stream, self, is_stream=is_stream),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close the connections."""
        self.inner.close()

    def __del__(self) -> None:
        """Close the connections of a client that nobody closed, as the SDK's own client does."""
        self.inner.close()


class _JudgedStream(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, owner: JudgedTransport, *, is_stream: bool) -> None:
        self._inner = inner
        self._owner = owner
        self._is_stream = is_stream
        self._seen = bytearray()

    def __iter__(self) -> Iterator[bytes]:
        for block in self._inner:
            self._seen += block
            yield block
        if not self._is_stream:
            judge_whole(json.loads(self._seen))
            self._owner.judged += 1

    def close(self) -> None:
        self._inner.close()
        if self._is_stream:
            judge_stream(bytes(self._seen))
            self._owner.judged += 1
