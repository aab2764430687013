"""A replay of a router in words: what was decided otherwise, and the cost beside the controls, never without notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.cli.replies import dollars, moment, number, part, parts, text, words
from headrace.cli.session import columns
from headrace.domain.json_value import JsonObject
from headrace.domain.router import MANAGED_ROUTER, PREFIX

SHOWN_MOVES = 20
NO_TASK = "(no task)"
NOBODY = "(nobody)"
COSTS = ("{requests} REQUESTS", "COST", "ROUTER SAVES", "QUALITY")


def replay_text(replay: JsonObject) -> str:
    """Return a replay."""
    blocks = ["\n".join(_heading(replay))]
    moves = [each for each in parts(replay, "moves") if each.get("from") != each.get("to")]
    if moves:
        blocks.append(_moves(moves, NOBODY if replay.get("abstained") is None else NO_TASK))
    blocks += costs_text(part(replay, "compared"), [("paid then", number(part(replay, "cost"), "paid_nano_usd"))])
    blocks.append("\n".join(words(replay.get("notes"))))
    return "\n\n".join(each for each in blocks if each)


def costs_text(compared: JsonObject, before: Sequence[tuple[str, int]] = ()) -> list[str]:
    """Return the costs of a router beside its controls, after other sums in nano-dollars; nothing without a request."""
    own = part(compared, "own")
    if not own:
        return []
    headings = (COSTS[0].format(requests=f"{number(compared, 'requests'):,}"), *COSTS[1:])
    rows = [headings, *((name, dollars(nano), "", "") for name, nano in before)]
    rows += [_course(each) for each in (own, *parts(compared, "controls"))]
    return [columns(rows, frozenset({1, 2}))]


def share_text(share: JsonObject) -> str:
    """Return a share with its interval, in percent."""
    found = _figures(share)
    return "-" if found is None else f"{found[0]:.1%} ({found[1] * 100:.1f}-{found[2] * 100:.1f})"


def written_name(router: str) -> str:
    """Return a router's name as callers write it."""
    return router if router == MANAGED_ROUTER else PREFIX + router


def _heading(replay: JsonObject) -> Iterator[str]:
    done, known = number(replay, "redecided"), number(replay, "requests")
    what = " as the draft would have it" if replay.get("draft") is True else ""
    if text(replay, "routing_preference"):
        what = f" for {text(replay, 'routing_preference')}"
    since, until = moment(text(replay, "since")), moment(text(replay, "until"))
    yield f"{written_name(text(replay, 'router'))}{what}: {since} to {until}"
    changed = number(replay, "changed")
    share = f" ({changed / done:.1%})" if done else ""
    where = "model" if replay.get("abstained") is None else "route"
    facts = [f"{known:,} requests", f"decided anew {done:,}", f"another {where} {changed:,}{share}"]
    abstained = part(replay, "abstained")
    if abstained:
        facts.append(f"no task {number(abstained, 'before'):,}, now {number(abstained, 'after'):,}")
    yield "   ".join(facts)
    left_out = part(replay, "left_out")
    if left_out:
        counts = ", ".join(f"{basis} {number(left_out, basis):,}" for basis in left_out)
        yield f"not decided anew, because the prompt was not read or nobody served: {counts}"


def _moves(moves: Sequence[JsonObject], nothing: str) -> str:
    rows = [("FROM", "TO", "REQUESTS", "NEWEST")]
    rows += [
        (
            text(each, "from", nothing),
            text(each, "to", nothing),
            f"{number(each, 'requests'):,}",
            ", ".join(words(each.get("newest"))),
        )
        for each in moves[:SHOWN_MOVES]
    ]
    more = [f"… and {len(moves) - SHOWN_MOVES} more: --json has them."] if len(moves) > SHOWN_MOVES else []
    return "\n".join([columns(rows, frozenset({2})), *more])


def _course(course: JsonObject) -> tuple[str, str, str, str]:
    saves, quality = course.get("router_saves"), part(course, "quality")
    saved = f"{saves:+.0%}" if isinstance(saves, int | float) else ""
    return text(course, "name"), dollars(number(course, "cost_nano_usd")), saved, quality_text(quality)


def quality_text(quality: JsonObject) -> str:
    """Return what answers were worth with its interval, or nothing where nobody judged them."""
    found = _figures(quality)
    return "" if found is None else f"{found[0]:.3f} ({found[1]:.3f}-{found[2]:.3f})"


def _figures(interval: JsonObject) -> tuple[float, float, float] | None:
    found = [each for each in map(interval.get, ("value", "low", "high")) if isinstance(each, int | float)]
    return (found[0], found[1], found[2]) if len(found) == 3 else None
