"""A router's savings in words, never without what is to be said of quality."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.cli.replay_text import NO_TASK, costs_text, share_text, written_name
from headrace.cli.replies import dollars, moment, number, part, parts, text, words
from headrace.cli.session import columns
from headrace.domain.json_value import JsonObject

HEADINGS = ("ROUTE", "MODEL", "REQUESTS", "PAID", "REFERENCE", "SAVED")


def savings_text(savings: JsonObject) -> str:
    """Return what a router's requests cost and saved."""
    blocks = ["\n".join(_heading(savings))]
    groups = parts(savings, "groups")
    if groups:
        blocks.append(columns([HEADINGS, *map(_row, groups)], frozenset({2, 3, 4, 5})))
    blocks += costs_text(part(savings, "compared"))
    blocks.append("\n".join(words(savings.get("notes"))))
    return "\n\n".join(blocks)


def _heading(savings: JsonObject) -> Iterator[str]:
    since, until = moment(text(savings, "since")), moment(text(savings, "until"))
    yield f"{written_name(text(savings, 'router'))}: {since} to {until}"
    facts = [f"{number(savings, 'requests'):,} requests", f"served {number(savings, 'served'):,}"]
    if savings.get("matched") is not None:
        facts.append(f"matched {share_text(part(savings, 'matched'))}")
    if savings.get("fallback") is not None:
        facts.append(f"by fallback models {share_text(part(savings, 'fallback'))}")
    yield "   ".join(facts)
    saved = part(savings, "saved")
    if number(saved, "requests"):
        paid, reference = (dollars(number(saved, f"{name}_nano_usd")) for name in ("paid", "reference"))
        yield f"paid {paid}, with the dearest models {reference}: saved {_share(saved)}"


def _row(group: JsonObject) -> tuple[str, ...]:
    saved = part(group, "saved")
    return (
        text(group, "route", NO_TASK),
        text(group, "model"),
        f"{number(group, 'requests'):,}",
        dollars(number(group, "paid_nano_usd")),
        dollars(number(saved, "reference_nano_usd")) if number(saved, "requests") else "-",
        _share(saved),
    )


def _share(saved: JsonObject) -> str:
    share = saved.get("share")
    return f"{share:.0%}" if isinstance(share, int | float) else "-"
