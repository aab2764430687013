"""Token usage in classes that never overlap; reading a dialect's usage block is the wire's."""

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


INPUT_CLASSES = (
    TokenClass.INPUT_FRESH,
    TokenClass.INPUT_CACHE_READ,
    TokenClass.INPUT_CACHE_WRITE_5M,
    TokenClass.INPUT_CACHE_WRITE_1H,
)
OUTPUT_CLASSES = (TokenClass.OUTPUT_TEXT, TokenClass.OUTPUT_REASONING)

UsageSource: TypeAlias = Literal["upstream", "counted", "bound"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one attempt by disjoint class; `source` says whether the upstream or we counted them.

    `anomaly` names a contradiction in the upstream's own block (a total that does not add up), else None.
    """

    input_fresh: int = 0
    input_cache_read: int = 0
    input_cache_write_5m: int = 0
    input_cache_write_1h: int = 0
    output_text: int = 0
    output_reasoning: int = 0
    source: UsageSource = "upstream"
    anomaly: str | None = None

    @property
    def estimated(self) -> bool:
        """Whether the counts are ours and not the upstream's."""
        return self.source != "upstream"

    @property
    def input_total(self) -> int:
        """All input tokens."""
        return self.input_fresh + self.input_cache_read + self.input_cache_write_5m + self.input_cache_write_1h

    @property
    def output_total(self) -> int:
        """All output tokens."""
        return self.output_text + self.output_reasoning

    def quantities(self) -> tuple[tuple[TokenClass, int], ...]:
        """Return the non-zero classes with their counts, in the order of TokenClass."""
        pairs = (
            (TokenClass.INPUT_FRESH, self.input_fresh),
            (TokenClass.INPUT_CACHE_READ, self.input_cache_read),
            (TokenClass.INPUT_CACHE_WRITE_5M, self.input_cache_write_5m),
            (TokenClass.INPUT_CACHE_WRITE_1H, self.input_cache_write_1h),
            (TokenClass.OUTPUT_TEXT, self.output_text),
            (TokenClass.OUTPUT_REASONING, self.output_reasoning),
        )
        return tuple(pair for pair in pairs if pair[1])
