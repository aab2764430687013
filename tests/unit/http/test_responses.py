from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.domain.access import Caller
from headrace.domain.errors import InvalidRequest, NotFound
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.http.responses import response_routes
from headrace.http.routing import Reply, Request
from headrace.services.responses import Responses
from headrace.testing.clock import FakeClock
from headrace.wire.json_strict import encode
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.nouns import CALLER
from tests.open_responses import judge_list
from tests.unit.services.test_responses import OTHER

pytestmark = pytest.mark.anyio

ITEMS: list[JsonValue] = [
    {"role": "user", "content": "Hi"},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"role": "assistant", "content": "Hello."},
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "x"},
]


class World:
    """The routes over one kept response."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.blobs = MemoryBlobs(clock)
        kept: JsonObject = {"response": {"id": "resp_1", "output": []}, "input": ITEMS, "requested_model": "one"}
        self.blobs.kept["key1", "response", "resp_1"] = (encode(kept), clock.unix_micros() + 1)
        self.routes = {
            (route.method, route.path): route.endpoint for route in response_routes(Responses(self.blobs, clock, 30))
        }

    async def ask(self, method: str, below: str = "", query: str = "", caller: Caller = CALLER) -> Any:
        scope: dict[str, Any] = {"path_params": {"id": "resp_1"}, "query_string": query.encode()}

        async def receive() -> Any:
            raise AssertionError("no body is read")

        reply = await self.routes[method, f"/v1/responses/{{id}}{below}"](Request(scope, receive, "req_1", caller))
        assert isinstance(reply, Reply) and reply.status == 200
        return msgspec.json.decode(reply.body)


async def test_a_response_is_returned_whole_and_deleted_once() -> None:
    world = World()
    assert await world.ask("GET", query="stream=false") == {"id": "resp_1", "output": []}
    with pytest.raises(InvalidRequest, match="whole"):
        await world.ask("GET", query="stream=true")
    assert await world.ask("DELETE") == {"id": "resp_1", "object": "response", "deleted": True}
    for method in ("GET", "DELETE"):
        with pytest.raises(NotFound):
            await world.ask(method)


async def test_another_key_finds_nothing() -> None:
    world = World()
    for method, below in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        with pytest.raises(NotFound):
            await world.ask(method, below, caller=OTHER)
    with pytest.raises(InvalidRequest, match="background"):
        await world.ask("POST", "/cancel")


async def test_items_are_listed_newest_first_in_pages_with_an_id_and_a_type_each() -> None:
    world = World()
    page = await world.ask("GET", "/input_items")
    assert [item["type"] for item in page["data"]] == [
        "function_call_output",
        "function_call",
        "message",
        "reasoning",
        "message",
    ]
    assert page["data"][-1]["content"] == [{"type": "input_text", "text": "Hi"}]
    said: JsonObject = {"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}
    assert page["data"][2]["content"] == [said]
    judge_list(page)
    assert not page["has_more"] and page["object"] == "list"
    ids: list[str] = []
    after = ""
    while True:
        page = await world.ask("GET", "/input_items", f"order=asc&limit=2{after}")
        ids += [item["id"] for item in page["data"]]
        judge_list(page)
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], ids[-1])
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert ids == ["msg_input_0", "rs_1", "msg_input_2", "fc_1", "item_input_4"]
    end = await world.ask("GET", "/input_items", f"order=asc&after={ids[-1]}")
    assert end["data"] == [] and end["first_id"] == end["last_id"] == ""


@pytest.mark.parametrize("query", ["order=up", "after=nobody", "limit=0"])
async def test_a_wrong_query_is_named(query: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await World().ask("GET", "/input_items", query)
    assert caught.value.param == query.split("=")[0]
