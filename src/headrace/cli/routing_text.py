"""What a router decided, in words: lines of a receipt, and the answer to the question who would serve a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from types import MappingProxyType

from headrace.cli.replies import number, part, parts, short_dollars, text
from headrace.domain.json_value import JsonObject

MOST_NAMED, MOST_EXCLUDED = 3, 4
WIDTH = 80
LABEL = 13
NOBODY = "nobody"
BASES: Mapping[str, str] = MappingProxyType(
    {
        "no_match": "no task matched",
        "no_text": "no text to match",
        "tool_loop": "a tool's result goes on with the turn before",
        "affinity": "nothing to read; the session goes on",
        "switch_vetoed": "the session stays with its warm cache",
        "managed": "managed",
        "unread": "the prompt could not be read",
    }
)
WHY_NOT: Mapping[str, str] = MappingProxyType(
    {
        "model_forbidden": "not for this key",
        "model_not_found": "gone from the catalog",
        "model_unavailable": "not callable",
        "model_unpriced": "no price",
        "output_cap_too_large": "writes less",
        "context_length_exceeded": "context too short",
        "over_max_cost": "over the router's limit",
        "breaker_open": "failed just now",
        "upstream_rate_limited": "rate limited",
        "upstream_auth_failed": "key refused",
        "upstream_quota_exhausted": "out of quota",
    }
)


def routing_lines(routing: JsonObject) -> list[str]:
    """Return the lines of a receipt that tell of the route, the pool and who was left out."""
    lines = _labelled("route", _route(routing))
    ranked = ranked_of(routing)
    if ranked:
        lines += _labelled("pool", _pool(routing, ranked))
    left_out = excluded_of(routing)
    if left_out:
        lines += _labelled("", f"excluded: {'; '.join(_left_out(left_out))}")
    return lines


def saved_words(receipt: JsonObject) -> str:
    """Return what a receipt's router saved and against whom; nothing where that is unknown, or is who served."""
    routing = part(receipt, "routing")
    dearest = text(part(routing, "reference"), "model")
    if not dearest or dearest == text(receipt, "served_by") or routing.get("saved_nano_usd") is None:
        return ""
    return f"saved against {dearest}: {short_dollars(routing, 'saved')}"


def explained(decision: JsonObject) -> str:
    """Return who would serve a prompt and why, in a line, and who would not in another."""
    ranked, score = ranked_of(decision), _score(decision, "score")
    route = text(decision, "route") or BASES.get(text(decision, "basis"), "no task matched")
    took = f"{_milliseconds(decision)} ms, nothing was called"
    line = f"{' '.join(filter(None, (route, score)))} → {text(decision, 'model', NOBODY)}"
    if ranked:
        first, others = _expected(ranked[0], decision), [_named(each, decision) for each in ranked[1:MOST_NAMED]]
        line += f" ({'; '.join([f'{_policy(decision)}: {first} expected', *others])})"
    lines = [f"{line}    {took}"]
    if not decision.get("route") and decision.get("likeliest"):
        lines.append(f"likeliest task: {text(decision, 'likeliest')}")
    lines += [f"excluded: {each}" for each in _left_out(excluded_of(decision))]
    return "\n".join([*lines, text(decision, "reason")])


def ranked_of(routing: JsonObject) -> list[JsonObject]:
    """Return the candidates that may be asked, in order."""
    ranked = [each for each in parts(routing, "candidates") if each.get("rank") is not None]
    return sorted(ranked, key=lambda each: number(each, "rank"))


def excluded_of(routing: JsonObject) -> list[JsonObject]:
    """Return the candidates that get no request."""
    return [each for each in parts(routing, "candidates") if each.get("rank") is None]


def _route(routing: JsonObject) -> str:
    route, score, basis = text(routing, "route"), _score(routing, "score"), text(routing, "basis")
    notes: list[str] = []
    if basis in BASES:
        notes.append(BASES[basis])
    if not route and routing.get("likeliest"):
        notes.append(f"likeliest {text(routing, 'likeliest')}")
    runner_up = part(routing, "runner_up")
    if runner_up:
        notes.append(f"runner-up {text(runner_up, 'route')} {_score(runner_up, 'score')}")
    if routing.get("closest_example") is not None:
        notes.append(f"example {text(routing, 'closest_example')} was closest")
    told = f"  ({'; '.join(notes)})" if notes else ""
    return f"{'  '.join(filter(None, (route or 'none', score)))}{told}"


def _pool(routing: JsonObject, ranked: Sequence[JsonObject]) -> str:
    first, *others = ranked[:MOST_NAMED]
    named = [
        f"{text(first, 'model')} {_expected(first, routing)} expected",
        *(_named(each, routing) for each in others),
    ]
    more = ", …" if len(ranked) > MOST_NAMED else ""
    return f"{_policy(routing)} of {len(ranked)}: {', '.join(named)}{more}"


def _policy(routing: JsonObject) -> str:
    policy = text(routing, "policy")
    return {"none": "first", "fallback": "fallback"}.get(policy, policy)


def _named(candidate: JsonObject, routing: JsonObject) -> str:
    return f"{text(candidate, 'model')} {_expected(candidate, routing)}"


def _expected(candidate: JsonObject, routing: JsonObject) -> str:
    seconds = candidate.get("expected_seconds")
    if text(routing, "policy") == "fastest":
        return f"{seconds:.2f} s" if isinstance(seconds, int | float) else "unmeasured"
    return short_dollars(candidate, "expected_cost")


def _left_out(excluded: Sequence[JsonObject]) -> list[str]:
    """Return models with the reason that they share, each once, however many providers have it."""
    by_reason: dict[str, dict[str, None]] = {}
    for each in excluded:
        by_reason.setdefault(_why_not(each), {})[text(each, "model")] = None
    return [f"{_first_of(list(models))} ({why})" for why, models in by_reason.items()]


def _first_of(names: Sequence[str]) -> str:
    more = len(names) - MOST_EXCLUDED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:MOST_EXCLUDED])} and {more} more"


def _why_not(candidate: JsonObject) -> str:
    code, reason = text(candidate, "code"), text(candidate, "reason")
    if code == "unsupported_by_model":
        return f"no {reason.rpartition(': ')[2].rstrip('.')}"
    return WHY_NOT.get(code, code)


def _score(item: JsonObject, name: str) -> str:
    value = item.get(name)
    return f"{value:.2f}" if isinstance(value, int | float) else ""


def _milliseconds(decision: JsonObject) -> str:
    value = decision.get("decided_ms")
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def _labelled(label: str, value: str) -> list[str]:
    first, *others = wrap(value, WIDTH - LABEL, break_long_words=False)
    return [f"{label.ljust(LABEL)}{first}", *(f"{'':{LABEL}}{each}" for each in others)]
