"""Audio and image tokens in a usage block of OpenAI's kind, taken out of the counts that hold them.

The prompt's count includes tokens of audio and images, the cached count those that were cached, the completion's count
what was spoken or drawn.
Source: OpenAI API reference, "Chat completion object", "Images" and "Realtime server events", usage (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headrace.domain.json_value import JsonValue
from headrace.domain.usage import TokenClass, UnitClass, Usage, UsageClass, rare
from headrace.wire.json_strict import is_object

MAX_COUNT = 2**31 - 1


def count_in(block: Mapping[str, JsonValue], name: str) -> int | None:
    """Return a count, or None where there is none or something else."""
    value = block.get(name)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def says_media(details: Mapping[str, JsonValue]) -> bool:
    """Whether details of a usage block may count audio or images; most count none, or zero."""
    return bool(details.get("audio_tokens") or details.get("image_tokens") or details.get("cached_tokens_details"))


def media_counts(given: Mapping[str, JsonValue], taken: Mapping[str, JsonValue]) -> dict[TokenClass, int]:
    """Return the counts of audio and images in the details of prompt and completion, without those that are zero."""
    counts = {
        TokenClass.INPUT_AUDIO: count_in(given, "audio_tokens"),
        TokenClass.INPUT_IMAGE: count_in(given, "image_tokens"),
        TokenClass.OUTPUT_AUDIO: count_in(taken, "audio_tokens"),
        TokenClass.OUTPUT_IMAGE: count_in(taken, "image_tokens"),
    }
    cached = given.get("cached_tokens_details")
    if is_object(cached):
        counts[TokenClass.INPUT_AUDIO_CACHE_READ] = count_in(cached, "audio_tokens")
        counts[TokenClass.INPUT_IMAGE_CACHE_READ] = count_in(cached, "image_tokens")
    return {each: count for each, count in counts.items() if count}


def with_media(usage: Usage, counts: Mapping[TokenClass, int], seconds: int) -> Usage:
    """Return the usage with these tokens in classes of their own; `seconds` of audio are not among the tokens.

    Cached tokens are text before they are audio or images, unless the block says what they are. More of them than the
    whole count holds is cut, and noted.
    """
    audio, audio_cached = _split(counts, TokenClass.INPUT_AUDIO, TokenClass.INPUT_AUDIO_CACHE_READ)
    image, image_cached = _split(counts, TokenClass.INPUT_IMAGE, TokenClass.INPUT_IMAGE_CACHE_READ)
    cached, audio_cached, image_cached = _take(usage.input_cache_read, audio_cached, image_cached)
    fresh, audio, image = _take(usage.input_fresh, audio, image)
    # What does not fit into the fresh tokens was cached.
    short_audio = counts.get(TokenClass.INPUT_AUDIO, 0) - audio - audio_cached
    short_image = counts.get(TokenClass.INPUT_IMAGE, 0) - image - image_cached
    cached, more_audio, more_image = _take(cached, max(short_audio, 0), max(short_image, 0))
    text, spoken, drawn = _take(
        usage.output_text, counts.get(TokenClass.OUTPUT_AUDIO, 0), counts.get(TokenClass.OUTPUT_IMAGE, 0)
    )
    more: dict[UsageClass, int] = {
        TokenClass.INPUT_AUDIO: audio,
        TokenClass.INPUT_AUDIO_CACHE_READ: audio_cached + more_audio,
        TokenClass.INPUT_IMAGE: image,
        TokenClass.INPUT_IMAGE_CACHE_READ: image_cached + more_image,
        TokenClass.OUTPUT_AUDIO: spoken,
        TokenClass.OUTPUT_IMAGE: drawn,
        UnitClass.SECOND: seconds,
    }
    wanted = sum(count for each, count in counts.items() if "cache" not in each)
    fits = wanted <= sum(count for each, count in more.items() if each is not UnitClass.SECOND)
    return replace(
        usage,
        input_fresh=fresh,
        input_cache_read=cached,
        output_text=text,
        anomaly=usage.anomaly if fits else usage.anomaly or "media_over_total",
        more=rare(more),
    )


def _split(counts: Mapping[TokenClass, int], whole: TokenClass, cached: TokenClass) -> tuple[int, int]:
    """Return the tokens of one kind that were not cached and those that were; the whole count includes both."""
    of_cache = counts.get(cached, 0)
    return max(counts.get(whole, 0) - of_cache, 0), of_cache


def _take(whole: int, audio: int, image: int) -> tuple[int, int, int]:
    """Return what is left of a count, and the audio and images that were taken out of it."""
    audio = min(audio, whole)
    image = min(image, whole - audio)
    return whole - audio - image, audio, image
