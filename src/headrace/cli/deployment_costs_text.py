"""Lays out what a deployment cost for a terminal; pure text of what the server answered."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.cli.replies import dollars, moment, number, part, text
from headrace.cli.session import columns
from headrace.domain.json_value import JsonObject


def deployment_costs_text(costs: JsonObject) -> str:
    """Return the costs of one deployment: replicas, busy and idle, tokens, and the twin."""
    head = f"{text(costs, 'name')}: {moment(text(costs, 'since'))} to {moment(text(costs, 'until'))}"
    return "\n\n".join((head, columns(list(_rows(costs)), frozenset({1, 2})), *_twin(costs, part(costs, "twin"))))


def _rows(costs: JsonObject) -> Iterator[tuple[str, str, str]]:
    yield "", "SECONDS", "COST"
    yield f"replicas ({number(costs, 'replicas')})", _seconds(costs, "replica"), _money(costs, "cost")
    share = costs.get("busy_share")
    yield (
        "busy" + (f" ({share:.1%})" if isinstance(share, float) else ""),
        _seconds(costs, "busy"),
        _money(costs, "busy"),
    )
    yield "idle", _seconds(costs, "idle"), _money(costs, "idle")


def _twin(costs: JsonObject, twin: JsonObject) -> Iterator[str]:
    price = text(costs, "effective_usd_per_mtok")
    requests = number(costs, "requests")
    served = (
        f"{requests:,} {'request' if requests == 1 else 'requests'}, {number(costs, 'input_tokens'):,} tokens read,"
        f" {number(costs, 'output_tokens'):,} written"
    )
    yield f"{served}: ${price} per million tokens" if price else served
    if not twin:
        return
    saved = number(twin, "saved_nano_usd")
    word = "saved" if saved >= 0 else "lost"
    whose = "its overflow" if twin.get("is_overflow") else "paid by the token"
    other = text(twin, "effective_usd_per_mtok")
    yield (
        f"{text(twin, 'model')} at {text(twin, 'provider')}, {whose}: {_money(twin, 'cost')}"
        f"{f', ${other} per million tokens' if other else ''}; {word} {dollars(abs(saved))}"
    )


def _seconds(costs: JsonObject, name: str) -> str:
    value = costs.get(f"{name}_seconds")
    return f"{value:,.1f}" if isinstance(value, int | float) else "-"


def _money(costs: JsonObject, name: str) -> str:
    return dollars(number(costs, f"{name}_nano_usd"))
