"""Takes secrets out of log entries: by the name of the field, and by the look of what is in any text."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

HIDDEN = "[hidden]"
SECRET_FIELDS = frozenset(
    {
        "admin_token", "api_key", "authorization", "body", "content", "cookie", "credential", "input", "messages",
        "output", "password", "pepper", "prompt", "secret", "secret_key", "token", "x-api-key",
    }
)  # fmt: skip
MAX_DEPTH = 4

_PATTERNS = (
    (re.compile(r"\b(hra?_[0-9A-Za-z]{12})_[0-9A-Za-z]{8,}"), r"\1_" + HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",;]{6,}"), r"\1 " + HIDDEN),
    (re.compile(r"\b(sk|pk|rk|xai|gsk|dop_v1|doo_v1|hf|AIza)([-_])[0-9A-Za-z_-]{8,}"), r"\1\2" + HIDDEN),
    (re.compile(r"\b(whsec_)[0-9A-Za-z+/=_-]{8,}"), r"\1" + HIDDEN),
    (re.compile(r"(?i)\b(password\s*=\s*)('[^']*'|[^\s'&]+)"), r"\1" + HIDDEN),
    (re.compile(r"(?<=://)[^/\s@]+@"), HIDDEN + "@"),
)


# Most texts hold none of these, and one search is cheaper than every pattern.
_SUSPECT = re.compile(r"(?i)hra?_|bearer|basic|://|whsec_|password|\b(?:sk|pk|rk|xai|gsk|dop_v1|doo_v1|hf|aiza)[-_]")


def redact_text(text: str) -> str:
    """Return the text without what looks like a credential."""
    if _SUSPECT.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_entry(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: return the entry with its secrets hidden."""
    for name in tuple(entry):
        entry[name] = _redacted(name, entry[name], MAX_DEPTH)
    return entry


def _redacted(name: str, value: object, depth: int) -> object:
    if name.casefold() in SECRET_FIELDS:
        return HIDDEN
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    return _redacted_nested(value, depth)


def _redacted_nested(value: object, depth: int) -> object:
    if depth and isinstance(value, Mapping):
        return {str(key): _redacted(str(key), each, depth - 1) for key, each in _items(value)}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", each, depth - 1) for each in _members(value)]
    return redact_text(str(value))


def _items(value: Any) -> list[tuple[object, object]]:
    return list(value.items())


def _members(value: Any) -> list[object]:
    return list(value)
