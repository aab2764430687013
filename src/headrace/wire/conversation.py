"""What routing reads of a call, in every dialect: the last turns, the opening, whether a tool's result came last.

It reads from the end and no further than it must, so that a long prompt costs no more than a short one; it refuses
nothing, for what is not understood is not read. Matching is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import TypeAlias

from headrace.domain.call import Dialect
from headrace.domain.conversation import MAX_TURN_CHARS, MAX_USER_TURNS, Conversation, Turn
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object

MAX_MESSAGES = 400
MAX_PARTS = 100
MAX_TOOLS = 256
MAX_SYSTEM_CHARS = 2_000
# What agent programs put into the user's message beside the user's words.
REMINDERS = ("system-reminder", "environment_context", "environment_details", "user_instructions")
MAX_REMINDERS = 32
_REMINDER = re.compile(f"<({'|'.join(REMINDERS)})>")
_REMINDER_CHARS = 2 + max(map(len, REMINDERS))
_SEPARATOR = "\x1f"
_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_SYSTEM_ROLES = frozenset({"system", "developer"})
_TOOL_ROLES = frozenset({"tool", "function"})


class _Kind(Enum):
    """What a message is to routing; `EMPTY` is none: reminders only, or nothing that counts as a message."""

    USER = 1
    ASSISTANT = 2
    RESULT = 3
    SYSTEM = 4
    EMPTY = 5


_Said: TypeAlias = "tuple[_Kind, str]"
_Reader: TypeAlias = "Callable[[JsonObject], _Said]"


def conversation_of(dialect: Dialect, body: Mapping[str, JsonValue], prompt_tokens: int) -> Conversation:
    """Return what routing reads of a validated body; a text completion's first prompt is one turn of a user."""
    messages, reader = _messages(dialect, body)
    turns, in_tool_loop = _turns(messages, reader)
    return Conversation(turns, _opening(body, messages, reader), in_tool_loop, prompt_tokens)


def opening_of(dialect: Dialect, body: Mapping[str, JsonValue]) -> str:
    """Return what every turn of a conversation begins with: system prompt, tools, the user's first words, cut short."""
    messages, reader = _messages(dialect, body)
    return _opening(body, messages, reader)


def _messages(dialect: Dialect, body: Mapping[str, JsonValue]) -> tuple[Sequence[JsonValue], _Reader]:
    if dialect is Dialect.MESSAGES:
        return _listed(body.get("messages")), _read_message
    if dialect is Dialect.RESPONSES:
        return _listed(body.get("input")), _read_item
    if "messages" in body:
        return _listed(body["messages"]), _read_chat
    prompt = body.get("prompt")
    return _listed(next(iter(prompt), None) if isinstance(prompt, list) else prompt), _read_chat


def _listed(value: JsonValue) -> Sequence[JsonValue]:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return value if isinstance(value, list) else ()


def _turns(messages: Sequence[JsonValue], reader: _Reader) -> tuple[tuple[Turn, ...], bool]:
    """Return the last user turns, oldest first, each after the last words that the assistant said before it."""
    turns: list[Turn] = []
    users, last = 0, None
    for kind, text in _read(reversed(messages), reader):
        if last is None and kind not in (_Kind.SYSTEM, _Kind.EMPTY):
            last = kind
        if kind is _Kind.USER and text:
            turns.append(Turn("user", text))
            users += 1
            if users == MAX_USER_TURNS:
                break
        elif kind is _Kind.ASSISTANT and text and turns and turns[-1].speaker == "user":
            turns.append(Turn("assistant", text))
    return tuple(reversed(turns)), last is _Kind.RESULT


def _opening(body: Mapping[str, JsonValue], messages: Sequence[JsonValue], reader: _Reader) -> str:
    """Return the system prompt's beginning, the names of the tools and the user's first words; empty without any."""
    system = [_text(body.get(name), MAX_SYSTEM_CHARS) for name in ("system", "instructions")]
    first = ""
    for kind, text in _read(messages, reader):
        if kind is _Kind.SYSTEM:
            system.append(text)
        elif kind is _Kind.USER and text:
            first = text
            break
    tools = [_tool_name(each) for name in ("tools", "functions") for each in islice(_listed(body.get(name)), MAX_TOOLS)]
    parts = ["\n".join(filter(None, system))[:MAX_SYSTEM_CHARS], *tools, first]
    return _SEPARATOR.join(parts) if any(parts) else ""


def _read(messages: Iterable[JsonValue], reader: _Reader) -> Iterable[_Said]:
    return (reader(each) for each in islice(messages, MAX_MESSAGES) if is_object(each))


def _read_chat(message: JsonObject) -> _Said:
    role = _role_of(message)
    return (_Kind.RESULT, "") if role in _TOOL_ROLES else _by_role(role, message.get("content"))


def _read_message(message: JsonObject) -> _Said:
    """Read a message of the Messages dialect: a tool's result stands in a user's message, words may stand beside it."""
    kind, text = _by_role(_role_of(message), message.get("content"))
    if not text and any(_type_of(each) == "tool_result" for each in _parts(message.get("content"))):
        return _Kind.RESULT, ""
    return kind, text


def _read_item(item: JsonObject) -> _Said:
    kind = item.get("type", "message")
    if kind == "message":
        return _by_role(_role_of(item), item.get("content"))
    return (_Kind.RESULT if str(kind).endswith("_output") else _Kind.EMPTY), ""


def _by_role(role: str, content: JsonValue) -> _Said:
    if role in _SYSTEM_ROLES:
        return _Kind.SYSTEM, _text(content, MAX_SYSTEM_CHARS)
    if role == "assistant":
        return _Kind.ASSISTANT, _text(content, MAX_TURN_CHARS)
    if role != "user":
        return _Kind.EMPTY, ""
    text = _text(content, MAX_TURN_CHARS)
    other = any(_type_of(each) not in _TEXT_PARTS for each in _parts(content))
    return (_Kind.USER if text or other else _Kind.EMPTY), text


def _text(content: JsonValue, most: int) -> str:
    """Return the first characters of a text or of text parts, without reminders."""
    if isinstance(content, str):
        return _spoken(content, most)
    texts: list[str] = []
    left = most
    for part in _parts(content):
        words = part.get("text") if _type_of(part) in _TEXT_PARTS else None
        if isinstance(words, str) and (spoken := _spoken(words, left)):
            texts.append(spoken)
            left -= len(spoken) + 1
        if left <= 0:
            break
    return "\n".join(texts)


def _spoken(text: str, most: int) -> str:
    """Return the first characters of a text outside of reminders; one that is not closed is text like any other."""
    text = text.lstrip()
    kept: list[str] = []
    at, left = 0, most
    for _ in range(MAX_REMINDERS):
        found = _REMINDER.search(text, at, at + left + _REMINDER_CHARS)
        end = -1 if found is None else text.find(f"</{found[1]}>", found.end())
        if found is None or end < 0:
            break
        before = text[at : found.start()].strip()[:left]
        kept.append(before)
        at, left = end + len(found[1]) + 3, left - len(before)
    kept.append(text[at : at + left].strip())
    return " ".join(filter(None, kept))


def _parts(content: JsonValue) -> Iterable[JsonObject]:
    return filter(is_object, islice(content, MAX_PARTS)) if isinstance(content, list) else ()


def _type_of(part: JsonObject) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _role_of(message: JsonObject) -> str:
    role = message.get("role")
    return role if isinstance(role, str) else ""


def _tool_name(tool: JsonValue) -> str:
    if not is_object(tool):
        return ""
    function = tool.get("function")
    name = function.get("name") if is_object(function) else tool.get("name", tool.get("type"))
    return name if isinstance(name, str) else ""
