from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.call import Call, Dialect
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest, NotFound, StoreUnusable
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.ports.sink import Sink
from headrace.services.responses import DAY_MICROS, Responses
from headrace.testing.clock import FakeClock
from headrace.testing.openai_replies import Chat
from headrace.testing.responses_replies import response_reply
from headrace.wire.openai_responses import read_envelope
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.nouns import CALLER, a_call
from tests.unit.services.test_response_sink import NotedSink

pytestmark = pytest.mark.anyio

OTHER = Caller("key2", "web", "shop", Role.KEY, None)


class State:
    """A service over memory, and turns that answer with a canned response and note what they were called with."""

    def __init__(self, keep_days: int = 30) -> None:
        self.clock = FakeClock()
        self.blobs = MemoryBlobs(self.clock)
        self.responses = Responses(self.blobs, self.clock, keep_days)
        self.calls: list[Call] = []
        self.reply = response_reply(Chat("Hello.", id="a1")).body
        self._count = 0

    async def serve(self, caller: Caller = CALLER, **fields: JsonValue) -> JsonObject:
        self._count += 1
        body: JsonObject = {"model": "one", "input": "Hi", **fields}
        call = replace(
            a_call(caller),
            request_id=f"req_{self._count}",
            body=body,
            envelope=read_envelope(body, 20),
            dialect=Dialect.RESPONSES,
        )
        outer = NotedSink()
        await self.responses.serve(call, self.responses.sink(call, outer), self._turn)
        shown: JsonObject = msgspec.json.decode(outer.blocks[-1])
        return shown

    async def _turn(self, call: Call, sink: Sink) -> None:
        self.calls.append(call)
        await sink.start(200, ())
        await sink.end(self.reply)

    @property
    def input(self) -> JsonValue:
        """The input of the last turn."""
        return self.calls[-1].body["input"]


async def test_a_response_is_kept_for_its_key_until_it_expires() -> None:
    state = State()
    shown = await state.serve()
    assert shown["id"] == "resp_1" and shown["store"] is True
    assert await state.responses.get(CALLER, "resp_1") == shown
    assert await state.responses.input_of(CALLER, "resp_1") == [{"type": "message", "role": "user", "content": "Hi"}]
    with pytest.raises(NotFound):
        await state.responses.get(OTHER, "resp_1")
    state.clock.advance(30 * DAY_MICROS / 1e6)
    with pytest.raises(NotFound):
        await state.responses.get(CALLER, "resp_1")


async def test_a_call_without_state_goes_to_its_turn_as_it_came() -> None:
    state = State()
    await state.serve(input=[{"role": "user", "content": "Hi"}], store=False)
    assert state.input == [{"role": "user", "content": "Hi"}] and state.blobs.kept == {}


async def test_what_went_before_is_put_in_front_and_read_anew() -> None:
    state = State()
    picture: JsonObject = {"type": "input_image", "image_url": "https://example.com/a.png"}
    await state.serve(input=[{"role": "user", "content": [picture]}])
    await state.serve(previous_response_id="resp_1", input="More?")
    await state.serve(previous_response_id="resp_2", input="Still more?")
    assert isinstance(state.input, list) and len(state.input) == 5
    assert [item.get("role") for item in state.input if isinstance(item, dict)] == ["user", "assistant"] * 2 + ["user"]
    envelope = state.calls[-1].envelope
    assert Capability.IMAGE_INPUT in envelope.needs and envelope.body_bytes > 200
    await state.responses.delete(CALLER, "resp_2")
    assert len(await state.responses.input_of(CALLER, "resp_3")) == 5


async def test_another_keys_response_is_refused_exactly_as_one_that_never_was() -> None:
    state = State()
    await state.serve()
    said: list[str] = []
    for caller, name in ((OTHER, "resp_1"), (CALLER, "resp_9")):
        with pytest.raises(InvalidRequest) as caught:
            await state.serve(caller, previous_response_id=name)
        assert caught.value.code == "previous_response_not_found" and caught.value.param == "previous_response_id"
        said.append(caught.value.message.replace(name, "NAME"))
    assert said[0] == said[1] and len(state.calls) == 1


async def test_sealed_reasoning_is_sent_only_to_the_model_that_sealed_it() -> None:
    state = State()
    body = msgspec.json.decode(response_reply(Chat("x", reasoning="hm")).body)
    body["output"][0]["encrypted_content"] = "sealed"
    state.reply = msgspec.json.encode(body)
    await state.serve()
    await state.serve(previous_response_id="resp_1")
    assert isinstance(state.input, list) and isinstance(state.input[1], dict)
    assert state.input[1]["encrypted_content"] == "sealed"
    await state.serve(previous_response_id="resp_1", model="two")
    assert isinstance(state.input, list) and isinstance(state.input[1], dict)
    assert "encrypted_content" not in state.input[1] and state.input[1]["type"] == "reasoning"


async def test_an_item_is_found_by_its_id_for_its_own_key_only() -> None:
    state = State()
    shown = await state.serve()
    output = shown["output"]
    assert isinstance(output, list)
    await state.blobs.put("key1", "response_item", "msg_lost", b"resp_1", state.clock.unix_micros() + 1)
    await state.blobs.put("key1", "response_item", "msg_gone", b"resp_9", state.clock.unix_micros() + 1)
    await state.serve(input=[{"type": "item_reference", "id": "msg_a1"}, {"role": "user", "content": "?"}])
    assert isinstance(state.input, list) and state.input[0] == output[0]
    for caller, name in (
        (OTHER, "msg_a1"),
        (CALLER, "msg_9"),
        (CALLER, "msg_lost"),
        (CALLER, "msg_gone"),
        (CALLER, None),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await state.serve(caller, input=[{"type": "item_reference", "id": name}])
        assert (caught.value.code, caught.value.param) == ("item_not_found", "input[0].id")


async def test_a_response_is_forgotten_with_its_items() -> None:
    state = State()
    await state.serve()
    for caller, name in ((OTHER, "resp_1"), (CALLER, "resp_9")):
        with pytest.raises(NotFound):
            await state.responses.delete(caller, name)
    await state.responses.delete(CALLER, "resp_1")
    assert state.blobs.kept == {}


async def test_only_what_runs_in_the_background_is_cancelled() -> None:
    state = State()
    await state.serve()
    with pytest.raises(InvalidRequest, match="background"):
        await state.responses.cancel(CALLER, "resp_1")
    with pytest.raises(NotFound):
        await state.responses.cancel(OTHER, "resp_1")


async def test_an_operator_who_keeps_nothing_refuses_to_store_and_says_that_nothing_is() -> None:
    state = State(keep_days=0)
    with pytest.raises(InvalidRequest) as caught:
        await state.serve(store=True)
    assert (caught.value.code, caught.value.param) == ("store_disabled", "store") and state.calls == []
    assert (await state.serve())["store"] is False and state.blobs.kept == {}


async def test_an_answer_that_could_not_be_kept_is_given_out_and_says_so() -> None:
    state = State()
    state.blobs.is_down = True
    assert (await state.serve())["store"] is False


async def test_a_damaged_response_is_named() -> None:
    state = State()
    await state.blobs.put("key1", "response", "resp_5", b'{"response": 1}', state.clock.unix_micros() + 1)
    with pytest.raises(StoreUnusable, match="resp_5"):
        await state.responses.get(CALLER, "resp_5")


async def test_what_has_expired_is_swept_again_and_again_though_the_store_was_away() -> None:
    state = State()
    await state.serve()
    state.blobs.is_down = True
    naps: list[float] = []

    class Enough(Exception):
        """Ends the sweeping."""

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise Enough
        assert len(state.blobs.kept) == 2
        if len(naps) == 2:
            state.clock.advance(31 * DAY_MICROS / 1e6)
        state.blobs.is_down = False

    with pytest.raises(Enough):
        await state.responses.sweep_for_ever(sleep)
    assert state.blobs.kept == {} and naps == [3600.0] * 3
