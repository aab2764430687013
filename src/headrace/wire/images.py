"""Making images in OpenAI's form: the fields that we own, and where usage is found.

Source: OpenAI API reference, "Create image" (read 2026-11-24).
"""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.call import Envelope
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.usage import UnitClass, Usage, rare
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import optional_bool, optional_int, show, whole_envelope
from headrace.wire.openai_usage import read_usage as read_openai_usage

MAX_IMAGES = 10


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of a request for images; raises InvalidRequest naming the field."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise InvalidRequest(f'"prompt" must be a non-empty string, not {show(prompt)}.', param="prompt")
    if optional_bool(body, "stream"):
        raise InvalidRequest('Images are not streamed here; leave "stream" out.', param="stream")
    images = optional_int(body, "n", 1, MAX_IMAGES) or 1
    return whole_envelope(body, body_bytes, images, ((UnitClass.IMAGE, images),))


def read_usage(answer: JsonObject) -> Usage | None:
    """Return the images in the answer, and the tokens of prompt and images where the provider counts them, or None.

    Tokens of the answer are an image's unless the provider says that they are text.
    """
    data, usage = answer.get("data"), answer.get("usage")
    images = len(data) if isinstance(data, list) else 0
    tokens = read_openai_usage(_as_chat(usage)) if is_object(usage) else None
    if tokens is None and not images:
        return None
    found = tokens or Usage()
    return replace(found, more=rare({**dict(found.more), UnitClass.IMAGE: images}))


def _as_chat(usage: JsonObject) -> JsonObject:
    output, taken = usage.get("output_tokens"), usage.get("output_tokens_details")
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens": output,
        "completion_tokens_details": taken if is_object(taken) else {"image_tokens": output},
        "total_tokens": usage.get("total_tokens"),
    }
