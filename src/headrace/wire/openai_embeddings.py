"""OpenAI embeddings: reading the fields that we own from a request.

Source: OpenAI API reference, "Create embeddings" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.call import Envelope
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.wire.openai_chat import show, whole_envelope

MAX_INPUTS = 2048


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of an embeddings request; raises InvalidRequest naming the field."""
    _check_input(body)
    encoding = body.get("encoding_format")
    if encoding not in (None, "float", "base64"):
        raise InvalidRequest(
            f'"encoding_format" must be "float" or "base64", not {show(encoding)}.', param="encoding_format"
        )
    return whole_envelope(body, body_bytes)


def _check_input(body: JsonObject) -> None:
    value = body.get("input")
    if isinstance(value, str) and value:
        return
    if not isinstance(value, list) or not value:
        raise InvalidRequest('"input" must be a non-empty string or a non-empty array.', param="input")
    if len(value) > MAX_INPUTS and not isinstance(value[0], int):
        raise InvalidRequest(f'"input" holds {len(value)} items; at most {MAX_INPUTS} are allowed.', param="input")
    kinds = {type(each) for each in value}
    if len(kinds) != 1 or kinds.pop() not in (str, int, list):
        raise InvalidRequest('"input" must hold strings, or tokens, or arrays of tokens: one kind.', param="input")
