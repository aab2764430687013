"""Usage in classes that never overlap; reading a dialect's usage block is the wire's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias


class TokenClass(StrEnum):
    """A class of tokens that has its own price; no token belongs to two."""

    INPUT_FRESH = "input_fresh"
    INPUT_CACHE_READ = "input_cache_read"
    INPUT_CACHE_WRITE_5M = "input_cache_write_5m"
    INPUT_CACHE_WRITE_1H = "input_cache_write_1h"
    OUTPUT_TEXT = "output_text"
    OUTPUT_REASONING = "output_reasoning"
    INPUT_AUDIO = "input_audio"
    INPUT_AUDIO_CACHE_READ = "input_audio_cache_read"
    INPUT_IMAGE = "input_image"
    INPUT_IMAGE_CACHE_READ = "input_image_cache_read"
    OUTPUT_AUDIO = "output_audio"
    OUTPUT_IMAGE = "output_image"


class UnitClass(StrEnum):
    """What is priced by the piece and is no token; a second is one of audio."""

    CALL = "call"
    IMAGE = "image"
    SEARCH = "search"
    CHARACTER = "character"
    SECOND = "second"


UsageClass: TypeAlias = TokenClass | UnitClass

TEXT_INPUT_CLASSES = (
    TokenClass.INPUT_FRESH,
    TokenClass.INPUT_CACHE_READ,
    TokenClass.INPUT_CACHE_WRITE_5M,
    TokenClass.INPUT_CACHE_WRITE_1H,
)
MEDIA_INPUT_CLASSES = (
    TokenClass.INPUT_AUDIO,
    TokenClass.INPUT_AUDIO_CACHE_READ,
    TokenClass.INPUT_IMAGE,
    TokenClass.INPUT_IMAGE_CACHE_READ,
)
INPUT_CLASSES = (*TEXT_INPUT_CLASSES, *MEDIA_INPUT_CLASSES)
OUTPUT_CLASSES = (
    TokenClass.OUTPUT_TEXT,
    TokenClass.OUTPUT_REASONING,
    TokenClass.OUTPUT_AUDIO,
    TokenClass.OUTPUT_IMAGE,
)
TEXT_CLASSES = (*TEXT_INPUT_CLASSES, TokenClass.OUTPUT_TEXT, TokenClass.OUTPUT_REASONING)

UsageSource: TypeAlias = Literal["upstream", "counted", "bound"]
Quantities: TypeAlias = tuple[tuple[UsageClass, int], ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one attempt used by disjoint class; `source` says whether the upstream or we counted it.

    The six classes that nearly every call has are fields; `more` holds what is not zero of the others, in the order
    of `rare`. `anomaly` names a contradiction in the upstream's own block (a total that does not add up), else None.
    """

    input_fresh: int = 0
    input_cache_read: int = 0
    input_cache_write_5m: int = 0
    input_cache_write_1h: int = 0
    output_text: int = 0
    output_reasoning: int = 0
    source: UsageSource = "upstream"
    anomaly: str | None = None
    more: Quantities = ()

    @property
    def estimated(self) -> bool:
        """Whether the counts are ours and not the upstream's."""
        return self.source != "upstream"

    @property
    def input_total(self) -> int:
        """All input tokens."""
        text = self.input_fresh + self.input_cache_read + self.input_cache_write_5m + self.input_cache_write_1h
        return text + _sum(self.more, INPUT_CLASSES) if self.more else text

    @property
    def output_total(self) -> int:
        """All output tokens."""
        text = self.output_text + self.output_reasoning
        return text + _sum(self.more, OUTPUT_CLASSES) if self.more else text

    def quantities(self) -> Quantities:
        """Return the non-zero classes with their counts, in the order of TokenClass, units last."""
        pairs = (
            (TokenClass.INPUT_FRESH, self.input_fresh),
            (TokenClass.INPUT_CACHE_READ, self.input_cache_read),
            (TokenClass.INPUT_CACHE_WRITE_5M, self.input_cache_write_5m),
            (TokenClass.INPUT_CACHE_WRITE_1H, self.input_cache_write_1h),
            (TokenClass.OUTPUT_TEXT, self.output_text),
            (TokenClass.OUTPUT_REASONING, self.output_reasoning),
        )
        return tuple([pair for pair in pairs if pair[1]]) + self.more


def rare(counts: dict[UsageClass, int]) -> Quantities:
    """Return counts as `Usage.more` holds them: tokens before units, each in its order, nothing that is zero."""
    return tuple((each, counts[each]) for each in (*TokenClass, *UnitClass) if counts.get(each))


def _sum(quantities: Quantities, classes: tuple[TokenClass, ...]) -> int:
    return sum(quantity for each, quantity in quantities if each in classes)
