"""Anthropic's usage block to disjoint token classes and back.

Its classes are disjoint already: `input_tokens` leaves out what was read from or written to the cache. The counts of
a stream are cumulative, so the last one of each field holds; they are never added up. Searches of the web are priced by
the piece.
Source: Anthropic API reference, "Messages", usage, and "Prompt caching" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import UnitClass, Usage
from headrace.wire.json_strict import is_object

MAX_COUNT = 2**31 - 1
COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


def read_usage(block: JsonValue) -> Usage | None:
    """Return the usage, or None when the block is absent or carries no counts; an explicit zero is a count."""
    if not is_object(block):
        return None
    fresh, output = _count(block, "input_tokens"), _count(block, "output_tokens")
    if fresh is None and output is None:
        return None
    written, split_differs = _written(block)
    thinking = _detail(block, "output_tokens_details", "thinking_tokens") or 0
    output = output or 0
    anomaly: str | None = None
    if any(block.get(name) is not None and _count(block, name) is None for name in COUNTS):
        anomaly = "invalid_count"
    elif split_differs:
        anomaly = "cache_write_mismatch"
    elif thinking > output:
        anomaly = "reasoning_over_completion"
    thinking = min(thinking, output)
    searches = _detail(block, "server_tool_use", "web_search_requests")
    return Usage(
        input_fresh=fresh or 0,
        input_cache_read=_count(block, "cache_read_input_tokens") or 0,
        input_cache_write_5m=written[0],
        input_cache_write_1h=written[1],
        output_text=output - thinking,
        output_reasoning=thinking,
        anomaly=anomaly,
        more=((UnitClass.SEARCH, searches),) if searches else (),
    )


def merge_usage(earlier: JsonObject | None, later: JsonValue) -> JsonObject | None:
    """Return the block of a stream after a further one: the last value of each field, and null is no value."""
    if not is_object(later):
        return earlier
    return {**(earlier or {}), **{name: value for name, value in later.items() if value is not None}}


def write_usage(usage: Usage, upstream: JsonObject | None) -> JsonObject:
    """Return the block that the caller sees: the upstream's own where there is one, ours where it was missing."""
    if upstream is not None and not usage.estimated:
        return upstream
    return {**usage_block(usage), "estimated": True}


def usage_block(usage: Usage) -> JsonObject:
    """Return a usage block with these counts."""
    block: JsonObject = {
        "input_tokens": usage.input_fresh,
        "cache_creation_input_tokens": usage.input_cache_write_5m + usage.input_cache_write_1h,
        "cache_read_input_tokens": usage.input_cache_read,
        "output_tokens": usage.output_total,
    }
    if usage.input_cache_write_5m or usage.input_cache_write_1h:
        block["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.input_cache_write_5m,
            "ephemeral_1h_input_tokens": usage.input_cache_write_1h,
        }
    if usage.output_reasoning:
        block["output_tokens_details"] = {"thinking_tokens": usage.output_reasoning}
    return block


def _written(block: JsonObject) -> tuple[tuple[int, int], bool]:
    """Return tokens written for five minutes and for an hour, and whether their sum is not the total."""
    total = _count(block, "cache_creation_input_tokens")
    short = _detail(block, "cache_creation", "ephemeral_5m_input_tokens")
    long = _detail(block, "cache_creation", "ephemeral_1h_input_tokens")
    if short is None and long is None:
        return (total or 0, 0), False
    short, long = short or 0, long or 0
    if total is None or total == short + long:
        return (short, long), False
    return (max(total - long, 0), min(long, total)), True


def _count(block: JsonObject, name: str) -> int | None:
    value = block.get(name)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def _detail(block: JsonObject, group: str, name: str) -> int | None:
    inner = block.get(group)
    return _count(inner, name) if is_object(inner) else None
