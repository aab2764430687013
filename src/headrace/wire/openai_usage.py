"""OpenAI's usage block to disjoint token classes and back.

OpenAI's prompt count includes cached tokens and its completion count includes reasoning tokens.
Source: OpenAI API reference, "Chat completion object", usage (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import is_object

MAX_COUNT = 2**31 - 1


def read_usage(block: JsonValue, *, reasoning_apart: bool = False) -> Usage | None:
    """Return the usage, or None when the block is absent or carries no counts; an explicit zero is a count.

    With `reasoning_apart` the completion count leaves reasoning out: what the total holds beyond both counts is it.
    """
    if not is_object(block):
        return None
    prompt, completion = _count(block, "prompt_tokens"), _count(block, "completion_tokens")
    if prompt is None and completion is None:
        return None
    invalid = any(block.get(name) is not None for name, count in _named(prompt, completion) if count is None)
    prompt, completion = prompt or 0, completion or 0
    cached = _cached(block)
    reasoning = _detail(block, "completion_tokens_details", "reasoning_tokens") or 0
    apart = (_count(block, "total_tokens") or 0) - prompt - completion
    if reasoning_apart and apart > 0:
        reasoning, completion = apart, completion + apart
    write_5m = _detail(block, "cache_creation", "ephemeral_5m_input_tokens") or 0
    write_1h = _detail(block, "cache_creation", "ephemeral_1h_input_tokens") or 0
    anomaly = "invalid_count" if invalid else None
    anomaly = anomaly or _anomaly(block, prompt, completion, cached + write_5m + write_1h, reasoning)
    cached = min(cached, prompt)
    write_5m = min(write_5m, prompt - cached)
    write_1h = min(write_1h, prompt - cached - write_5m)
    reasoning = min(reasoning, completion)
    return Usage(
        input_fresh=prompt - cached - write_5m - write_1h,
        input_cache_read=cached,
        input_cache_write_5m=write_5m,
        input_cache_write_1h=write_1h,
        output_text=completion - reasoning,
        output_reasoning=reasoning,
        anomaly=anomaly,
    )


def write_usage(usage: Usage, upstream: JsonObject | None) -> JsonObject:
    """Return the block that the caller sees: the upstream's own where there is one, ours where it was missing."""
    if upstream is not None and not usage.estimated:
        return upstream
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "estimated": True,
    }


def _count(block: JsonObject, name: str) -> int | None:
    value = block.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def _named(prompt: int | None, completion: int | None) -> tuple[tuple[str, int | None], ...]:
    return ("prompt_tokens", prompt), ("completion_tokens", completion)


def _cached(block: JsonObject) -> int:
    inner = _detail(block, "prompt_tokens_details", "cached_tokens")
    names = ("cache_read_input_tokens", "prompt_cache_hit_tokens")
    return inner or next((count for name in names if (count := _count(block, name))), 0)


def _detail(block: JsonObject, group: str, name: str) -> int | None:
    inner = block.get(group)
    return _count(inner, name) if is_object(inner) else None


def _anomaly(block: JsonObject, prompt: int, completion: int, cached: int, reasoning: int) -> str | None:
    total = _count(block, "total_tokens")
    if total is not None and total != prompt + completion:
        return "total_mismatch"
    if cached > prompt:
        return "cached_over_prompt"
    if reasoning > completion:
        return "reasoning_over_completion"
    return None
