"""Groq: names of messages are left out and said so, and what its errors mean; the rest is OpenAI's dialect.

A message with a name is answered with 400; 498 says that the flexible tier has no room.
Source: https://console.groq.com/docs/openai and https://console.groq.com/docs/errors (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from headrace.domain.call import Call
from headrace.domain.json_value import JsonValue
from headrace.domain.plan import Target
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.ambient import Clock
from headrace.ports.upstream import Prepared
from headrace.wire.json_strict import is_object
from headrace.wire.openai_failure import ErrorMeaning

MEANINGS: Mapping[str, ErrorMeaning] = MappingProxyType({"498": "rate_limit"})
NAMES = "messages[].name"


class GroqAdapter(OpenAiAdapter):
    """Speaks OpenAI's dialect without names in messages."""

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the request; names of messages are dropped and said so."""
        messages = call.body.get("messages")
        if not isinstance(messages, list) or not any(_has_name(each) for each in messages):
            return super().prepare(call, target)
        nameless: list[JsonValue] = [_without_name(each) for each in messages]
        prepared = super().prepare(replace(call, body={**call.body, "messages": nameless}), target)
        return replace(prepared, dropped=(*prepared.dropped, NAMES))


def adapter(clock: Clock) -> OpenAiAdapter:
    """Return the adapter for Groq."""
    return GroqAdapter(clock, "max_tokens", MEANINGS)


def _has_name(message: JsonValue) -> bool:
    return is_object(message) and "name" in message


def _without_name(message: JsonValue) -> JsonValue:
    return {name: value for name, value in message.items() if name != "name"} if is_object(message) else message
