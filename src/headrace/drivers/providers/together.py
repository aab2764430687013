"""Together AI: what its errors mean; the rest is OpenAI's dialect.

It answers a prompt that is too long with 403, which elsewhere says that a key may not do something.
Source: https://docs.together.ai/docs/error-codes (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.ambient import Clock
from headrace.wire.openai_failure import ErrorMeaning

MEANINGS: Mapping[str, ErrorMeaning] = MappingProxyType({"403": "refused"})


def adapter(clock: Clock) -> OpenAiAdapter:
    """Return the adapter for Together AI."""
    return OpenAiAdapter(clock, "max_tokens", MEANINGS)
