"""Serving one dialect by an adapter of another: what leaves, what comes back, and what fails before it is paid for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.call import Call, Dialect, Operation
from headrace.domain.errors import InvalidRequest, UpstreamProtocol, UpstreamRateLimited, UpstreamTruncated
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Deadlines, Endpoint
from headrace.domain.usage import Usage
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.upstream import Prepared, Reader, Transport
from headrace.services.translation import TranslatedReply, TranslatedStream, TranslatingAdapter
from headrace.testing.clock import FakeClock
from headrace.testing.openai_replies import Chat, ToolCall, chat_reply, chat_stream, sse_frame
from headrace.wire import anthropic_messages, openai_chat
from headrace.wire.json_strict import decode_object
from headrace.wire.messages_to_chat import MessagesToChat
from headrace.wire.openai_chat_assembler import ChatAssembler
from headrace.wire.pair import Translated
from tests.fakes.nouns import CALLER, a_target
from tests.fakes.turn_world import FakeExchange, FakeTransport

ADAPTER = TranslatingAdapter(
    OpenAiAdapter(FakeClock(), "max_tokens"),
    Dialect.CHAT,
    {Dialect.MESSAGES: MessagesToChat()},
    openai_chat.read_envelope,
)
MONEY: dict[str, int | str] = {"cost_nano_usd": 5}
BROKEN = Chat("", tool_calls=(ToolCall("c1", "f", '{"a":'),), finish_reason="tool_calls")


def a_call(dialect: Dialect = Dialect.MESSAGES, **fields: Any) -> Call:
    body: JsonObject = {"model": "one", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], **fields}
    reads = anthropic_messages.read_envelope if dialect is Dialect.MESSAGES else openai_chat.read_envelope
    return Call("req_1", Operation.CHAT, CALLER, reads(body, 99), body, 0, dialect)


def reader_of(call: Call, adapter: TranslatingAdapter = ADAPTER) -> Reader:
    return adapter.reader(adapter.prepare(call, a_target()).call or call, a_target())


def test_a_translated_request_names_what_was_dropped() -> None:
    prepared = ADAPTER.prepare(a_call(stream=True, top_k=5), a_target())
    assert (prepared.path, prepared.stream, prepared.dropped) == ("/chat/completions", True, ("top_k",))
    sent = decode_object(prepared.body)
    assert (sent["model"], sent["stream_options"]) == ("upstream-one", {"include_usage": True})


def test_a_beta_of_the_callers_dialect_is_not_sent_and_said_so() -> None:
    passed = (("anthropic-version", "2023-06-01"), ("anthropic-beta", "b1"))
    prepared = ADAPTER.prepare(replace(a_call(top_k=5), passed_headers=passed), a_target())
    assert prepared.dropped == ("top_k", "anthropic-beta")
    assert prepared.headers == () and prepared.call is not None and prepared.call.passed_headers == ()


def test_a_cap_that_a_budget_shrank_is_translated_too() -> None:
    call = a_call()
    clamped = replace(call, envelope=replace(call.envelope, output_cap=3))
    prepared = ADAPTER.prepare(clamped, a_target())
    assert decode_object(prepared.body)["max_tokens"] == 3
    assert prepared.call is not None and prepared.call.envelope.output_cap == 3


def test_a_translated_call_without_a_cap_gets_the_catalogs() -> None:
    body: JsonObject = {"model": "one", "messages": [{"role": "user", "content": "Hi"}]}
    envelope = anthropic_messages.read_translated_envelope(body, 99)
    call = Call("req_1", Operation.CHAT, CALLER, envelope, body, 0, Dialect.MESSAGES)
    assert decode_object(ADAPTER.prepare(call, a_target()).body)["max_tokens"] == 256


@pytest.mark.anyio
async def test_a_prompt_is_counted_by_the_adapter_inside_where_it_can() -> None:
    class Counting(OpenAiAdapter):
        async def count_prompt(
            self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
        ) -> int | None:
            return len(prepared.body)

    asked = FakeTransport([]), Endpoint(""), Prepared("/", b"12345", stream=False), Deadlines()
    counting = TranslatingAdapter(Counting(FakeClock(), "max_tokens"), Dialect.CHAT, {}, openai_chat.read_envelope)
    assert await counting.count_prompt(*asked) == 5
    assert await ADAPTER.count_prompt(*asked) is None


def test_its_own_dialect_passes_through() -> None:
    prepared = ADAPTER.prepare(a_call(Dialect.CHAT, top_k=5), a_target())
    assert decode_object(prepared.body)["top_k"] == 5 and prepared.dropped == ()
    reader = reader_of(a_call(Dialect.CHAT))
    reader.feed(chat_reply("Hello.").body)
    reader.close()
    assert decode_object(reader.finish(reader.usage or Usage(), MONEY))["object"] == "chat.completion"


def test_a_request_is_translated_once() -> None:
    class Counting(MessagesToChat):
        requests = 0

        def request(self, body: JsonObject) -> Translated:
            self.requests += 1
            return super().request(body)

    pair = Counting()
    inner = OpenAiAdapter(FakeClock(), "max_tokens")
    adapter = TranslatingAdapter(inner, Dialect.CHAT, {Dialect.MESSAGES: pair}, openai_chat.read_envelope)
    reader_of(a_call(stream=True), adapter)
    assert pair.requests == 1


def test_a_label_leaves_the_translated_call_in_place() -> None:
    prepared = ADAPTER.prepare(a_call(), a_target())
    asked = prepared.labelled("req_1", "att_1").call
    assert asked is prepared.call and asked is not None and asked.dialect is Dialect.CHAT


def test_a_dialect_without_a_pair_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ADAPTER.prepare(a_call(Dialect.RESPONSES), a_target())
    assert caught.value.code == "dialect_unsupported"


def test_failures_are_the_inner_adapters() -> None:
    assert isinstance(ADAPTER.failure(429, {}, b""), UpstreamRateLimited)


def test_a_whole_answer_comes_in_the_callers_dialect() -> None:
    reader = reader_of(a_call())
    assert reader.feed(chat_reply("Hello.").body) == b"" and not reader.ended
    reader.close()
    assert reader.ended and reader.meaningful and reader.usage == Usage(input_fresh=7, output_text=1)
    answer = decode_object(reader.finish(Usage(input_fresh=7, output_text=1), MONEY))
    assert (answer["type"], answer["model"]) == ("message", "one")
    assert reader.output_tokens_seen > 0


def test_a_whole_answer_without_usage_gets_the_counted_one() -> None:
    reader = reader_of(a_call())
    reader.feed(chat_reply(Chat(usage="absent")).body)
    reader.close()
    answer: Any = decode_object(reader.finish(Usage(input_fresh=3, output_text=2, source="counted"), MONEY))
    assert (answer["usage"]["input_tokens"], answer["usage"]["estimated"]) == (3, True)


def test_an_answer_that_cannot_be_translated_fails_before_it_is_settled() -> None:
    reader = reader_of(a_call())
    reader.feed(chat_reply(BROKEN).body)
    reader.close()
    assert isinstance(reader.failure, UpstreamProtocol)
    pair = MessagesToChat()
    assembled = TranslatedReply(ChatAssembler("one", choices=1), lambda body: pair.reply(body, {}))
    assembled.feed(chat_stream(BROKEN).body)
    assert isinstance(assembled.failure, UpstreamProtocol)


@pytest.mark.parametrize("keeps_form", [False, True])
def test_an_answer_of_another_form_fails_unless_the_upstream_keeps_to_it(keeps_form: bool) -> None:
    inner = OpenAiAdapter(FakeClock(), "max_tokens")
    pairs = {Dialect.MESSAGES: MessagesToChat()}
    adapter = TranslatingAdapter(inner, Dialect.CHAT, pairs, openai_chat.read_envelope, keeps_form=keeps_form)
    call = a_call(output_format={"type": "json_schema", "schema": {"type": "object"}})
    reader = reader_of(call, adapter)
    reader.feed(chat_reply("no JSON").body)
    reader.close()
    assert (reader.failure is None) is keeps_form


def test_a_broken_answer_stays_broken() -> None:
    reader = reader_of(a_call())
    reader.feed(b"{")
    reader.close()
    assert isinstance(reader.failure, UpstreamProtocol) and not reader.ended


def test_a_stream_comes_event_by_event_and_its_end_after_the_settlement() -> None:
    reader = reader_of(a_call(stream=True))
    out = reader.feed(chat_stream("Hello there.").body)
    assert reader.ended and out.count(b"text_delta") == 2 and b"message_delta" not in out
    assert out.startswith(b"event: message_start\n")
    end = reader.finish(Usage(input_fresh=7, output_text=2), MONEY)
    assert end.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n') and b'"cost_nano_usd":5' in end


def test_a_stream_that_is_cut_has_no_end() -> None:
    reader = reader_of(a_call(stream=True))
    body = chat_stream("Hello there.").body
    out = reader.feed(body[: len(body) // 2])
    reader.close()
    assert isinstance(reader.failure, UpstreamTruncated) and b"message_stop" not in out


def test_an_event_that_contradicts_the_stream_is_the_upstreams_fault() -> None:
    def delta(index: int, **call: Any) -> bytes:
        choice = {"index": 0, "delta": {"tool_calls": [{"index": index, **call}]}, "finish_reason": None}
        return sse_frame({"id": "c1", "model": "m", "choices": [choice]})

    reader = reader_of(a_call(stream=True))
    reader.feed(delta(0, id="x", function={"name": "f", "arguments": "{"}))
    reader.feed(delta(1, id="y", function={"name": "g", "arguments": "{"}))
    with pytest.raises(UpstreamProtocol):
        reader.feed(delta(0, function={"arguments": "}"}))


class GivenFrames:
    """A reader that gives out what it was given."""

    meaningful = ended = True
    failure = usage = None
    output_tokens_seen = 0

    def feed(self, block: bytes) -> bytes:
        return block

    def close(self) -> None:
        raise NotImplementedError

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        raise NotImplementedError


def test_a_frame_that_is_not_json_fails_the_stream_and_nothing_follows() -> None:
    reader = TranslatedStream(GivenFrames(), MessagesToChat().stream({}))
    assert reader.feed(b": wait\n\ndata: 7\n\n") == b""
    assert reader.feed(sse_frame({"id": "c1", "model": "m", "choices": []})).startswith(b"event: message_start")
    assert reader.feed(b"data: {\n\n") == b"" and isinstance(reader.failure, UpstreamProtocol)
    assert reader.feed(sse_frame({"id": "c1", "model": "m", "choices": []})) == b""


def test_an_answer_that_is_no_object_is_the_upstreams_fault() -> None:
    class NoObject(GivenFrames):
        def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
            return b"[]"

    reader = TranslatedReply(NoObject(), lambda body: body)
    reader.feed(b"[]")
    assert isinstance(reader.failure, UpstreamProtocol)


@pytest.mark.anyio
async def test_it_is_sent_once_as_the_inner_adapter_sends() -> None:
    exchange = FakeExchange([], 200, {}, [])
    transport = FakeTransport([], [exchange])
    prepared, endpoint = ADAPTER.prepare(a_call(), a_target()), Endpoint("https://api.example.com/v1")
    assert await ADAPTER.open(transport, endpoint, prepared, Deadlines()) is exchange
    assert transport.sent == [(endpoint, prepared)]
