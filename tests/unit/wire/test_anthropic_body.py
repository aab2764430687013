"""Reading a whole message."""

import json
from typing import Any

import pytest

from headrace.domain.errors import HeadraceError, UpstreamProtocol, UpstreamRateLimited, UpstreamUnavailable
from headrace.domain.usage import Usage
from headrace.testing.anthropic_replies import Message, messages_reply
from headrace.wire import whole_body
from headrace.wire.anthropic_body import MessagesBodyReader


def read(body: bytes, block_bytes: int = 1 << 20) -> MessagesBodyReader:
    reader = MessagesBodyReader("served")
    for start in range(0, len(body), block_bytes):
        assert reader.feed(body[start : start + block_bytes]) == b""
        assert not reader.meaningful
    reader.close()
    return reader


def failure_of(body: Any) -> HeadraceError:
    reader = read(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert reader.failure is not None and not reader.ended and not reader.meaningful
    return reader.failure


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_a_message_keeps_everything_but_the_model(block_bytes: int) -> None:
    body = messages_reply(Message("two words", usage={"cache_read_input_tokens": 5})).body
    reader = read(body, block_bytes)
    assert reader.ended and reader.output_tokens_seen > 0
    assert reader.usage == Usage(input_fresh=7, input_cache_read=5, output_text=2)
    assert json.loads(reader.finish(reader.usage or Usage(), {})) == json.loads(body) | {"model": "served"}


def test_missing_usage_is_counted_and_marked() -> None:
    reader = read(messages_reply(Message(usage_shape="absent")).body)
    assert reader.usage is None
    shown = json.loads(reader.finish(Usage(input_fresh=3, output_text=2, source="counted"), {}))
    assert (shown["usage"]["input_tokens"], shown["usage"]["estimated"]) == (3, True)


def test_an_answer_without_blocks_is_an_answer() -> None:
    assert read(b'{"type":"message","content":[],"stop_reason":"end_turn"}').ended


def test_what_is_no_message() -> None:
    assert isinstance(failure_of(b"<html>"), UpstreamProtocol)
    assert isinstance(failure_of([1]), UpstreamProtocol)
    assert isinstance(failure_of({"content": "text"}), UpstreamProtocol)
    assert isinstance(failure_of({"type": "error", "error": {"type": "rate_limit_error"}}), UpstreamRateLimited)
    assert isinstance(failure_of({"error": "boom"}), UpstreamUnavailable)


def test_an_endless_answer_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_body, "MAX_BODY_BYTES", 10)
    assert isinstance(failure_of(b"x" * 11), UpstreamProtocol)
