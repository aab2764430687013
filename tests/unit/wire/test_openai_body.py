"""Reading a whole JSON answer."""

import json

import pytest

from headrace.domain.errors import HeadraceError
from headrace.domain.usage import Usage
from headrace.testing.openai_replies import Chat, chat_reply, embeddings_reply
from headrace.wire import whole_body
from headrace.wire.openai_body import JsonBodyReader


def read(body: bytes, list_field: str = "choices", block_bytes: int = 1 << 20) -> JsonBodyReader:
    reader = JsonBodyReader("served", list_field)
    for start in range(0, len(body), block_bytes):
        assert reader.feed(body[start : start + block_bytes]) == b""
        assert not reader.meaningful
    reader.close()
    return reader


def failure_of(reader: JsonBodyReader) -> HeadraceError:
    assert reader.failure is not None
    assert not reader.ended
    assert not reader.meaningful
    return reader.failure


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_a_chat_answer_keeps_everything_but_the_model(block_bytes: int) -> None:
    body = chat_reply(Chat("two words", model="theirs")).body
    reader = read(body, block_bytes=block_bytes)
    assert reader.ended
    assert reader.meaningful
    assert reader.usage == Usage(input_fresh=7, output_text=2)
    assert reader.output_tokens_seen > 0
    assert json.loads(reader.finish(reader.usage or Usage(), {})) == json.loads(body) | {"model": "served"}


def test_embeddings_keep_everything_but_the_model() -> None:
    body = embeddings_reply(2).body
    reader = read(body, "data")
    assert reader.usage == Usage(input_fresh=3)
    assert reader.output_tokens_seen == 0
    assert json.loads(reader.finish(reader.usage or Usage(), {})) == json.loads(body) | {"model": "served"}


@pytest.mark.parametrize("usage", ["absent", "null"])
def test_missing_usage_is_counted_and_marked(usage: str) -> None:
    reader = read(chat_reply(Chat("x", usage="absent" if usage == "absent" else "null")).body)
    assert reader.usage is None
    body = json.loads(reader.finish(Usage(input_fresh=4, output_text=2, source="counted"), {}))
    expected = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6, "estimated": True}
    assert body["usage"] == expected


def test_an_explicit_zero_is_not_missing() -> None:
    reader = read(chat_reply(Chat("x", usage="zero")).body)
    assert reader.usage == Usage()
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert json.loads(reader.finish(Usage(), {}))["usage"] == zero


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<html>",
        b"[1]",
        b"null",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":null}',
        b'{"choices":{"a":1}}',
        b'{"choices":["\xff"]}',
        b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"data":[1]}',
    ],
)
def test_what_is_no_answer_is_a_failure(body: bytes) -> None:
    assert failure_of(read(body)).code == "upstream_protocol"


@pytest.mark.parametrize("cut", [1, 50, 200])
def test_a_cut_answer_is_a_failure(cut: int) -> None:
    assert failure_of(read(chat_reply().body[:-cut])).code == "upstream_protocol"


def test_an_error_in_an_answer_is_named() -> None:
    reader = read(json.dumps({"error": {"message": "slow", "code": 429}, "choices": [1]}).encode())
    assert failure_of(reader).code == "upstream_rate_limited"


def test_an_error_of_null_is_none() -> None:
    reader = read(json.dumps({"error": None, "choices": [{"message": {"content": "x"}}, 1]}).encode())
    assert reader.ended


def test_an_endless_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_body, "MAX_BODY_BYTES", 100)
    reader = JsonBodyReader("served", "choices")
    for _ in range(50):
        reader.feed(b"x" * 10)
    assert failure_of(reader).code == "upstream_protocol"
    reader.close()
    assert "100 bytes" in failure_of(reader).message


def test_our_own_count_of_an_answer_grows_with_it() -> None:
    counts = [read(chat_reply(Chat("word " * size)).body).output_tokens_seen for size in (1, 100)]
    assert counts[0] < counts[1]
    assert counts[1] >= 100
