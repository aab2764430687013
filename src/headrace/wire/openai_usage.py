"""OpenAI's usage block to disjoint token classes and back.

OpenAI's prompt count includes cached tokens and its completion count includes reasoning tokens.
Source: OpenAI API reference, "Chat completion object", usage (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import is_object
from headrace.wire.media_usage import count_in, media_counts, says_media, with_media

NOTHING: Mapping[str, JsonValue] = MappingProxyType({})


def read_usage(block: JsonValue, *, reasoning_apart: bool = False) -> Usage | None:
    """Return the usage, or None when the block is absent or carries no counts; an explicit zero is a count.

    With `reasoning_apart` the completion count leaves reasoning out: what the total holds beyond both counts is it.
    """
    if not is_object(block):
        return None
    prompt, completion = count_in(block, "prompt_tokens"), count_in(block, "completion_tokens")
    if prompt is None and completion is None:
        return None
    invalid = _is_wrong(block, "prompt_tokens", prompt) or _is_wrong(block, "completion_tokens", completion)
    prompt, completion = prompt or 0, completion or 0
    total = count_in(block, "total_tokens")
    given, taken = _details(block, "prompt_tokens_details"), _details(block, "completion_tokens_details")
    cached = _cached(block, given)
    reasoning = count_in(taken, "reasoning_tokens") or 0
    if reasoning_apart and total is not None and total > prompt + completion:
        reasoning, completion = total - prompt - completion, total - prompt
    write_5m, write_1h = _written(block, given)
    anomaly = "invalid_count" if invalid else None
    if anomaly is None and total is not None and total != prompt + completion:
        anomaly = None if "prompt_audio_seconds" in block else "total_mismatch"
    anomaly = anomaly or _over(prompt, completion, cached + write_5m + write_1h, reasoning)
    cached = min(cached, prompt)
    write_5m = min(write_5m, prompt - cached)
    write_1h = min(write_1h, prompt - cached - write_5m)
    reasoning = min(reasoning, completion)
    usage = Usage(
        input_fresh=prompt - cached - write_5m - write_1h,
        input_cache_read=cached,
        input_cache_write_5m=write_5m,
        input_cache_write_1h=write_1h,
        output_text=completion - reasoning,
        output_reasoning=reasoning,
        anomaly=anomaly,
    )
    if not (says_media(given) or says_media(taken) or "prompt_audio_seconds" in block):
        return usage
    counts, seconds = media_counts(given, taken), count_in(block, "prompt_audio_seconds")
    return with_media(usage, counts, seconds or 0) if counts or seconds else usage


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


def _is_wrong(block: JsonObject, name: str, count: int | None) -> bool:
    return count is None and block.get(name) is not None


def _details(block: JsonObject, name: str) -> Mapping[str, JsonValue]:
    inner = block.get(name)
    return inner if is_object(inner) else NOTHING


def _cached(block: JsonObject, given: Mapping[str, JsonValue]) -> int:
    cached = count_in(given, "cached_tokens") or count_in(block, "cache_read_input_tokens")
    return cached or count_in(block, "prompt_cache_hit_tokens") or 0


def _written(block: JsonObject, given: Mapping[str, JsonValue]) -> tuple[int, int]:
    """Return tokens written to the cache for five minutes and for an hour; what says no lifetime is the first."""
    by_lifetime = block.get("cache_creation")
    if not is_object(by_lifetime):
        return count_in(given, "cache_write_tokens") or 0, 0
    short, long = count_in(by_lifetime, "ephemeral_5m_input_tokens"), count_in(by_lifetime, "ephemeral_1h_input_tokens")
    return short or 0, long or 0


def _over(prompt: int, completion: int, cached: int, reasoning: int) -> str | None:
    if cached > prompt:
        return "cached_over_prompt"
    if reasoning > completion:
        return "reasoning_over_completion"
    return None
