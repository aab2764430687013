"""What people type for a deployment's numbers, as the API has them: bounds, durations, targets, overflows, names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject

_SCALE = re.compile(r"(\d{1,6})(?::(\d{1,6}))?")
_DURATION = re.compile(r"(\d{1,9})(s|m|h)?")
_TARGET = re.compile(r"(?:queue:(?P<queue>\d{1,9})|ttft:(?P<number>\d{1,6}(?:\.\d{1,3})?)(?P<unit>ms|s)?)")
_OVERFLOW = re.compile(r"(?P<model>.+?)(?::(?P<limit>\d{1,9}))?")
_SECONDS: Mapping[str | None, int] = {None: 1, "s": 1, "m": 60, "h": 3_600}
_UNNAMED = re.compile(r"[^a-zA-Z0-9_-]+")
MILLIS = 1_000
SUFFIX = "-dedicated"


def bounds(text: str) -> JsonObject:
    """Return the bounds that `0:4`, or `2` for always two, says; raises ConfigInvalid."""
    found = _SCALE.fullmatch(text)
    if found is None:
        raise _usage("--scale", text, "0:4 (from none to four replicas), or 2 (always two)")
    least, most = int(found[1]), int(found[2] or found[1])
    if least > most:
        raise ConfigInvalid(
            f"--scale {text}: the bounds are reversed. Write {most}:{least}, the fewest replicas first.", code="usage"
        )
    return {"min_scale": least, "max_scale": most}


def seconds(flag: str, text: str) -> int:
    """Return a duration like 90, 90s, 10m or 1h in seconds; raises ConfigInvalid naming the flag."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise _usage(flag, text, "a duration like 90s, 10m or 1h")
    return int(found[1]) * _SECONDS[found[2]]


def target(text: str) -> JsonObject:
    """Return the target that `queue:2` or `ttft:500ms` says; raises ConfigInvalid."""
    found = _TARGET.fullmatch(text)
    if found is None:
        raise _usage("--target", text, "queue:2 (requests for each replica) or ttft:500ms (to the first token)")
    if found["queue"] is not None:
        return {"metric": "queue_depth", "value": int(found["queue"])}
    millis = float(found["number"]) * (MILLIS if found["unit"] == "s" else 1)
    return {"metric": "first_token_ms", "value": round(millis)}


def overflow(text: str) -> JsonObject:
    """Return the overflow that `MODEL:LIMIT`, or `MODEL` at once, says; raises ConfigInvalid."""
    found = _OVERFLOW.fullmatch(text)
    if found is None:
        raise _usage("--overflow", text, "MODEL:LIMIT, like gpt-5:2")
    return {"model": found["model"], "limit": int(found["limit"] or 0)}


def name_for(model: str) -> str:
    """Return a name for a deployment of a model, which is not the model's own."""
    base = _UNNAMED.sub("-", model.rpartition("/")[2]).strip("-")
    return f"{base or 'model'}{SUFFIX}"


def _usage(flag: str, text: str, wanted: str) -> ConfigInvalid:
    return ConfigInvalid(f"{flag} {text[:80]}: write {wanted}.", code="usage")
