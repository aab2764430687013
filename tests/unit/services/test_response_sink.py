from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from headrace.domain.call import Call, Dialect
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.services.response_sink import ResponseSink
from headrace.testing.openai_replies import Chat
from headrace.testing.responses_replies import response_reply, response_stream
from headrace.wire.openai_responses import read_envelope
from tests.fakes.nouns import a_call
from tests.unit.wire.typed_events import read_events

pytestmark = pytest.mark.anyio


class NotedSink:
    """Notes what reaches the caller."""

    def __init__(self) -> None:
        self.started = False
        self.gone = False
        self.departure: str | None = None
        self.headers: dict[str, str] = {}
        self.blocks: list[bytes] = []
        self.ending = ""

    async def start(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        assert status == 200
        self.started = True
        self.headers = dict(headers)

    async def write(self, block: bytes) -> None:
        self.blocks.append(block)

    async def end(self, block: bytes) -> None:
        self.ending = "ended"
        self.blocks.append(block)

    async def break_off(self, block: bytes) -> None:
        self.ending = "broken off"
        self.blocks.append(block)


def asked(**fields: JsonValue) -> Call:
    body: JsonObject = {"model": "one", "input": "Hi", **fields}
    envelope = read_envelope(body, 20)
    return replace(a_call(), request_id="req_77", body=body, envelope=envelope, dialect=Dialect.RESPONSES)


def keeper(into: list[JsonObject], *, works: bool = True) -> Any:
    async def keep(response: JsonObject) -> bool:
        into.append(response)
        return works

    return keep


async def test_a_whole_reply_gets_our_id_its_length_and_is_kept_first() -> None:
    outer, kept = NotedSink(), list[JsonObject]()
    sink = ResponseSink(outer, asked(previous_response_id="resp_1"))
    sink.keep = keeper(kept)
    await sink.start(200, (("content-type", "application/json"), ("content-length", "3")))
    assert sink.started and not outer.started
    await sink.end(response_reply("one two").body)
    body = msgspec.json.decode(outer.blocks[0])
    assert kept == [body] and body["id"] == "resp_77" and body["store"] is True
    assert body["previous_response_id"] == "resp_1"
    assert outer.headers == {"content-type": "application/json", "content-length": str(len(outer.blocks[0]))}


async def test_what_could_not_be_kept_says_so() -> None:
    outer = NotedSink()
    sink = ResponseSink(outer, asked())
    sink.keep = keeper([], works=False)
    await sink.start(200, ())
    await sink.end(response_reply("one").body)
    assert msgspec.json.decode(outer.blocks[0])["store"] is False


async def test_a_stream_gets_our_id_at_both_ends_and_passes_untouched_between() -> None:
    outer, kept = NotedSink(), list[JsonObject]()
    sink = ResponseSink(outer, asked(stream=True))
    sink.keep = keeper(kept)
    frames = [frame.data for frame in response_stream("one two").frames]
    await sink.start(200, ())
    assert outer.started
    await sink.write(b": waiting\n\n")
    await sink.write(b"".join(frames[:5]))
    for frame in frames[5:-1]:
        await sink.write(frame)
    await sink.end(frames[-1])
    assert outer.blocks[0] == b": waiting\n\n" and outer.blocks[2:-1] == frames[5:-1]
    events = read_events(b"".join(outer.blocks[1:]))
    assert [each["response"]["id"] for each in events if "response" in each] == ["resp_77"] * 3
    assert kept == [events[-1]["response"]]


async def test_a_failure_is_numbered_as_the_next_event() -> None:
    outer = NotedSink()
    sink = ResponseSink(outer, asked(stream=True))
    await sink.write(b"".join(frame.data for frame in response_stream("one two").frames[:6]))
    await sink.break_off(b'event: error\ndata: {"type":"error","message":"x"}\n\n')
    assert read_events(b"".join(outer.blocks))[-1]["sequence_number"] == 6 and outer.ending == "broken off"
    silent = NotedSink()
    await ResponseSink(silent, asked(stream=True)).break_off(b": bye\n\n")
    assert silent.blocks == [b": bye\n\n"]


async def test_the_callers_leaving_shows_through_and_odd_ends_pass() -> None:
    outer = NotedSink()
    sink = ResponseSink(outer, asked())
    assert not sink.started and not sink.gone and sink.departure is None
    outer.gone, outer.departure = True, "client_closed"
    assert sink.gone and sink.departure == "client_closed"
    await sink.end(b"[]")
    assert outer.blocks == [b"[]"]


async def test_a_response_that_is_not_to_be_kept_says_so() -> None:
    outer = NotedSink()
    sink = ResponseSink(outer, asked(stream=True))
    frames = [frame.data for frame in response_stream(Chat("one")).frames]
    await sink.write(b"".join(frames[:-1]))
    await sink.end(frames[-1])
    events = read_events(b"".join(outer.blocks))
    assert {each["response"]["store"] for each in events if "response" in each} == {False}
