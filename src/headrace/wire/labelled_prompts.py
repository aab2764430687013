"""Labelled prompts, one JSON object a line: what a router is evaluated with; deciding and judging are not here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.errors import ConfigInvalid, InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import decode_object, is_object

MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class LabelledPrompt:
    """A conversation and its right route, None where nothing should match; `outcomes` are what answers were worth.

    Outcomes are by model id, each from 0 to 1.
    """

    messages: tuple[JsonObject, ...]
    route: str | None
    outcomes: Mapping[str, float]


def read_labelled(file: str, text: str) -> tuple[LabelledPrompt, ...]:
    """Return the prompts of a file; raises ConfigInvalid naming the line, what is wrong with it and the fix.

    A line holds `prompt` (a text) or `messages` (as in a chat request), `route` (a task's slug, or null), and may hold
    `outcomes`. What else it holds is left alone.
    """
    found: list[LabelledPrompt] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if len(found) == MOST_ROWS:
            raise ConfigInvalid(f"{file}:{number}: more than {MOST_ROWS} prompts. Split the file.")
        try:
            found.append(_labelled(decode_object(line.encode("utf-8", "surrogatepass"))))
        except InvalidRequest as error:
            raise ConfigInvalid(f"{file}:{number}: {error.message}") from error
    if not found:
        raise ConfigInvalid(f'{file} has no prompt. Write lines like {{"prompt": "…", "route": "refund"}}.')
    return tuple(found)


def _labelled(row: JsonObject) -> LabelledPrompt:
    if "route" not in row:
        raise InvalidRequest('"route" is missing: write the right task\'s slug, or null where nothing should match.')
    route = row["route"]
    if route is not None and (not isinstance(route, str) or not route):
        raise InvalidRequest('"route" must be a task\'s slug or null.')
    return LabelledPrompt(_messages(row), route, _outcomes(row.get("outcomes")))


def _messages(row: JsonObject) -> tuple[JsonObject, ...]:
    prompt, messages = row.get("prompt"), row.get("messages")
    if (prompt is None) == (messages is None):
        raise InvalidRequest('Write either "prompt" or "messages".')
    if prompt is not None:
        if not isinstance(prompt, str):
            raise InvalidRequest('"prompt" must be a text.')
        return ({"role": "user", "content": prompt},)
    listed = messages if isinstance(messages, list) else []
    found = tuple(each for each in listed if is_object(each))
    if not found or len(found) != len(listed):
        raise InvalidRequest('"messages" must be a list of messages, each an object with role and content.')
    return found


def _outcomes(value: JsonValue) -> dict[str, float]:
    if value is None:
        return {}
    found: dict[str, float] = {}
    for name, worth in value.items() if is_object(value) else ():
        if isinstance(worth, int | float) and 0 <= worth <= 1:
            found[name] = float(worth)
    if not is_object(value) or len(found) != len(value):
        raise InvalidRequest('"outcomes" must be an object of numbers from 0 to 1 by model id.')
    return found
