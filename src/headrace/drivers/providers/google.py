"""Google's Gemini API behind its endpoint compatible with OpenAI's: what its errors mean; the rest is OpenAI's dialect.

A refused key is answered with 400; the reason stands in the error's details.
Source: https://github.com/continuedev/continue/issues/10290 (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.ambient import Clock
from headrace.wire.openai_failure import ErrorMeaning

MEANINGS: Mapping[str, ErrorMeaning] = MappingProxyType({"API_KEY_INVALID": "credential"})


def adapter(clock: Clock) -> OpenAiAdapter:
    """Return the adapter for Gemini's compatible endpoint."""
    return OpenAiAdapter(clock, "max_tokens", MEANINGS)
