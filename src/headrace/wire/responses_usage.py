"""The usage block of OpenAI's Responses dialect to disjoint token classes and back, and to and from chat's block.

Its input count includes cached and cache-written tokens and its output count includes reasoning tokens.
Source: OpenAI API reference, "The response object", usage (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import is_object
from headrace.wire.openai_usage import read_usage as read_chat_usage
from headrace.wire.openai_usage import write_usage as write_chat_usage


def read_usage(block: JsonValue) -> Usage | None:
    """Return the usage, or None when the block is absent or carries no counts."""
    return read_chat_usage(chat_usage(block)) if is_object(block) else None


def write_usage(usage: Usage, upstream: JsonObject | None) -> JsonObject:
    """Return the block that the caller sees: the upstream's own where there is one, ours where it was missing."""
    if upstream is not None and not usage.estimated:
        return upstream
    return responses_usage(write_chat_usage(usage, None))


def chat_usage(block: JsonObject) -> JsonObject:
    """Return a Responses usage block in chat's form; `input_tokens_details` becomes `prompt_tokens_details`."""
    chat: JsonObject = {
        "prompt_tokens": block.get("input_tokens"),
        "completion_tokens": block.get("output_tokens"),
    }
    if "total_tokens" in block:
        chat["total_tokens"] = block["total_tokens"]
    given, taken = block.get("input_tokens_details"), block.get("output_tokens_details")
    if is_object(given):
        # What was written is fresh input at a price of its own; OpenAI keeps it for half an hour at the least.
        chat["prompt_tokens_details"] = given
    if is_object(taken):
        chat["completion_tokens_details"] = taken
    return chat


def shown_chat_usage(block: JsonObject) -> JsonObject:
    """Return a Responses usage block as a chat caller sees it, without fields that chat does not have."""
    shown = chat_usage(block)
    return {**shown, "estimated": True} if block.get("estimated") is True else shown


def responses_usage(block: JsonObject) -> JsonObject:
    """Return a chat usage block in the form of Responses; every count that its types require is there."""
    given, taken = block.get("prompt_tokens_details"), block.get("completion_tokens_details")
    prompt, completion = _count(block, "prompt_tokens"), _count(block, "completion_tokens")
    usage: JsonObject = {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": _count(given, "cached_tokens") or _count(block, "cache_read_input_tokens"),
            "cache_write_tokens": _count(given, "cache_write_tokens"),
        },
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": _count(taken, "reasoning_tokens")},
        "total_tokens": _count(block, "total_tokens") or prompt + completion,
    }
    if block.get("estimated") is True:
        usage["estimated"] = True
    return usage


def _count(block: JsonValue, name: str) -> int:
    value = block.get(name) if is_object(block) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
