"""Images, audio and files in a prompt: how many, and how much of the body is their own bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.domain.call import NO_MEDIA, Media
from headrace.domain.catalog import Capability
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object

MEDIA_NEEDS = frozenset({Capability.IMAGE_INPUT, Capability.AUDIO_INPUT, Capability.FILE_INPUT})
PARTS: Mapping[str, Capability] = {
    "image_url": Capability.IMAGE_INPUT,
    "input_image": Capability.IMAGE_INPUT,
    "image": Capability.IMAGE_INPUT,
    "input_audio": Capability.AUDIO_INPUT,
    "file": Capability.FILE_INPUT,
    "input_file": Capability.FILE_INPUT,
    "document": Capability.FILE_INPUT,
}
TEXT_SOURCES = ("text", "content")
_BASE64_KEYS = ("data", "file_data")
_DATA_URL = "data:"


def media_in(prompt: JsonValue, needs: frozenset[Capability]) -> Media:
    """Return the media of a prompt in any dialect; what the request does not need is not looked for."""
    if needs.isdisjoint(MEDIA_NEEDS):
        return NO_MEDIA
    parts = list(_parts(prompt))
    kinds = [PARTS[str(each["type"])] for each in parts]
    return Media(
        images=kinds.count(Capability.IMAGE_INPUT),
        audios=kinds.count(Capability.AUDIO_INPUT),
        files=kinds.count(Capability.FILE_INPUT),
        inline_bytes=sum(_inline_bytes(value, name) for each in parts for name, value in each.items()),
    )


def _parts(value: JsonValue) -> Iterator[JsonObject]:
    if isinstance(value, list):
        for each in value:
            yield from _parts(each)
    elif is_object(value):
        if value.get("type") in PARTS and not _is_text(value):
            yield value
        else:
            for each in value.values():
                yield from _parts(each)


def _is_text(part: JsonObject) -> bool:
    source = part.get("source")
    return part.get("type") == "document" and is_object(source) and source.get("type") in TEXT_SOURCES


def _inline_bytes(value: JsonValue, name: str) -> int:
    if is_object(value):
        return sum(_inline_bytes(each, inner) for inner, each in value.items())
    if not isinstance(value, str):
        return 0
    if value.startswith(_DATA_URL):
        return len(value) - value.find(",") - 1
    return len(value) if name in _BASE64_KEYS else 0
