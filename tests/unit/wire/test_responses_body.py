from __future__ import annotations

import msgspec
import pytest

from headrace.domain.errors import UpstreamProtocol, UpstreamRateLimited, UpstreamUnavailable
from headrace.domain.usage import Usage
from headrace.testing.openai_replies import Chat
from headrace.testing.responses_replies import response_reply
from headrace.wire.responses_body import ResponsesBodyReader
from headrace.wire.whole_body import MAX_BODY_BYTES
from tests.unit.wire.typed_events import read_response


def read(body: bytes) -> ResponsesBodyReader:
    reader = ResponsesBodyReader("ours")
    assert reader.feed(body[:10]) == reader.feed(body[10:]) == b""
    reader.close()
    return reader


def test_a_response_gets_our_model_and_keeps_everything_else() -> None:
    body = response_reply(Chat("one two", model="theirs", prompt_tokens=4)).body
    reader = read(body)
    assert (
        reader.usage is not None
        and reader.ended
        and reader.meaningful
        and reader.usage == Usage(input_fresh=4, output_text=2)
    )
    given, shown = msgspec.json.decode(body), msgspec.json.decode(reader.finish(reader.usage, {}))
    assert shown == {**given, "model": "ours"} and read_response(shown).output_text == "one two"
    assert reader.output_tokens_seen > 0


def test_a_response_without_usage_gets_the_counted_one_marked_so() -> None:
    reader = read(response_reply(Chat("one", usage="absent")).body)
    assert reader.usage is None
    shown = msgspec.json.decode(reader.finish(Usage(output_text=1, source="counted"), {}))
    assert shown["usage"]["estimated"] is True


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>not json", UpstreamProtocol),
        (b"[1,2,3,4,5,6,7]", UpstreamProtocol),
        (b'{"status": "completed"}', UpstreamProtocol),
        (b'{"status": "queued", "output": []}', UpstreamProtocol),
        (b'{"status": "failed", "output": []}', UpstreamUnavailable),
        (b'{"error": {"message": "x", "code": "rate_limit_exceeded"}}', UpstreamRateLimited),
    ],
)
def test_what_is_wrong_with_an_answer_is_named(body: bytes, kind: type[Exception]) -> None:
    reader = read(body)
    assert type(reader.failure) is kind and not reader.ended


def test_an_endless_answer_is_a_failure() -> None:
    reader = ResponsesBodyReader("ours")
    for _ in range(MAX_BODY_BYTES // (8 * 1024 * 1024) + 1):
        reader.feed(b" " * 8 * 1024 * 1024)
    reader.close()
    assert isinstance(reader.failure, UpstreamProtocol)
