"""Making images in OpenAI's form: the fields that we own, and where usage is found.

Source: OpenAI API reference, "Create image" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.call import Envelope
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.usage import Usage
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import optional_bool, optional_int, required_text, show
from headrace.wire.openai_usage import read_usage as read_openai_usage

MAX_IMAGES = 10


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of a request for images; raises InvalidRequest naming the field."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise InvalidRequest(f'"prompt" must be a non-empty string, not {show(prompt)}.', param="prompt")
    if optional_bool(body, "stream"):
        raise InvalidRequest('Images are not streamed here; leave "stream" out.', param="stream")
    return Envelope(
        model=required_text(body, "model"),
        stream=False,
        include_usage=False,
        output_cap=None,
        choices=optional_int(body, "n", 1, MAX_IMAGES) or 1,
        needs=frozenset(),
        body_bytes=body_bytes,
    )


def read_usage(answer: JsonObject) -> Usage | None:
    """Return the tokens of prompt and images, or None where the provider counts none."""
    usage = answer.get("usage")
    if not is_object(usage):
        return None
    renamed: JsonObject = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
    }
    return read_openai_usage(renamed)
