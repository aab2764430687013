"""One choice of a streamed answer while tools are in play: its text held back, or turned into tool calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.drivers.engines.llamacpp_tools import ToolCall, ToolMode, ToolUse, may_become_call, read_calls
from headrace.wire.json_strict import is_object

_ANY_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"\\]*)"\s*,\s*"arguments"\s*:\s*')


class ToolChoice:
    """Takes the choice objects of one index and returns those that the caller shall see instead."""

    def __init__(self, index: int, use: ToolUse, new_id: Callable[[], str]) -> None:
        self._index = index
        self._use = use
        self._new_id = new_id
        self._text = ""
        self._held: list[JsonObject] = []
        self._is_text = False
        self._calls = 0

    def take(self, choice: JsonObject) -> list[JsonObject]:
        """Return what to forward for one choice object of the engine."""
        delta = choice.get("delta")
        content = delta.get("content") if is_object(delta) else None
        if is_object(delta) and delta.get("tool_calls"):
            # The engine recognised the call itself.
            self._is_text = True
        out: list[JsonObject] = []
        if self._is_text or not (isinstance(content, str) and content):
            if choice.get("finish_reason") is not None:
                return [*self.flush(is_cut=choice["finish_reason"] == "length"), self._ended(choice)]
            return [choice]
        out.extend(self._take_text(content, choice))
        if choice.get("finish_reason") is not None:
            out.extend(self.flush(is_cut=choice["finish_reason"] == "length"))
            out.append(self._ended({**choice, "delta": {}, "logprobs": None}))
        return out

    def flush(self, *, is_cut: bool = False) -> list[JsonObject]:
        """Decide on what is held back, at the end of the answer; a cut call's last brace may be an argument's."""
        held, self._held, text, self._text = self._held, [], self._text, ""
        if self._calls:
            return [self._piece(text, None, held)] if is_cut and text else []
        if not held:
            return []
        calls = read_calls(text, self._use.names)
        if not calls:
            self._is_text = True
            return held
        return [self._piece(call.arguments, call.name, held if first else ()) for first, call in _firsts(calls)]

    def _take_text(self, content: str, choice: JsonObject) -> list[JsonObject]:
        match self._use.mode:
            case ToolMode.NAMED:
                name = None if self._calls else self._use.names[0]
                return [self._piece(content, name, (choice,))]
            case ToolMode.ANY:
                return self._take_any(content, choice)
            case _:
                return self._take_auto(content, choice)

    def _take_auto(self, content: str, choice: JsonObject) -> list[JsonObject]:
        self._text += content
        self._held.append(choice)
        if may_become_call(self._text):
            return []
        self._is_text = True
        held, self._held = self._held, []
        return held

    def _take_any(self, content: str, choice: JsonObject) -> list[JsonObject]:
        self._text += content
        self._held.append(choice)
        name: str | None = None
        if not self._calls:
            head = _ANY_HEAD.match(self._text)
            if head is None:
                return []
            name = head.group(1)
            self._text = self._text[head.end() :]
        # The last brace closes the object around the arguments: it is held back until another follows.
        kept = self._text.rstrip()
        end = len(kept) - 1 if kept.endswith("}") else len(self._text)
        ready, self._text = self._text[:end], self._text[end:]
        if not ready and name is None:
            return []
        held, self._held = self._held, []
        return [self._piece(ready, name, held)]

    def _piece(self, arguments: str, name: str | None, sources: Iterable[JsonObject]) -> JsonObject:
        call: JsonObject
        if name is None:
            call = {"index": self._calls - 1, "function": {"arguments": arguments}}
        else:
            function: JsonObject = {"name": name, "arguments": arguments}
            call = {"index": self._calls, "id": self._new_id(), "type": "function", "function": function}
            self._calls += 1
        piece: JsonObject = {"index": self._index, "delta": {"tool_calls": [call]}, "finish_reason": None}
        logprobs = _logprobs(sources)
        if logprobs:
            piece["logprobs"] = {"content": logprobs}
        return piece

    def _ended(self, choice: JsonObject) -> JsonObject:
        if self._calls and choice.get("finish_reason") == "stop":
            return {**choice, "finish_reason": "tool_calls"}
        return choice


def _firsts(calls: list[ToolCall]) -> list[tuple[bool, ToolCall]]:
    return [(number == 0, call) for number, call in enumerate(calls)]


def _logprobs(choices: Iterable[JsonObject]) -> list[JsonValue]:
    merged: list[JsonValue] = []
    for choice in choices:
        block = choice.get("logprobs")
        content = block.get("content") if is_object(block) else None
        if isinstance(content, list):
            merged.extend(content)
    return merged
