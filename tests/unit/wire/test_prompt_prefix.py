"""The key by which a prompt finds its warm replica."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.call import Dialect, Operation
from headrace.domain.json_value import JsonValue
from headrace.wire.prompt_prefix import prompt_prefix
from tests.fakes.nouns import TOOL, a_call

SYSTEM: JsonValue = {"role": "system", "content": "You are a pirate."}
FIRST: JsonValue = {"role": "user", "content": "Where is the gold?"}
LATER: list[JsonValue] = [{"role": "assistant", "content": "Aye."}, {"role": "user", "content": "And the rum?"}]


def of(*messages: JsonValue, tools: list[JsonValue] | None = None) -> bytes:
    return prompt_prefix(a_call(messages=list(messages), tools=tools))


def test_a_conversation_keeps_its_key_from_turn_to_turn() -> None:
    assert of(SYSTEM, FIRST) == of(SYSTEM, FIRST, *LATER)
    assert len(of(SYSTEM, FIRST)) == 16


def test_another_system_prompt_tool_or_opening_is_another_key() -> None:
    keys = {of(SYSTEM, FIRST), of(FIRST), of(SYSTEM, *LATER), of(SYSTEM, FIRST, tools=[TOOL])}
    assert len(keys) == 4


def test_only_its_beginning_is_read() -> None:
    long = "x" * 1_000_000
    assert of({"role": "user", "content": long}) == of({"role": "user", "content": long + "y"})


def test_dialects_are_read_as_they_come() -> None:
    message: list[JsonValue] = [{"role": "user", "content": [{"type": "text", "text": "Where is the gold?"}]}]
    call = replace(a_call(), dialect=Dialect.MESSAGES, body={"system": "You are a pirate.", "messages": message})
    assert prompt_prefix(call) == of(SYSTEM, FIRST)
    assert prompt_prefix(replace(call, dialect=Dialect.RESPONSES, body={"input": "Where is the gold?"})) == of(FIRST)
    completion = replace(a_call(), operation=Operation.COMPLETIONS, body={"prompt": "Where is the gold?"})
    assert prompt_prefix(completion) == of(FIRST)


def test_what_has_no_beginning_has_no_key() -> None:
    assert of({"role": "assistant", "content": "Aye."}) == b""
    assert prompt_prefix(a_call(operation=Operation.EMBEDDINGS)) == b""
