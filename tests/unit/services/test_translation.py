"""Serving one dialect by an adapter of another: what leaves, what comes back, and what fails before it is paid for."""

from typing import Any

import pytest

from headrace.domain.call import Call, Dialect, Operation
from headrace.domain.errors import InvalidRequest, UpstreamProtocol, UpstreamRateLimited, UpstreamTruncated
from headrace.domain.json_value import JsonObject
from headrace.domain.usage import Usage
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.services.translation import TranslatedReply, TranslatingAdapter
from headrace.testing.clock import FakeClock
from headrace.testing.openai_replies import Chat, ToolCall, chat_reply, chat_stream, sse_frame
from headrace.wire import anthropic_messages, openai_chat
from headrace.wire.json_strict import decode_object
from headrace.wire.messages_to_chat import MessagesToChat
from headrace.wire.openai_chat_assembler import ChatAssembler
from tests.fakes.nouns import CALLER, a_target

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


def test_a_translated_request_names_what_was_dropped() -> None:
    prepared = ADAPTER.prepare(a_call(stream=True, top_k=5), a_target())
    assert (prepared.path, prepared.stream, prepared.dropped) == ("/chat/completions", True, ("top_k",))
    sent = decode_object(prepared.body)
    assert (sent["model"], sent["stream_options"]) == ("upstream-one", {"include_usage": True})


def test_its_own_dialect_passes_through() -> None:
    prepared = ADAPTER.prepare(a_call(Dialect.CHAT, top_k=5), a_target())
    assert decode_object(prepared.body)["top_k"] == 5 and prepared.dropped == ()
    reader = ADAPTER.reader(a_call(Dialect.CHAT), a_target())
    reader.feed(chat_reply("Hello.").body)
    reader.close()
    assert decode_object(reader.finish(reader.usage or Usage(), MONEY))["object"] == "chat.completion"


def test_a_dialect_without_a_pair_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ADAPTER.prepare(a_call(Dialect.RESPONSES), a_target())
    assert caught.value.code == "dialect_unsupported"


def test_failures_are_the_inner_adapters() -> None:
    assert isinstance(ADAPTER.failure(429, {}, b""), UpstreamRateLimited)


def test_a_whole_answer_comes_in_the_callers_dialect() -> None:
    reader = ADAPTER.reader(a_call(), a_target())
    assert reader.feed(chat_reply("Hello.").body) == b"" and not reader.ended
    reader.close()
    assert reader.ended and reader.meaningful and reader.usage == Usage(input_fresh=7, output_text=1)
    answer = decode_object(reader.finish(Usage(input_fresh=7, output_text=1), MONEY))
    assert (answer["type"], answer["model"]) == ("message", "one")
    assert reader.output_tokens_seen > 0


def test_a_whole_answer_without_usage_gets_the_counted_one() -> None:
    reader = ADAPTER.reader(a_call(), a_target())
    reader.feed(chat_reply(Chat(usage="absent")).body)
    reader.close()
    answer: Any = decode_object(reader.finish(Usage(input_fresh=3, output_text=2, source="counted"), MONEY))
    assert (answer["usage"]["input_tokens"], answer["usage"]["estimated"]) == (3, True)


def test_an_answer_that_cannot_be_translated_fails_before_it_is_settled() -> None:
    reader = ADAPTER.reader(a_call(), a_target())
    reader.feed(chat_reply(BROKEN).body)
    reader.close()
    assert isinstance(reader.failure, UpstreamProtocol)
    pair = MessagesToChat()
    assembled = TranslatedReply(ChatAssembler("one", choices=1), lambda body: pair.reply(body, {}))
    assembled.feed(chat_stream(BROKEN).body)
    assert isinstance(assembled.failure, UpstreamProtocol)


def test_a_broken_answer_stays_broken() -> None:
    reader = ADAPTER.reader(a_call(), a_target())
    reader.feed(b"{")
    reader.close()
    assert isinstance(reader.failure, UpstreamProtocol) and not reader.ended


def test_a_stream_comes_event_by_event_and_its_end_after_the_settlement() -> None:
    reader = ADAPTER.reader(a_call(stream=True), a_target())
    out = reader.feed(chat_stream("Hello there.").body)
    assert reader.ended and out.count(b"text_delta") == 2 and b"message_delta" not in out
    assert out.startswith(b"event: message_start\n")
    end = reader.finish(Usage(input_fresh=7, output_text=2), MONEY)
    assert end.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n') and b'"cost_nano_usd":5' in end


def test_a_stream_that_is_cut_has_no_end() -> None:
    reader = ADAPTER.reader(a_call(stream=True), a_target())
    body = chat_stream("Hello there.").body
    out = reader.feed(body[: len(body) // 2])
    reader.close()
    assert isinstance(reader.failure, UpstreamTruncated) and b"message_stop" not in out


def test_an_event_that_contradicts_the_stream_is_the_upstreams_fault() -> None:
    def delta(index: int, **call: Any) -> bytes:
        choice = {"index": 0, "delta": {"tool_calls": [{"index": index, **call}]}, "finish_reason": None}
        return sse_frame({"id": "c1", "model": "m", "choices": [choice]})

    reader = ADAPTER.reader(a_call(stream=True), a_target())
    reader.feed(delta(0, id="x", function={"name": "f", "arguments": "{"}))
    reader.feed(delta(1, id="y", function={"name": "g", "arguments": "{"}))
    with pytest.raises(UpstreamProtocol):
        reader.feed(delta(0, function={"arguments": "}"}))
