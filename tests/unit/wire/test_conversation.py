"""What routing reads of a call: every dialect, bounded work, and nothing that refuses."""

import time

import pytest

from headrace.domain.call import Dialect
from headrace.domain.conversation import MAX_TURN_CHARS, Turn
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.conversation import MAX_MESSAGES, MAX_REMINDERS, MAX_SYSTEM_CHARS, conversation_of

HELLO = Turn("user", "hello")


ODD: list[JsonObject] = [
    {},
    {"prompt": [1, 2]},
    {"prompt": [[1, 2]]},
    {"prompt": []},
    {"messages": None},
    {"messages": ["x", 1, None, {}]},
    {"messages": [{"role": ["user"], "content": "x"}, {"role": {}, "content": {}}, {"role": "user", "content": 3}]},
    {"messages": [{"role": "user", "content": [{"type": []}, "x", {"type": "text"}, {"type": "text", "text": 3}]}]},
    {"messages": [{"role": "user", "content": ""}], "tools": "x", "functions": [1, {"name": 2}, {}]},
    {"input": [{"type": []}, {"type": None}, 3], "system": 4, "instructions": {}},
]


def chat(*messages: JsonValue, **more: JsonValue) -> JsonObject:
    return {"messages": list(messages), **more}


def said(role: str, content: JsonValue) -> JsonObject:
    return {"role": role, "content": content}


def text_of(content: JsonValue) -> str:
    return conversation_of(Dialect.CHAT, chat(said("user", content)), 0).last_text


def test_last_turns_with_the_assistants_last_words_before_each():
    body = chat(
        said("system", "Be brief."),
        said("user", "hello"),
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]},
        said("tool", "12 rows"),
        said("assistant", "Let me look."),
        said("assistant", "Found it."),
        said("user", "thanks, and now the other one"),
        said("assistant", "prefill"),
    )
    read = conversation_of(Dialect.CHAT, body, 77)
    assert read.turns == (HELLO, Turn("assistant", "Found it."), Turn("user", "thanks, and now the other one"))
    assert read.last_text == "thanks, and now the other one"
    assert (read.in_tool_loop, read.prompt_tokens) == (False, 77)


def test_no_more_than_the_last_turns_of_the_user():
    body = chat(*(said("user" if number % 2 == 0 else "assistant", f"text {number}") for number in range(21)))
    turns = conversation_of(Dialect.CHAT, body, 0).turns
    assert [each.text for each in turns] == [f"text {number}" for number in range(6, 21)]


@pytest.mark.parametrize(
    ("messages", "in_loop"),
    [
        ([said("user", "hello"), said("assistant", None), said("tool", "x")], True),
        (
            [said("user", "hello"), said("function", "x"), said("user", "<system-reminder>go on</system-reminder>")],
            True,
        ),
        ([said("user", "hello"), said("tool", "x"), said("system", "context is short")], True),
        ([said("user", "hello"), said("tool", "x"), said("user", [{"type": "image_url"}])], False),
        ([said("user", "hello"), said("tool", "x"), said("assistant", "done")], False),
    ],
)
def test_a_tools_result_at_the_end_is_a_tool_loop(messages: list[JsonValue], in_loop: bool):
    read = conversation_of(Dialect.CHAT, chat(*messages), 0)
    assert (read.turns, read.in_tool_loop) == ((HELLO,), in_loop)


def test_messages_dialect():
    result: JsonObject = {"type": "tool_result", "tool_use_id": "t", "content": "Paris is in France"}
    body: JsonObject = {
        "system": [{"type": "text", "text": "You help."}],
        "tools": [{"name": "look_up", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}],
        "messages": [
            said("user", "hello"),
            said("assistant", [{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "t", "name": "x"}]),
            said("user", [result, {"type": "text", "text": "<system-reminder>Be good.</system-reminder>"}]),
        ],
    }
    read = conversation_of(Dialect.MESSAGES, body, 0)
    assert (read.turns, read.in_tool_loop) == ((HELLO,), True)
    assert read.opening == "You help.\x1flook_up\x1fweb_search\x1fhello"
    words = said("user", [result, {"type": "text", "text": "stop, do the other thing"}])
    read = conversation_of(Dialect.MESSAGES, {"messages": [said("user", "hello"), words]}, 0)
    assert (read.last_text, read.in_tool_loop) == ("stop, do the other thing", False)


def test_responses_dialect():
    items: list[JsonValue] = [
        {"type": "message", "role": "developer", "content": "Be kind."},
        said("user", [{"type": "input_text", "text": "hello"}, {"type": "input_image", "image_url": "data:"}]),
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
    ]
    tools: list[JsonValue] = [{"type": "function", "name": "f"}, {"type": "web_search"}]
    read = conversation_of(Dialect.RESPONSES, {"instructions": "Help.", "input": items, "tools": tools}, 0)
    assert (read.turns, read.in_tool_loop) == ((HELLO,), True)
    assert read.opening == "Help.\nBe kind.\x1ff\x1fweb_search\x1fhello"
    assert conversation_of(Dialect.RESPONSES, {"input": "hello"}, 0).turns == (HELLO,)
    answer: JsonObject = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}
    read = conversation_of(Dialect.RESPONSES, {"input": [said("user", "hello"), answer, said("user", "bye")]}, 0)
    assert read.turns == (HELLO, Turn("assistant", "Hi."), Turn("user", "bye"))


@pytest.mark.parametrize("prompt", ["hello", ["hello", "bye"]])
def test_a_text_completion_is_one_turn(prompt: JsonValue):
    assert conversation_of(Dialect.CHAT, {"prompt": prompt}, 0).turns == (HELLO,)


@pytest.mark.parametrize("body", ODD)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_whatever_it_is_it_is_read(dialect: Dialect, body: JsonObject):
    read = conversation_of(dialect, body, 0)
    assert (read.turns, read.last_text, read.in_tool_loop) == ((), "", False)


def test_an_image_without_words_is_a_message_but_no_turn():
    image = said("user", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}])
    assert conversation_of(Dialect.CHAT, chat(image), 0).turns == ()
    assert conversation_of(Dialect.CHAT, chat(said("user", "hello"), image), 0).turns == (HELLO,)


def test_opening_is_the_same_for_every_request_of_a_session():
    head = [said("system", "S" * 3_000), said("user", "<system-reminder>12:01</system-reminder>hello")]
    tools: list[JsonValue] = [{"type": "function", "function": {"name": "f"}}]
    first = conversation_of(Dialect.CHAT, chat(*head, tools=tools), 0).opening
    later = [said("system", "S" * 3_000), said("user", "<system-reminder>12:02</system-reminder>hello")]
    more = conversation_of(Dialect.CHAT, chat(*later, said("assistant", "Hi"), said("user", "x"), tools=tools), 0)
    assert first == more.opening == "S" * MAX_SYSTEM_CHARS + "\x1ff\x1fhello"
    functions: list[JsonValue] = [{"name": "f"}, 3]
    assert conversation_of(Dialect.CHAT, chat(functions=functions), 0).opening == "\x1ff\x1f\x1f"


def test_where_nothing_is_said_no_session_is_known_by_it():
    image = said("user", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}])
    for body in (chat(image), chat(image, said("tool", "sunny")), chat(said("system", " "), image), chat()):
        assert conversation_of(Dialect.CHAT, body, 0).opening == ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a" * 5_000, "a" * MAX_TURN_CHARS),
        (" \n hello", "hello"),
        ("<system-reminder>now</system-reminder>\nhello", "hello"),
        ("one<environment_details>x</environment_details>two", "one two"),
        ("<user_instructions>a</user_instructions><environment_context>b</environment_context>", ""),
        ("what does <system-reminder> mean?", "what does <system-reminder> mean?"),
        ("<system-reminder>" + "x" * 9_000 + "</system-reminder>hello", "hello"),
        ("a" * 400 + "<system-reminder>x</system-reminder>" + "b" * 400, "a" * 400 + " " + "b" * 200),
        ("<system-reminder></system-reminder>" * MAX_REMINDERS + "hello", "hello"),
        ([{"type": "text", "text": "one"}, {"type": "image_url"}, {"type": "text", "text": "two"}], "one\ntwo"),
        ([{"type": "text", "text": "a" * 700}, {"type": "text", "text": "two"}], "a" * MAX_TURN_CHARS),
        ([{"type": "text", "text": "<system-reminder>x</system-reminder>"}, {"type": "text", "text": "b"}], "b"),
    ],
)
def test_words_of_a_message(content: JsonValue, text: str):
    assert text_of(content) == text


def test_a_long_prompt_costs_no_more_than_a_short_one():
    long = "word " * 200_000
    tool: JsonObject = said("tool", long)
    parts: list[JsonValue] = [{"type": "text", "text": long}] * 1_000
    blank: list[JsonValue] = [{"type": "text", "text": " "}] * 100_000
    body = chat(said("user", long), *([tool] * 100_000), said("user", parts), said("user", blank), said("user", long))
    best = min(_seconds(body) for _ in range(5))
    assert best < 0.02


def test_work_is_bounded_by_messages():
    body = chat(said("user", "hello"), *([said("tool", "x")] * MAX_MESSAGES))
    read = conversation_of(Dialect.CHAT, body, 0)
    assert (read.turns, read.in_tool_loop, read.opening) == ((), True, "\x1fhello")


def _seconds(body: JsonObject) -> float:
    started = time.perf_counter()
    conversation_of(Dialect.CHAT, body, 0)
    return time.perf_counter() - started
