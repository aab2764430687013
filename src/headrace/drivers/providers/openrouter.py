"""OpenRouter: what its errors mean; the rest is OpenAI's dialect.

Its 403 says that the input was flagged or blocked, not that the key is wrong: that is 401.
Source: https://openrouter.ai/docs/api/reference/errors-and-debugging (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.ambient import Clock
from headrace.wire.openai_failure import ErrorMeaning

MEANINGS: Mapping[str, ErrorMeaning] = MappingProxyType({"403": "refused"})


def adapter(clock: Clock) -> OpenAiAdapter:
    """Return the adapter for OpenRouter."""
    return OpenAiAdapter(clock, "max_tokens", MEANINGS)
