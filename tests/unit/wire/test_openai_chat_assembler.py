"""A stream assembled into one body is what the upstream would have sent as one body."""

import json
from collections.abc import Mapping
from typing import cast

import pytest

from headrace.domain.errors import HeadraceError
from headrace.domain.usage import Usage
from headrace.testing.openai_replies import Chat, ToolCall, chat_reply, chat_stream, sse_frame
from headrace.testing.recordings import recordings
from headrace.wire import openai_chat_assembler
from headrace.wire.openai_chat_assembler import MAX_TOOL_CALLS, ChatAssembler
from headrace.wire.sse import DONE

CALLS = (
    ToolCall("call_1", "get_weather", '{"city":"Zürich"}', 3),
    ToolCall("call_2", "search", "{}", 8),
    ToolCall("call_3", "nothing", "", 8),
)


def assemble(stream: bytes, *, choices: int = 1, block_bytes: int = 1 << 20) -> ChatAssembler:
    assembler = ChatAssembler("served", choices=choices)
    for start in range(0, len(stream), block_bytes):
        assert assembler.feed(stream[start : start + block_bytes]) == b""
    return assembler


def body_of(assembler: ChatAssembler) -> dict[str, object]:
    assert assembler.ended
    assert assembler.failure is None
    usage = assembler.usage or Usage(input_fresh=2, output_text=1, source="counted")
    return cast("dict[str, object]", json.loads(assembler.finish(usage, {})))


def failure_of(assembler: ChatAssembler) -> HeadraceError:
    assert assembler.failure is not None
    assert not assembler.ended
    return assembler.failure


def a_chunk(delta: Mapping[str, object], finish: str | None = None, index: object = 0) -> bytes:
    return sse_frame({"id": "c1", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


@pytest.mark.parametrize(
    "chat",
    [
        Chat(),
        Chat("Öl, 水 and \U0001f600 too."),
        Chat("one two", choices=3),
        Chat("answer", reasoning="think hard"),
        Chat("", tool_calls=CALLS, finish_reason="tool_calls"),
        Chat("", tool_calls=CALLS, finish_reason="tool_calls", choices=2),
        Chat("x", usage="in_finish", finish_reason="length"),
        Chat("x y", usage="every_chunk"),
        Chat("x y", usage="zero"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_the_assembled_body_equals_the_whole_one(chat: Chat, block_bytes: int) -> None:
    expected = cast("dict[str, object]", json.loads(chat_reply(chat).body)) | {"model": "served"}
    stream = chat_stream(chat).body
    body = body_of(assemble(stream, choices=chat.choices, block_bytes=block_bytes))
    if chat.tool_calls:
        for choice in cast("list[dict[str, dict[str, object]]]", body["choices"]):
            assert choice["message"].pop("content") == ""
        for choice in cast("list[dict[str, dict[str, object]]]", expected["choices"]):
            del choice["message"]["content"]
    assert body == expected


@pytest.mark.parametrize("shape", ["absent", "null"])
def test_usage_that_never_came_is_ours_and_marked(shape: str) -> None:
    stream = chat_stream(Chat("x", usage="absent" if shape == "absent" else "null")).body
    assert body_of(assemble(stream))["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 1,
        "total_tokens": 3,
        "estimated": True,
    }


@pytest.mark.parametrize("name", list(recordings()))
def test_recordings_are_assembled(name: str) -> None:
    recording = recordings()[name]
    assembler = assemble(recording.body, block_bytes=13)
    assert assembler.meaningful
    assert assembler.output_tokens_seen >= recording.completion_tokens
    body = body_of(assembler)
    [choice] = cast("list[dict[str, dict[str, object]]]", body["choices"])
    message = choice["message"]
    assert (message["content"] or "") == recording.text
    calls = cast("list[dict[str, dict[str, str]]]", message.get("tool_calls", []))
    assert tuple(call["function"]["arguments"] for call in calls) == recording.tool_arguments
    assert body["usage"] == recording.usage
    assert "x_vendor" not in body


def test_log_probabilities_are_joined() -> None:
    body = body_of(assemble(recordings()["vendor"].body))
    [choice] = cast("list[dict[str, dict[str, list[dict[str, object]]]]]", body["choices"])
    tokens = [str(each["token"]) for each in choice["logprobs"]["content"]]
    assert "".join(tokens) == recordings()["vendor"].text


def test_log_probabilities_keep_what_is_no_list() -> None:
    def frame(logprobs: object) -> bytes:
        return sse_frame({"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": logprobs}]})

    stream = frame({"content": [1], "refusal": None}) + frame({"content": [2], "refusal": "later"}) + frame(None)
    stream += a_chunk({}, "stop") + DONE
    [choice] = cast("list[dict[str, object]]", body_of(assemble(stream))["choices"])
    assert choice["logprobs"] == {"content": [1, 2], "refusal": None}


@pytest.mark.parametrize("index", [MAX_TOOL_CALLS, 1_000_000_000, -1, 2**70])
@pytest.mark.parametrize("finish", [None, "tool_calls"])
def test_a_tool_call_out_of_range_is_a_failure_before_the_end(index: int, finish: str | None) -> None:
    stream = a_chunk({"tool_calls": [{"index": index, "function": {"arguments": "x"}}]}, finish) + DONE
    assembler = assemble(stream)
    assert failure_of(assembler).code == "upstream_protocol"
    assembler.feed(a_chunk({"content": "x"}))
    assembler.close()
    assert failure_of(assembler).code == "upstream_protocol"


def test_a_stream_without_a_terminator_is_judged_at_its_end() -> None:
    assembler = assemble(a_chunk({"content": "x"}) + a_chunk({"content": "y"}, "stop"))
    assert not assembler.ended
    assembler.close()
    [choice] = cast("list[dict[str, dict[str, object]]]", body_of(assembler)["choices"])
    assert choice["message"]["content"] == "xy"
    assembler.close()
    assert assembler.feed(a_chunk({"content": "more"})) == b""
    assert body_of(assembler)["choices"] == [choice]


def test_a_cut_stream_is_truncated() -> None:
    assembler = assemble(a_chunk({"content": "x"}))
    assembler.close()
    assert failure_of(assembler).code == "upstream_truncated"


def test_an_endless_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_chat_assembler, "MAX_ASSEMBLED_BYTES", 1000)
    assert failure_of(assemble(a_chunk({"content": "x"}) * 100)).code == "upstream_protocol"


def test_odd_parts_are_passed_over() -> None:
    odd = [
        {"choices": [{"delta": {"content": "a", "role": "assistant"}}]},
        {"choices": [1, {"index": 0, "delta": 1}, {"index": "x", "delta": {"content": 5, "refusal": None}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [1, {"id": 5, "function": 1}, {"type": ""}]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": {"index": 0}}, "logprobs": 1}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": 1}}]}}]},
        {"choices": 7},
        {"choices": [{"index": 0, "finish_reason": "stop"}]},
    ]
    stream = b": comment\n\n" + b"".join(sse_frame(each) for each in odd) + DONE
    [choice] = cast("list[dict[str, object]]", body_of(assemble(stream))["choices"])
    call = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    message = {"role": "assistant", "content": 5, "tool_calls": [call]}
    assert choice == {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
