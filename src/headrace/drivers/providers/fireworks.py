"""Fireworks AI: what its errors mean; the rest is OpenAI's dialect.

A suspended account is answered with 412.
Source: https://docs.fireworks.ai/guides/inference-error-codes (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.ambient import Clock
from headrace.wire.openai_failure import ErrorMeaning

MEANINGS: Mapping[str, ErrorMeaning] = MappingProxyType({"412": "quota"})


def adapter(clock: Clock) -> OpenAiAdapter:
    """Return the adapter for Fireworks AI."""
    return OpenAiAdapter(clock, "max_tokens", MEANINGS)
