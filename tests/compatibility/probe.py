"""What every foreign client's program does alike: read its job, try each feature on each upstream, tell the outcome.

It runs in the environment of the client, so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

EMBEDDED = "embedded"
HELLO = "Hello from the fake upstream."
SEEN = "I see a picture."
ASK = "Say hello."
ASK_BOTH = "How is the weather in Oslo and Rome?"
ASK_WHY = "Think before you say hello."
THOUGHT = "I am greeted, so I greet."
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


class NotAskedError(Exception):
    """The feature makes no sense to ask of this upstream."""


class RefusedError(Exception):
    """The server refused where the client took its words for an answer."""

    status_code = 400


@dataclass(frozen=True)
class Target:
    """An upstream to call, by the names of its chat and embedding models."""

    upstream: str
    chat: str
    embedding: str

    @property
    def is_real(self) -> bool:
        """A real model answers as it likes; the fake upstreams answer to the letter."""
        return self.upstream == EMBEDDED


@dataclass(frozen=True)
class Job:
    """Where the server is and what to call there."""

    base_url: str
    api_key: str
    admin_token: str
    authority: str
    targets: tuple[Target, ...]


Feature: TypeAlias = Callable[[Target], None]


def read_job() -> Job:
    """Read the job from standard input."""
    fields: dict[str, Any] = json.load(sys.stdin)
    targets = tuple(Target(**each) for each in fields.pop("targets"))
    return Job(**fields, targets=targets)


def said(target: Target, text: object, expected: str = HELLO) -> None:
    """Expect the upstream's words, or any words of a real model."""
    if target.is_real:
        assert isinstance(text, str) and text.strip(), f"no text: {text!r}"
    else:
        assert text == expected, f"not the upstream's words: {text!r}"


def called(target: Target, calls: list[tuple[str, Any]], *cities: str) -> None:
    """Expect calls of `get_weather` for these cities, or one call for any city by a real model."""
    if target.is_real:
        assert [name for name, _ in calls] == ["get_weather"], f"not one call: {calls}"
        assert isinstance(calls[0][1]["city"], str)
    else:
        assert calls == [("get_weather", {"city": city}) for city in cities], f"not the upstream's calls: {calls}"


def only_to_the_letter(target: Target) -> None:
    """Leave a real model out: how many calls it makes is its own choice, not the server's."""
    if target.is_real:
        raise NotAskedError("a real model makes as many calls as it likes")


def thought(target: Target, reasoning: object) -> None:
    """Expect the upstream's reasoning."""
    assert reasoning == THOUGHT, f"not the upstream's reasoning: {reasoning!r} from {target.upstream}"


def only_of_a_thinker(target: Target) -> None:
    """Leave the small real model out: it writes answers only."""
    if target.is_real:
        raise NotAskedError("this model has no reasoning of its own")


def structured(target: Target, value: Mapping[str, Any]) -> None:
    """Expect an object of `SCHEMA`, and the upstream's own where it is not a real model's."""
    assert set(value) == {"city", "warm"} and isinstance(value["warm"], bool), f"not of the schema: {value}"
    assert target.is_real or value == {"city": "Oslo", "warm": False}, f"not the upstream's object: {value}"


def used(target: Target, input_tokens: object, output_tokens: object) -> None:
    """Expect the usage of an answer to `ASK`."""
    assert isinstance(input_tokens, int) and input_tokens > 0, f"input tokens: {input_tokens!r}"
    assert isinstance(output_tokens, int) and output_tokens > 0, f"output tokens: {output_tokens!r}"
    assert target.is_real or output_tokens == 5, f"output tokens: {output_tokens!r}"


def embedded(vectors: list[list[float]], count: int) -> None:
    """Expect that many vectors of one length."""
    assert len(vectors) == count and len({len(vector) for vector in vectors}) == 1 and len(vectors[0]) >= 8


def refuses_strangers(call: Callable[[], object], unauthorized: type[BaseException]) -> None:
    """Expect the client's own error of a wrong key."""
    try:
        call()
    except unauthorized:
        return
    raise AssertionError("a stranger was served")


def tell(surface: str, feature: str, upstream: str, outcome: str, detail: str = "") -> None:
    """Write the outcome of one cell: `served`, `refused`, `not asked` or `failed`."""
    cell = {"client": surface, "feature": feature, "upstream": upstream, "outcome": outcome, "detail": detail}
    sys.stdout.write(json.dumps(cell) + "\n")
    sys.stdout.flush()


def outcome_of(attempt: Callable[[], None]) -> tuple[str, str]:
    """Try something; a status 400 is a refusal, anything else that is raised a failure."""
    try:
        attempt()
    except NotAskedError as reason:
        return "not asked", str(reason)
    except Exception as error:  # noqa: BLE001 - whatever a foreign client raises is the finding
        words = " ".join(f"{type(error).__name__}: {error}".split())[:600]
        return ("refused" if getattr(error, "status_code", None) == 400 else "failed"), words
    return "served", ""


def report(surface: str, features: Mapping[str, Feature], job: Job) -> None:
    """Try every feature on every upstream."""
    for target in job.targets:
        for name, feature in features.items():
            outcome, detail = outcome_of(lambda feature=feature, target=target: feature(target))
            tell(surface, name, target.upstream, outcome, detail)
