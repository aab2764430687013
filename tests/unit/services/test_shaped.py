"""A reader that keeps an answer to the form that was asked for: whole and streamed, translated or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.call import Call, Dialect
from headrace.domain.errors import UpstreamNonconforming
from headrace.domain.usage import Usage
from headrace.ports.upstream import Reader
from headrace.services.shaped import ShapedReader, shaped
from headrace.testing.openai_replies import Chat, chat_reply, chat_stream
from headrace.testing.script import Reply
from headrace.wire.openai_body import JsonBodyReader
from headrace.wire.openai_chat_stream import ChatStreamReader
from tests.fakes.nouns import a_call

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
GOOD, BAD = '{"city": "Oslo"}', '{"city": 5}'


def asked(*, stream: bool = False) -> Call:
    return a_call(stream=stream, response_format=FORMAT)


def read(reply: Reply, *, stream: bool) -> tuple[Reader, bytes]:
    call = asked(stream=stream)
    inner = ChatStreamReader("one", show_usage=False, choices=1) if stream else JsonBodyReader("one", "choices")
    reader = shaped(inner, call, Dialect.CHAT)
    out = b"".join(reader.feed(bytes([each])) for each in reply.body)
    reader.close()
    return reader, out


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_the_form_passes_as_it_is(stream: bool) -> None:
    reader, out = read(chat_stream(Chat(GOOD)) if stream else chat_reply(Chat(GOOD)), stream=stream)
    assert isinstance(reader, ShapedReader)
    assert (reader.failure, reader.ended, reader.meaningful) == (None, True, True)
    assert reader.usage is not None and reader.output_tokens_seen > 0
    whole = out + reader.finish(Usage(), {})
    assert b"Oslo" in whole and (b"[DONE]" in whole) is stream


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_another_form_fails_before_its_end(stream: bool) -> None:
    reader, out = read(chat_stream(Chat(BAD)) if stream else chat_reply(Chat(BAD)), stream=stream)
    failure = reader.failure
    assert isinstance(failure, UpstreamNonconforming)
    assert '$.city is 5, not of the type "string"' in failure.message
    assert (failure.status, failure.code) == (502, "structured_output_invalid")
    assert b"[DONE]" not in out and b'finish_reason":"stop' not in out


@pytest.mark.parametrize("stream", [False, True])
def test_another_failure_is_told_first(stream: bool) -> None:
    reply = chat_stream(Chat(BAD)) if stream else chat_reply(Chat(BAD))
    reader, _ = read(replace(reply, frames=(replace(reply.frames[0], data=reply.body[:80]),)), stream=stream)
    assert reader.failure is not None and reader.failure.code.startswith("upstream_")


def test_what_the_caller_asked_for_is_judged_and_not_its_translation() -> None:
    origin = replace(
        asked(), dialect=Dialect.MESSAGES, body={"output_format": {"type": "json_schema", "schema": SCHEMA}}
    )
    inner = JsonBodyReader("one", "choices")
    assert isinstance(shaped(inner, replace(a_call(), origin=origin), Dialect.CHAT), ShapedReader)
    assert shaped(inner, replace(asked(), origin=a_call()), Dialect.CHAT) is inner
    assert shaped(inner, a_call(), Dialect.CHAT) is inner
