"""What a replay comes to as JSON, with what must be said of it; replaying is the services'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

from headrace.domain.controls import Compared
from headrace.domain.evaluation import Course
from headrace.domain.intervals import Interval
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.replay import Move, Replay
from headrace.wire.money_json import amount

SAME_TOKENS = (
    "Costs of models that did not answer are computed with the tokens of the one that did, at today's prices: another"
    " model may write more or less."
)
LAST_MESSAGE = (
    "Only the features of each request's last message are kept: follow-ups are decided here without what was said"
    " before."
)
NO_SESSIONS = "Sessions play no part: every model is taken to have the same share of the prompt cached."
ABILITIES = (
    "What a request needs of a model beside its length is not kept: a model that was not considered then is taken to be"
    " able."
)
NO_QUALITY = "Quality was not measured: nobody answered anew."


def replay_fields(replay: Replay, left_out: Mapping[str, int], *, has_tasks: bool) -> JsonObject:
    """Return what a replay comes to; amounts are sums over the requests that could be priced.

    Without tasks the moves are from model to model, and nothing abstains.
    """
    saved = replay.paid_nano - replay.cost_nano
    return {
        "redecided": replay.redecided,
        "left_out": {basis: left_out[basis] for basis in sorted(left_out)},
        "changed": replay.changed,
        "abstained": {"before": replay.abstained_before, "after": replay.abstained_after} if has_tasks else None,
        "moves": [_move(each) for each in replay.moves],
        "moves_left_out": replay.moves_left_out,
        "cost": {
            "requests": replay.priced,
            **amount("paid", replay.paid_nano),
            **amount("replayed", replay.cost_nano),
            **amount("saved", saved),
        },
        "compared": compared_object(replay.compared),
        "notes": list[JsonValue](_notes(replay, has_tasks=has_tasks)),
    }


def compared_object(compared: Compared) -> JsonValue:
    """Return the router's choices beside their controls, as sums over the same requests; None without any request."""
    if compared.own is None:
        return None
    return {
        "requests": compared.requests,
        "own": _course(compared.own, compared.requests),
        "controls": [_course(each, compared.requests) for each in compared.controls],
    }


def cover_note(compared: Compared, priced: int) -> Iterator[str]:
    """Yield what is to be said where the controls do not cover all that was priced."""
    if compared.requests < priced:
        yield f"The controls cover the newest {compared.requests:,} of these requests."


def interval_object(interval: Interval | None) -> JsonValue:
    """Return a figure with its 95 % interval."""
    return None if interval is None else cast("JsonObject", msgspec.to_builtins(interval))


def _course(course: Course, requests: int) -> JsonObject:
    return {
        "name": course.name,
        **amount("cost", round(course.cost_nano * requests)),
        "router_saves": course.saved,
        "quality": interval_object(course.quality),
    }


def _move(move: Move) -> JsonObject:
    return {
        "from": move.before,
        "to": move.after,
        "requests": move.requests,
        "newest": list[JsonValue](move.newest),
    }


def _notes(replay: Replay, *, has_tasks: bool) -> Iterator[str]:
    yield SAME_TOKENS
    if has_tasks:
        yield LAST_MESSAGE
    yield NO_SESSIONS
    yield ABILITIES
    yield from cover_note(replay.compared, replay.priced)
    yield NO_QUALITY
