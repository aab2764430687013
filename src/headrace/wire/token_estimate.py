"""About how many tokens a prompt has, from its JSON alone; never what a model counts."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import encode, is_object

BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1_600
_IMAGES = frozenset({"image", "image_url", "input_image"})


def estimated_tokens(prompt: JsonObject) -> int:
    """Return the estimate: four bytes of the prompt's JSON each, rounded up.

    An image counts as one of the largest size that is not scaled down, whatever its bytes.
    """
    images: list[JsonObject] = []
    bare = _without_images(prompt, images)
    return -(-len(encode(bare)) // BYTES_PER_TOKEN) + IMAGE_TOKENS * len(images)


def _without_images(value: JsonValue, images: list[JsonObject]) -> JsonValue:
    if isinstance(value, list):
        return [_without_images(each, images) for each in value]
    if not is_object(value):
        return value
    kind = value.get("type")
    if isinstance(kind, str) and kind in _IMAGES:
        images.append(value)
        return None
    return {name: _without_images(each, images) for name, each in value.items()}
