"""The recordings are what they claim: big enough, complete, and their offsets are true."""

import json
from typing import Any

import pytest

from headrace.testing.recordings import Recording, recordings

ALL = pytest.mark.parametrize("recording", recordings().values(), ids=lambda recording: recording.name)


def payloads(data: bytes) -> list[bytes]:
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    return [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]


def chunks(data: bytes) -> list[Any]:
    return [json.loads(payload) for payload in payloads(data) if payload != b"[DONE]"]


def deltas(recording: Recording) -> list[Any]:
    return [choice["delta"] for chunk in chunks(recording.body) for choice in chunk["choices"]]


@ALL
def test_a_recording_is_at_least_four_kilobytes_and_stays_small(recording: Recording) -> None:
    assert 4096 <= len(recording.body) <= 6000
    assert recording.body == recordings()[recording.name].body


@ALL
def test_the_stream_ends_with_usage_and_done(recording: Recording) -> None:
    assert payloads(recording.body)[-1] == b"[DONE]"
    assert chunks(recording.body)[-1]["usage"] == recording.usage
    assert recording.usage["completion_tokens"] == recording.completion_tokens > 10
    assert recording.usage["prompt_tokens"] == recording.prompt_tokens


@ALL
def test_the_deltas_add_up(recording: Recording) -> None:
    assert "".join(delta.get("content") or "" for delta in deltas(recording)) == recording.text
    calls = [call for delta in deltas(recording) for call in delta.get("tool_calls", [])]
    joined = [
        "".join(call["function"]["arguments"] for call in calls if call["index"] == place)
        for place in range(len(recording.tool_arguments))
    ]
    assert tuple(joined) == recording.tool_arguments
    assert all(json.loads(arguments) for arguments in recording.tool_arguments)


@ALL
def test_offsets_are_where_the_decisive_frames_end(recording: Recording) -> None:
    body = recording.body
    order = [recording.first_meaningful, recording.finish, recording.usage_frame, recording.done]
    certain = [seen.certain_bytes for seen in order]
    assert certain == sorted(set(certain))
    assert certain[-1] == len(body)
    assert all(body[:end].endswith((b"\n\n", b"\r\n\r\n")) for end in certain)
    first = chunks(body[: certain[0]])
    assert first[-1]["choices"][0]["delta"].get("content") or first[-1]["choices"][0]["delta"]["tool_calls"]
    assert not any(chunk["choices"][0]["delta"].get("content") for chunk in first[:-1])
    assert chunks(body[: certain[1]])[-1]["choices"][0]["finish_reason"] in {"stop", "tool_calls"}
    assert chunks(body[: certain[2]])[-1]["usage"] is not None
    assert all(chunk["usage"] is None for chunk in chunks(body[: certain[1]]))


@ALL
def test_only_crlf_leaves_a_doubtful_byte(recording: Recording) -> None:
    doubt = 1 if recording.name == "vendor" else 0
    for seen in (recording.first_meaningful, recording.usage_frame, recording.done):
        assert seen.certain_bytes - seen.possible_bytes == doubt


def test_each_has_its_difficulty() -> None:
    made = recordings()
    widths = {len(character.encode()) for character in made["multibyte"].text}
    assert widths == {1, 2, 3, 4}
    assert "\u200d" in made["multibyte"].text
    assert "e\u0301" in made["multibyte"].text
    assert len(made["tools"].tool_arguments) == 2
    vendor = made["vendor"].body
    assert vendor.count(b"\n") == vendor.count(b"\r\n")
    assert b": keep-alive" in vendor
    assert b'"x_vendor"' in vendor
    assert b'"logprob":' in vendor


@ALL
def test_as_a_reply_it_bills_what_it_reports(recording: Recording) -> None:
    reply = recording.reply()
    assert (reply.body, reply.framing) == (recording.body, "chunked")
    assert reply.billed_tokens(len(reply.body)) == recording.completion_tokens
    assert reply.billed_tokens(recording.first_meaningful.certain_bytes - 1) == 0
