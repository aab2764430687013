"""Groq: what its errors mean; the rest is OpenAI's dialect.

498 says that the flexible tier has no room.
Source: https://console.groq.com/docs/errors (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.ambient import Clock
from headrace.wire.openai_failure import ErrorMeaning

MEANINGS: Mapping[str, ErrorMeaning] = MappingProxyType({"498": "rate_limit"})


def adapter(clock: Clock) -> OpenAiAdapter:
    """Return the adapter for Groq."""
    return OpenAiAdapter(clock, "max_tokens", MEANINGS)
