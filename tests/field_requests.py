"""Whole requests of the three dialects for every field that their official SDKs know, and what became of the field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from anthropic.types.beta.message_create_params import MessageCreateParamsBase as BetaMessageParams
from anthropic.types.message_create_params import MessageCreateParamsBase as MessageParams
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase as ResponseParams

from tests.sdk_fields import Sampler, Variant

Name: TypeAlias = Literal["chat", "responses", "messages"]
NAMES: tuple[Name, ...] = ("chat", "responses", "messages")
CALL = "call_1"
PICTURE = "data:image/png;base64,iVBORw0KGgo="
SHEET = "data:application/pdf;base64,aGFsbG8="
SCHEMA: dict[str, Any] = {"type": "object"}
SAID: dict[str, Any] = {"role": "user", "content": "Hi"}
WORDS: Mapping[str, Any] = {
    "arguments": '{"a": "canary"}',
    "call_id": CALL,
    "data": "aGFsbG8=",
    "file_data": SHEET,
    "id": CALL,
    "image_url": PICTURE,
    "media_type": "image/png",
    "model": "one",
    "tool_call_id": CALL,
    "tool_use_id": CALL,
    "url": PICTURE,
}
# What an object needs although no type says so: one of several members, or what goes with the least value.
MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "BetaSystemMessageParam": {"content": "canary"},
    "FileFile": {"file_data": SHEET},
    "FunctionCallOutput": {"call_id": CALL},
    "FunctionParameters": SCHEMA,
    "JSONSchema": {"schema": SCHEMA},
    "ResponseInputFileContentParam": {"file_data": SHEET},
    "ResponseInputFileParam": {"file_data": SHEET},
    "ResponseInputImageContentParam": {"image_url": PICTURE},
    "ResponseInputImageParam": {"image_url": PICTURE},
}
SAMPLER = Sampler(WORDS, MEMBERS, ends={"messages": SAID, "input": SAID})
LEAST: Mapping[Name, Mapping[str, Any]] = {
    "chat": {"model": "one", "messages": [SAID]},
    "responses": {"model": "one", "input": [SAID]},
    "messages": {"model": "one", "messages": [SAID], "max_tokens": 3},
}
TOOLS: Mapping[Name, dict[str, Any]] = {
    "chat": {"type": "function", "function": {"name": "canary", "parameters": SCHEMA}},
    "responses": {"type": "function", "name": "canary", "parameters": SCHEMA, "strict": False},
    "messages": {"name": "canary", "input_schema": SCHEMA},
}
# `betas` is a header of the SDK's, never a field of the body.
HEADERS = ("betas",)


@dataclass(frozen=True)
class Case:
    """One field as two whole requests that differ in it alone."""

    variant: Variant
    without: dict[str, Any]
    having: dict[str, Any]

    @property
    def name(self) -> str:
        """The field's path and its value, short."""
        return f"{self.variant.name} = {json.dumps(self.variant.value)[:60]}"


@dataclass(frozen=True)
class Outcome:
    """What became of one request: what left in the upstream's dialect, or the field that was refused."""

    sent: str = ""
    dropped: tuple[str, ...] = ()
    refused: str | None = None
    message: str = ""


def cases(dialect: Name, *, beta: bool = False) -> Iterator[Case]:
    """Return a case for every field of a dialect, those of its beta types where there are any."""
    stable = {"chat": ChatParams, "responses": ResponseParams, "messages": MessageParams}
    kind = BetaMessageParams if beta and dialect == "messages" else stable[dialect]
    for variant in SAMPLER.variants(kind):
        if variant.path[0] not in HEADERS:
            yield Case(variant, whole(dialect, variant.without), whole(dialect, variant.having))


def whole(dialect: Name, fields: dict[str, Any]) -> dict[str, Any]:
    """Return a request with what its fields need beside them: a prompt, tools to choose from, calls and results."""
    body = {**LEAST[dialect], **fields}
    if body.get("stream_options") is not None:
        body["stream"] = True
    if body.keys() & {"tool_choice", "parallel_tool_calls"} and not body.get("tools"):
        body["tools"] = [TOOLS[dialect]]
    if dialect == "responses":
        body["input"] = paired_items(body["input"])
    else:
        body["messages"] = paired_turns(body["messages"], dialect)
    return body


def paired_items(items: list[dict[str, Any]] | str) -> list[dict[str, Any]] | str:
    """Return items with the call before each result, and the result after each call."""
    if isinstance(items, str):
        return items
    kinds = [item.get("type") for item in items]
    paired = list(items)
    if "function_call_output" in kinds and "function_call" not in kinds:
        paired.insert(0, {"type": "function_call", "call_id": CALL, "name": "canary", "arguments": "{}"})
    if "function_call" in kinds and "function_call_output" not in kinds:
        paired.insert(kinds.index("function_call") + 1, {"type": "function_call_output", "call_id": CALL, "output": ""})
    return paired


def paired_turns(turns: list[dict[str, Any]], dialect: Name) -> list[dict[str, Any]]:
    """Return messages with the call before each result, and the result after each call."""
    call, result = _call_and_result(dialect)
    paired: list[dict[str, Any]] = []
    for turn in turns:
        before = bool(paired) and _holds(paired[-1], "tool_use", "tool_calls")
        is_result = turn.get("role") == "tool" or _holds(turn, "tool_result", "")
        if is_result and not before:
            paired.append(call)
        if before and not is_result:
            paired.append(result)
        paired.append(turn)
    return paired


def _call_and_result(dialect: Name) -> tuple[dict[str, Any], dict[str, Any]]:
    if dialect == "chat":
        function = {"id": CALL, "type": "function", "function": {"name": "canary", "arguments": "{}"}}
        return {"role": "assistant", "tool_calls": [function]}, {"role": "tool", "tool_call_id": CALL, "content": ""}
    use: dict[str, Any] = {"type": "tool_use", "id": CALL, "name": "canary", "input": {}}
    result = {"type": "tool_result", "tool_use_id": CALL}
    return {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}


def _holds(turn: dict[str, Any], block: str, member: str) -> bool:
    content = turn.get("content")
    blocks = cast("list[dict[str, Any]]", content) if isinstance(content, list) else []
    return bool(turn.get(member)) or any(each.get("type") == block for each in blocks)


def fate(case: Case, without: Outcome, having: Outcome) -> str:
    """Return `translated`, `refused`, `dropped`, or what is wrong: a field that vanished, or was not named."""
    path = case.variant.path
    if having.refused is not None:
        # Where the least value is refused already, it is what holds the field that has no place.
        whose = path if without.refused is None else path[:-1]
        is_named = _is_at(having.refused, whose) or f'"{path[-1]}"' in having.message
        return "refused" if is_named else f"refused as {having.refused}"
    if without.refused is not None:
        return "translated"
    more = [name for name in having.dropped if name not in without.dropped]
    if more:
        return "dropped" if any(_names(name, path) for name in more) else f"dropped as {more}"
    if having.sent != without.sent:
        return "translated"
    # What holds it was left out, and was named.
    return "dropped" if any(_names(name, path[:-1]) for name in having.dropped) else "vanished"


def _is_at(param: str, path: tuple[str, ...]) -> bool:
    """Whether a refusal's place lies on the way to the field, or below it; the type of an object stands for it all."""
    steps, field = _steps(param.removesuffix(".type")), [step for step in path if step != "0"]
    least = min(len(steps), len(field))
    return bool(steps) and steps[:least] == field[:least]


def _names(dropped: str, path: tuple[str, ...]) -> bool:
    """Whether the entry of a header names the field, or what holds it."""
    return dropped in path or _steps(dropped)[-1] in path or _steps(dropped)[0] in path[:1]


def _steps(name: str) -> list[str]:
    return [step for step in re.split(r"[.\[\]]+", name) if step and not step.isdigit()]
