"""What a request says about substitutes, in `models` and `x-headrace-fallback`; choosing among them is resolve's."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.wire.openai_chat import MAX_NAME_CHARS, show

MAX_FALLBACKS = 8
HEADER = b"x-headrace-fallback"


def take_fallbacks(body: JsonObject) -> tuple[str, ...]:
    """Take `models` out of the body, which no upstream understands as ours, and return it; raises InvalidRequest."""
    names = body.pop("models", None)
    if names is None:
        return ()
    if not isinstance(names, list) or not 1 <= len(names) <= MAX_FALLBACKS:
        raise InvalidRequest(
            f'"models" must be an array of 1 to {MAX_FALLBACKS} model names to try after "model", not {show(names)}.',
            param="models",
        )
    texts = tuple(name for name in names if isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS)
    if len(texts) != len(names):
        raise InvalidRequest('Every entry of "models" must be a model\'s name.', param="models")
    return texts


def may_substitute(values: list[bytes]) -> bool:
    """Return whether another model may answer, by the values of the header; raises InvalidRequest."""
    if not values:
        return True
    said = {value.strip().lower() for value in values}
    if not said <= {b"on", b"off"} or len(said) > 1:
        raise InvalidRequest('The header x-headrace-fallback must be "on" or "off".', param="x-headrace-fallback")
    return said != {b"off"}
