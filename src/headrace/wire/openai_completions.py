"""OpenAI text completions, for clients that still use them: reading the fields that we own from a request.

Source: OpenAI API reference, "Completions (legacy)" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.call import Envelope
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.wire.openai_chat import MAX_CHOICES, include_usage, optional_bool, optional_int, required_text

DEFAULT_OUTPUT_TOKENS = 16
MAX_PROMPTS = 256


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of a text completion; every prompt makes its own `n` choices."""
    stream = optional_bool(body, "stream")
    each = optional_int(body, "n", 1, MAX_CHOICES) or 1
    if (optional_int(body, "best_of", 1, MAX_CHOICES) or each) != each:
        raise InvalidRequest('"best_of" may only equal "n": choices that nobody sees are not bought.', param="best_of")
    needs = {Capability.COMPLETIONS}
    if optional_int(body, "logprobs", 0, 20) is not None:
        needs.add(Capability.LOGPROBS)
    return Envelope(
        model=required_text(body, "model"),
        stream=stream,
        include_usage=include_usage(body, stream),
        output_cap=optional_int(body, "max_tokens", 1, 2**31 - 1) or DEFAULT_OUTPUT_TOKENS,
        choices=each * _prompts(body),
        needs=frozenset(needs),
        body_bytes=body_bytes,
    )


def _prompts(body: JsonObject) -> int:
    prompt = body.get("prompt")
    if isinstance(prompt, str) and prompt:
        return 1
    if not isinstance(prompt, list) or not prompt:
        raise InvalidRequest('"prompt" must be a non-empty string or a non-empty array.', param="prompt")
    kinds = {type(each) for each in prompt}
    if len(kinds) != 1 or not kinds <= {str, int, list}:
        raise InvalidRequest('"prompt" must hold strings, or tokens, or arrays of tokens: one kind.', param="prompt")
    if kinds == {int}:
        return 1
    if len(prompt) > MAX_PROMPTS:
        raise InvalidRequest(
            f'"prompt" holds {len(prompt)} prompts; at most {MAX_PROMPTS} are allowed.', param="prompt"
        )
    return len(prompt)
