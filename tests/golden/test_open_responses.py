"""Every response and every stream of it that a golden case hands to a caller is of the published schema too."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headrace.testing.openai_replies import Chat, ToolCall
from headrace.testing.responses_replies import response_stream
from tests.open_responses import judge_body, judge_stream, schema_faults

FOLDER = Path(__file__).parent
PAIRS = ("responses_to_chat", "pairs/responses_to_messages")
REPLIES = [
    each for pair in PAIRS for each in sorted((FOLDER / pair / "replies").glob("*.json")) if each.stem.isidentifier()
]
STREAMS = [
    each for pair in PAIRS for each in sorted((FOLDER / pair / "streams").glob("*.sse")) if each.stem.isidentifier()
]


def name_of(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_a_reply_is_of_the_schema(path: Path) -> None:
    judge_body(msgspec.json.decode(path.read_bytes()))


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_is_of_the_schema(path: Path) -> None:
    assert judge_stream(path.read_bytes())[-1]["type"] in {"response.completed", "response.incomplete"}


def test_there_are_cases_of_both_pairs() -> None:
    assert min(len(REPLIES), len(STREAMS)) >= 10


@pytest.mark.parametrize("field", ["text", "usage", "output", "tools", "reasoning", "prompt_cache_key"])
def test_the_judge_sees_what_is_missing(field: str) -> None:
    body = msgspec.json.decode((FOLDER / PAIRS[0] / "replies" / "text.json").read_bytes())
    del body[field]
    assert [fault for fault in schema_faults("ResponseResource", body) if f"'{field}' is a required property" in fault]
    with pytest.raises(AssertionError):
        judge_body(body)


def test_the_judge_sees_a_wrong_name_number_or_sum() -> None:
    stream = (FOLDER / PAIRS[0] / "streams" / "calls.sse").read_bytes()
    for old, new in (
        (b"event: response.completed", b"event: response.done"),
        (b'"sequence_number":3,', b'"sequence_number":4,'),
        (b'"type":"function_call"', b'"type":"call"'),
        (b'"delta":"', b'"delta":"x'),
    ):
        assert old in stream
        with pytest.raises((AssertionError, ValueError)):
            judge_stream(stream.replace(old, new))


def test_a_lean_upstream_is_not_of_the_schema_by_itself() -> None:
    call = ToolCall("call_a", "f", "{}")
    with pytest.raises(AssertionError, match="required property"):
        judge_stream(response_stream(Chat("", tool_calls=(call,))).body)
