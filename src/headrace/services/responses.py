"""Conversation state of the Responses dialect: kept by us for its key, so that it survives a change of model.

A request that continues an earlier response is expanded into the whole input before a turn is called; what the turn
sends passes a sink that gives the response our id and keeps it. A turn knows nothing of this.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from headrace.domain.access import Caller
from headrace.domain.call import Call
from headrace.domain.errors import InvalidRequest, MeteringUnavailable, NotFound, StoreUnusable
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.ports.ambient import Clock
from headrace.ports.sink import Sink
from headrace.ports.stores import Blobs
from headrace.services.response_sink import ResponseSink
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.openai_responses import input_items, item_type, read_envelope

RESPONSE, ITEM = "response", "response_item"
DAY_MICROS = 86_400_000_000
SWEEP_SECONDS = 3_600.0
MAX_ID_CHARS = 128
RunTurn: TypeAlias = Callable[[Call, Sink], Awaitable[None]]
Sleep: TypeAlias = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """A response as it was sent, the whole input that it answered and the model name that was asked for."""

    response: JsonObject
    input: list[JsonValue]
    requested_model: str


class Responses:
    """Keeps responses for `keep_days`; zero switches it off."""

    def __init__(self, blobs: Blobs, clock: Clock, keep_days: int) -> None:
        self._blobs = blobs
        self._clock = clock
        self._keep_days = keep_days

    def sink(self, call: Call, sink: Sink) -> ResponseSink:
        """Return the sink through which a turn's reply to this call passes."""
        return ResponseSink(sink, call)

    async def serve(self, call: Call, sink: ResponseSink, run: RunTurn) -> None:
        """Run a turn on the whole conversation and keep its response; raises InvalidRequest and what a turn raises."""
        is_kept = self._is_kept(call)
        expanded = await self._expanded(call)
        if is_kept:
            sink.keep = lambda response: self._keep(expanded, response)
        await run(expanded, sink)

    async def get(self, caller: Caller, response_id: str) -> JsonObject:
        """Return a kept response of this caller; raises NotFound."""
        return (await self._find(caller, response_id)).response

    async def input_of(self, caller: Caller, response_id: str) -> list[JsonValue]:
        """Return the items that a kept response answered, oldest first; raises NotFound."""
        return (await self._find(caller, response_id)).input

    async def conversation(self, caller: Caller, body: JsonObject) -> list[JsonValue]:
        """Return the whole input of a request: what it continues, what it names, what it brings.

        Raises InvalidRequest for what is not kept for this caller.
        """
        before: list[JsonValue] = []
        previous = body.get("previous_response_id")
        if isinstance(previous, str):
            before = await self._continued(caller, previous, body.get("model"))
        given = input_items(body)
        return [*before, *[await self._resolved(caller, item, index) for index, item in enumerate(given)]]

    async def delete(self, caller: Caller, response_id: str) -> None:
        """Forget a kept response of this caller; raises NotFound."""
        kept = await self._load(caller.key_id, response_id)
        if kept is None or not await self._blobs.delete(caller.key_id, RESPONSE, response_id):
            raise _not_found(response_id)
        for item_id in _item_ids(kept.response):
            await self._blobs.delete(caller.key_id, ITEM, item_id)

    async def cancel(self, caller: Caller, response_id: str) -> None:
        """Refuse: a response that is kept has ended; raises NotFound, InvalidRequest."""
        await self._find(caller, response_id)
        raise InvalidRequest(
            "Only a response that runs in the background can be cancelled, and none does here. "
            "To stop one that streams, close the connection.",
            code="response_not_cancellable",
        )

    async def sweep_for_ever(self, sleep: Sleep = asyncio.sleep) -> None:
        """Forget what has expired, once an hour, until cancelled."""
        while True:
            with contextlib.suppress(MeteringUnavailable):
                await self._blobs.sweep()
            await sleep(SWEEP_SECONDS)

    def _is_kept(self, call: Call) -> bool:
        asked = call.body.get("store")
        if asked is True and not self._keep_days:
            raise InvalidRequest(
                'The operator of this server keeps no responses: send "store": false.',
                code="store_disabled",
                param="store",
            )
        return asked is not False and self._keep_days > 0

    async def _expanded(self, call: Call) -> Call:
        body = dict(call.body)
        given, previous = input_items(body), body.get("previous_response_id")
        if not isinstance(previous, str) and not any(item_type(item) == "item_reference" for item in given):
            return call
        body["input"] = await self.conversation(call.caller, body)
        return replace(call, body=body, envelope=read_envelope(body, len(encode(body))))

    async def _continued(self, caller: Caller, previous: str, model: JsonValue) -> list[JsonValue]:
        kept = await self._load(caller.key_id, previous)
        if kept is None:
            raise InvalidRequest(
                f'No response with the id "{previous[:MAX_ID_CHARS]}" is kept for this key: it was never stored, '
                "it has expired, or it was deleted. Send the whole conversation as input.",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        output = kept.response.get("output")
        items = [*kept.input, *(output if isinstance(output, list) else [])]
        if kept.requested_model == model:
            return items
        return [_unsealed(item) for item in items]

    async def _resolved(self, caller: Caller, item: JsonObject, index: int) -> JsonObject:
        if item_type(item) != "item_reference":
            return item
        owner, item_id = caller.key_id, item.get("id")
        named = item_id if isinstance(item_id, str) else ""
        response_id = await self._blobs.get(owner, ITEM, named[:MAX_ID_CHARS])
        kept = None if response_id is None else await self._load(owner, response_id.decode())
        for each in _output_of(kept.response if kept is not None else {}):
            if each.get("id") == item_id:
                return each
        raise InvalidRequest(
            f'No item with the id "{named[:MAX_ID_CHARS]}" is kept for this key. Send the item itself.',
            code="item_not_found",
            param=f"input[{index}].id",
        )

    async def _keep(self, call: Call, response: JsonObject) -> bool:
        """Keep a response; an answer that was paid for is given out even when it could not be kept, and says so."""
        content: JsonObject = {
            "response": response,
            "input": cast("list[JsonValue]", input_items(dict(call.body))),
            "requested_model": call.envelope.model,
        }
        owner, response_id = call.caller.key_id, str(response["id"])
        expires = self._clock.unix_micros() + self._keep_days * DAY_MICROS
        try:
            await asyncio.gather(
                self._blobs.put(owner, RESPONSE, response_id, encode(content), expires),
                *(
                    self._blobs.put(owner, ITEM, item_id, response_id.encode(), expires)
                    for item_id in _item_ids(response)
                ),
            )
        except MeteringUnavailable:
            return False
        return True

    async def _find(self, caller: Caller, response_id: str) -> KeptResponse:
        kept = await self._load(caller.key_id, response_id)
        if kept is None:
            raise _not_found(response_id)
        return kept

    async def _load(self, owner: str, response_id: str) -> KeptResponse | None:
        content = await self._blobs.get(owner, RESPONSE, response_id[:MAX_ID_CHARS])
        if content is None:
            return None
        value = decode_trusted(content)
        response, items = (value.get("response"), value.get("input")) if is_object(value) else (None, None)
        if not is_object(value) or not is_object(response) or not isinstance(items, list):
            raise StoreUnusable(f"The stored response {response_id} is damaged: delete it.")
        return KeptResponse(response, items, str(value.get("requested_model")))


def _not_found(response_id: str) -> NotFound:
    return NotFound(
        f'No response with the id "{response_id[:MAX_ID_CHARS]}" is kept for this key.', code="response_not_found"
    )


def _output_of(response: JsonObject) -> list[JsonObject]:
    output = response.get("output")
    return [item for item in output if is_object(item)] if isinstance(output, list) else []


def _item_ids(response: JsonObject) -> list[str]:
    ids = [item.get("id") for item in _output_of(response)]
    return [each for each in ids if isinstance(each, str) and 0 < len(each) <= MAX_ID_CHARS]


def _unsealed(item: JsonValue) -> JsonValue:
    """Return an item without what only the model that wrote it can open."""
    if not is_object(item) or "encrypted_content" not in item:
        return item
    return {name: value for name, value in item.items() if name != "encrypted_content"}
