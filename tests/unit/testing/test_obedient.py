"""Without a script each request gets what it asks for."""

import json
from typing import Any

import pytest

from headrace.testing.obedient import obedient_answer, prompt_words
from headrace.testing.script import UpstreamRequest

MESSAGES = [{"role": "user", "content": "three short words"}]


def asked(path: str, **fields: object) -> Any:
    body = json.dumps(fields).encode() if fields else b""
    return obedient_answer(UpstreamRequest(4, 1, "POST" if fields else "GET", path, "", (), body))


def test_a_chat_counts_words_and_names_the_model() -> None:
    body = json.loads(asked("/v1/chat/completions", model="m", messages=MESSAGES).body)
    assert (body["model"], body["id"]) == ("m", "chatcmpl-fake-4")
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


@pytest.mark.parametrize(("options", "has_usage"), [({}, False), ({"include_usage": True}, True)])
def test_a_stream_carries_usage_only_if_asked(options: dict[str, bool], has_usage: bool) -> None:
    reply = asked("/v1/chat/completions", messages=MESSAGES, stream=True, stream_options=options)
    assert reply.framing == "chunked"
    assert (b'"total_tokens":8' in reply.body) is has_usage


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
def test_an_output_cap_is_honoured(cap: str) -> None:
    body = json.loads(asked("/v1/chat/completions", messages=MESSAGES, n=2, **{cap: 2}).body)
    assert [choice["finish_reason"] for choice in body["choices"]] == ["length", "length"]
    assert body["choices"][0]["message"]["content"] == "Hello from"
    assert body["usage"]["completion_tokens"] == 4


def test_embeddings_answer_each_input() -> None:
    body = json.loads(asked("/v1/embeddings", model="e", input=["a b", "c"], dimensions=3).body)
    assert [len(item["embedding"]) for item in body["data"]] == [3, 3]
    assert body["usage"]["prompt_tokens"] == 3
    packed = json.loads(asked("/v1/embeddings", input="a", encoding_format="base64").body)
    assert isinstance(packed["data"][0]["embedding"], str)


def test_the_rest_is_refused() -> None:
    assert json.loads(asked("/v1/models").body)["data"][0]["id"] == "fake-model"
    assert asked("/v1/nowhere", model="m").status == 404
    assert asked("/v1/chat/completions").status == 400


def test_words_are_found_in_parts() -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "a b"}, {"type": "image_url"}]}]
    assert prompt_words([*parts, {"role": "system", "content": "c"}]) == 3
    assert prompt_words(7) == 0
