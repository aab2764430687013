"""The engine's frames with tools in play: what leaves, however the stream was cut into blocks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from headrace.domain.errors import UpstreamProtocol, UpstreamTruncated
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.drivers.engines.llamacpp_adapter import LlamaCppAdapter
from headrace.ports.upstream import Reader
from headrace.testing.clock import FakeIds
from tests.engine_calls import chat_call, ended, frames_of, local_target

TOOLS: list[JsonValue] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("look", "count")
]
NAMED: JsonObject = {"type": "function", "function": {"name": "look"}}
USAGE: JsonObject = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 3},
}


def frame(*choices: JsonObject, **fields: JsonValue) -> bytes:
    chunk: JsonObject = {"choices": list(choices), "id": "c1", "model": "theirs", "object": "chat.completion.chunk"}
    return b"data: " + json.dumps(chunk | fields).encode() + b"\n\n"


def piece(text: str, index: int = 0, logprob: float | None = None) -> JsonObject:
    choice: JsonObject = {"finish_reason": None, "index": index, "delta": {"content": text}}
    if logprob is not None:
        choice["logprobs"] = {"content": [{"token": text, "logprob": logprob}]}
    return choice


def engine_stream(pieces: Sequence[str], reason: str = "stop") -> bytes:
    start: JsonObject = {"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}
    end: JsonObject = {"finish_reason": reason, "index": 0, "delta": {}}
    frames = [frame(start), *(frame(piece(text)) for text in pieces), frame(end), frame(usage=USAGE)]
    return b"".join(frames) + b"data: [DONE]\n\n"


def reader_for(tool_choice: JsonValue, *, stream: bool = True, **fields: JsonValue) -> Reader:
    call = chat_call(tools=TOOLS, tool_choice=tool_choice, stream=stream, **fields)
    return LlamaCppAdapter(FakeIds()).reader(call, local_target())


def read(reader: Reader, stream: bytes, block_bytes: int) -> bytes:
    blocks = (stream[at : at + block_bytes] for at in range(0, len(stream), block_bytes))
    return b"".join([reader.feed(block) for block in blocks]) + ended(reader)


def seen(out: bytes) -> tuple[str, list[tuple[str, str, str]], str]:
    """What a caller assembles from a stream: text, calls (id, name, arguments), finish reason."""
    text, reason = "", ""
    calls: dict[int, list[str]] = {}
    chunks: list[dict[str, Any]] = json.loads(json.dumps(frames_of(out)))
    for chunk in chunks:
        assert chunk["model"] == "smollm2-135m"
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            reason = choice["finish_reason"] or reason
            for call in choice["delta"].get("tool_calls", ()):
                entry = calls.setdefault(call["index"], [call.get("id", "?"), call["function"].get("name", "?"), ""])
                entry[2] += call["function"]["arguments"]
    return text, [(call[0], call[1], call[2]) for _, call in sorted(calls.items())], reason


class Case(NamedTuple):
    """What the engine writes, piece by piece, and what the caller assembles from it: text, calls, finish reason."""

    name: str
    tool_choice: JsonValue
    pieces: list[str]
    reason: str
    expected: tuple[str, list[tuple[str, str]], str]


CASES = [
    Case("named", NAMED, ['{"c', 'ity": "Köln"', "}"], "stop", ("", [("look", '{"city": "Köln"}')], "tool_calls")),
    Case("named cut", NAMED, ['{"c'], "length", ("", [("look", '{"c')], "length")),
    Case(
        "any",
        "required",
        ['{\n "na', 'me": "count", "argu', 'ments": {"a": {"b": "}"}', "}", "}\n"],
        "stop",
        ("", [("count", '{"a": {"b": "}"}}')], "tool_calls"),
    ),
    Case("any empty", "required", ['{"name":"look","arguments":{}}'], "stop", ("", [("look", "{}")], "tool_calls")),
    Case(
        "any cut in the arguments",
        "required",
        ['{"name": "count", "arguments": {"a": {"b": 1}'],
        "length",
        ("", [("count", '{"a": {"b": 1}')], "length"),
    ),
    Case("any cut in the name", "required", ['{"name": "cou'], "length", ('{"name": "cou', [], "length")),
    Case(
        "auto bare",
        "auto",
        ["{", '"name": "look", ', '"arguments": {"x": 1}}'],
        "stop",
        ("", [("look", '{"x":1}')], "tool_calls"),
    ),
    Case(
        "auto two tags",
        "auto",
        [
            "<tool_",
            'call>{"name": "look", "arguments": {}}</tool_call>',
            '<tool_call>{"name": "count", "arguments": {}}</tool_call>',
        ],
        "stop",
        ("", [("look", "{}"), ("count", "{}")], "tool_calls"),
    ),
    Case(
        "auto fenced",
        "auto",
        ["```", 'json\n{"name": "look", "arguments": {}}', "\n```"],
        "stop",
        ("", [("look", "{}")], "tool_calls"),
    ),
    Case("auto text", "auto", ["Hel", "lo {", "}"], "stop", ("Hello {}", [], "stop")),
    Case("auto code", "auto", ["``", "`py\nx = 1", "\n```"], "stop", ("```py\nx = 1\n```", [], "stop")),
    Case("auto other json", "auto", ['{"a":', " 1}"], "stop", ('{"a": 1}', [], "stop")),
    Case("auto nothing", "auto", [], "stop", ("", [], "stop")),
]


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 100_000])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_streams(case: Case, block_bytes: int) -> None:
    reader = reader_for(case.tool_choice, stream_options={"include_usage": True})
    out = read(reader, engine_stream(case.pieces, case.reason), block_bytes)
    text, calls, finish = seen(out)
    assert (text, [call[1:] for call in calls], finish) == case.expected
    assert [call[0] for call in calls] == [f"call_{number:06d}" for number in range(1, len(calls) + 1)]
    assert reader.output_tokens_seen == len(case.pieces)
    assert frames_of(out)[-1]["usage"] == USAGE
    usage = reader.usage
    assert usage is not None
    assert (usage.input_fresh, usage.input_cache_read, usage.output_text) == (4, 3, 5)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bodies(case: Case) -> None:
    reader = reader_for(case.tool_choice, stream=False)
    body = json.loads(read(reader, engine_stream(case.pieces, case.reason), 50))
    (choice,) = body["choices"]
    message = choice["message"]
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]
    assert (message["content"] or "", calls, choice["finish_reason"]) == case.expected


def test_text_leaves_as_soon_as_it_cannot_be_a_call_and_arguments_at_once() -> None:
    auto = reader_for("auto")
    assert auto.feed(frame(piece("<"))) == b""
    assert auto.meaningful
    out = auto.feed(frame(piece("b>")))
    assert b'"content":"<"' in out.replace(b": ", b":")
    assert b'"content":"b>"' in out.replace(b": ", b":")
    named = reader_for(NAMED)
    assert b'"arguments":"{"' in named.feed(frame(piece("{")))


def test_a_call_that_the_engine_recognised_itself_passes() -> None:
    call: JsonObject = {"index": 0, "id": "own", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    native: JsonObject = {"finish_reason": None, "index": 0, "delta": {"tool_calls": [call]}}
    end: JsonObject = {"finish_reason": "tool_calls", "index": 0, "delta": {}}
    reader = reader_for("auto")
    out = read(reader, frame(native) + frame(end) + frame(usage=USAGE) + b"data: [DONE]\n\n", 1000)
    assert seen(out) == ("", [("own", "look", "{}")], "tool_calls")


def test_logprobs_of_held_text_are_kept() -> None:
    text = '{"name": "look", "arguments": {}}'
    frames = [frame(piece(text[:9], logprob=-1.0)), frame(piece(text[9:], logprob=-2.0))]
    end: JsonObject = {"finish_reason": "stop", "index": 0, "delta": {}}
    reader = reader_for("auto")
    out = read(reader, b"".join([*frames, frame(end), frame(usage=USAGE), b"data: [DONE]\n\n"]), 1000)
    chunks: list[dict[str, Any]] = json.loads(json.dumps(frames_of(out)))
    logprobs = [
        each["logprob"]
        for chunk in chunks
        for choice in chunk["choices"]
        for each in choice.get("logprobs", {"content": ()})["content"]
    ]
    assert logprobs == [-1.0, -2.0]


def test_choices_are_decided_apart() -> None:
    reader = reader_for("auto", n=2)
    body = b"".join(
        [
            frame(piece('{"name": "look", ', 0)),
            frame(piece("Hello", 1)),
            frame(piece('"arguments": {}}', 0)),
            frame({"finish_reason": "stop", "index": 1, "delta": {}}),
            frame({"finish_reason": "stop", "index": 0, "delta": {}}),
            frame(usage=USAGE),
            b"data: [DONE]\n\n",
        ]
    )
    chunks: list[dict[str, Any]] = json.loads(json.dumps(frames_of(read(reader, body, 33))))
    reasons = {c["index"]: c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]}
    assert reasons == {0: "tool_calls", 1: "stop"}


@pytest.mark.parametrize("tool_choice", ["auto", "required", NAMED])
def test_a_stream_cut_anywhere_is_never_a_whole_answer(tool_choice: JsonValue) -> None:
    pieces = ['{"name": "look", ', '"arguments": {"city": "Köln"}}']
    whole = engine_stream(pieces)
    end = whole.index(b'"finish_reason": "stop"')
    for cut in range(end):
        reader = reader_for(tool_choice)
        reader.feed(whole[:cut])
        reader.close()
        assert isinstance(reader.failure, UpstreamTruncated), cut
        assert not reader.ended


def test_what_is_not_a_stream_fails() -> None:
    reader = reader_for("auto")
    reader.feed(b"data: {oops\n\n")
    assert isinstance(reader.failure, UpstreamProtocol)
    assert reader.feed(frame(piece("late"))) == b""
    error = reader_for("auto")
    error.feed(b'data: {"error": {"code": 500, "message": "broken"}}\n\n')
    assert error.failure is not None
    endless = reader_for("auto")
    endless.feed(b"x" * (17 * 1024 * 1024))
    assert isinstance(endless.failure, UpstreamProtocol)
