"""The tags of a request: what `x-headrace-tags`, `metadata` and `user` say; summing by them is the store's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonValue

HEADER = b"x-headrace-tags"
NAME = "x-headrace-tags"
MOST_TAGS = 16
LONGEST_NAME, LONGEST_VALUE = 64, 128
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/-]{{0,{LONGEST_NAME - 1}}}")
_VALUE = re.compile(rf"[ -~]{{1,{LONGEST_VALUE}}}")
_FORM = (
    f"at most {MOST_TAGS} tags separated by commas, each NAME or NAME=VALUE: a name of 1 to {LONGEST_NAME} letters, "
    f"digits and ._:/-, a value of 1 to {LONGEST_VALUE} visible ASCII characters"
)


def tags_of(values: Sequence[bytes], body: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return a request's tags, one for each name; the header goes before `metadata`, that before `user`.

    Raises InvalidRequest for a header of another form. What stands in the body and has no form of a tag is none: the
    body is the provider's to judge.
    """
    user, metadata = body.get("user"), body.get("metadata")
    if user is None and metadata is None and not values:
        return ()
    found: dict[str, str] = {}
    if isinstance(user, str):
        _take(found, "user", user)
    if isinstance(metadata, dict):
        for name, value in list(metadata.items())[:MOST_TAGS]:
            _take(found, name, value)
    return tuple(f"{name}={value}" if value else name for name, value in (found | _read_header(values)).items())


def _take(found: dict[str, str], name: str, value: JsonValue) -> None:
    if isinstance(value, str) and 0 < len(value) <= LONGEST_VALUE and value.isprintable() and _NAME.fullmatch(name):
        found[name] = value


def _read_header(values: Sequence[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    text = ",".join(value.decode("latin-1") for value in values)
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    for word in words:
        name, has_value, value = (part.strip() for part in word.partition("="))
        if not _NAME.fullmatch(name) or (has_value and not _VALUE.fullmatch(value)):
            raise _wrong(word)
        if found.setdefault(name, value) != value:
            raise InvalidRequest(
                f'The header "{NAME}" gives "{name}" two values, "{found[name]}" and "{value}"; give it one.',
                param=NAME,
            )
    if len(words) > MOST_TAGS:
        raise _wrong(f"{len(words)} tags")
    return found


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f'The header "{NAME}" must hold {_FORM}; not "{what[:80]}".', param=NAME)
