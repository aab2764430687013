"""`headrace teams`: keys that are billed together, and the balances that they paid in advance."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, given, segment
from headrace.cli.replies import moment, number, part, parts, short_dollars, text
from headrace.cli.session import columns, listing
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.json_value import JsonObject

PATH = "/v2/teams"
AMOUNTS = frozenset({2})


@asks_server
def create(client: ApiClient, name: str, /, *, prepaid: Annotated[bool, Parameter(negative="")] = False) -> Told:
    """Create a team. `headrace keys create --team NAME` creates its keys.

    Parameters
    ----------
    name:
        What to call the team.
    prepaid:
        The team pays in advance. Its priced calls stop when the balance is used up.
    """
    reply = client.send("POST", PATH, "admin", {"name": name, "prepaid": prepaid})
    typed = shlex.quote(name)
    made = f'Team "{name}" is there. Make a key for it: headrace keys create NAME --team {typed}'
    more = f"\nIts balance is zero. Top it up: headrace teams top-up {typed} --usd 100" if prepaid else ""
    return Told(reply, made + more)


@asks_server
def list_teams(client: ApiClient) -> Told:
    """List teams, how they pay, and their prepaid balances."""
    reply = client.get(PATH, "admin")
    rows = [("NAME", "PAYS", "LEFT", "CREATED"), *(_row(each) for each in parts(reply, "teams"))]
    return Told(reply, columns(rows, AMOUNTS))


@asks_server
def show(client: ApiClient, name: str, /) -> Told:
    """Show a team and its balance.

    Parameters
    ----------
    name:
        The team.
    """
    reply = client.get(f"{PATH}/{segment(name)}", "admin")
    team = part(reply, "team")
    told = _balance(part(team, "balance"))
    if team.get("prepaid") is not True and not number(part(team, "balance"), "paid_nano_usd"):
        told = f"What it used: headrace usage --team {shlex.quote(name)}"
    return Told(reply, f'Team "{text(team, "name")}" pays {_pays(team)}. {told}')


@asks_server
def set_team(client: ApiClient, name: str, /, *, prepaid: bool) -> Told:
    """Change how a team pays, from the next call. Its balance and spending stay.

    Parameters
    ----------
    name:
        The team.
    prepaid:
        Pay in advance: priced calls stop when the balance is used up. --no-prepaid: pay afterwards.
    """
    reply = client.send("PATCH", f"{PATH}/{segment(name)}", "admin", {"prepaid": prepaid})
    team = part(reply, "team")
    line = f'Team "{text(team, "name")}" pays {_pays(team)} from the next call on.'
    if prepaid:
        line += f" {_balance(part(team, 'balance'))}\nTop it up: headrace teams top-up {shlex.quote(name)} --usd 100"
    return Told(reply, line)


@asks_server
def delete(client: ApiClient, name: str, /) -> Told:
    """Delete an empty team: one without keys, deployments, budgets, rate limits and balance.

    Parameters
    ----------
    name:
        The team.
    """
    reply = client.send("DELETE", f"{PATH}/{segment(name)}", "admin")
    return Told(reply, f'Team "{name}" is forgotten; its receipts and entries stay.')


@asks_server
def top_up(client: ApiClient, name: str, /, *, usd: str, note: str | None = None, reference: str | None = None) -> Told:
    """Book a payment to a team's prepaid balance.

    Parameters
    ----------
    name:
        The team.
    usd:
        The amount in US dollars, such as 100.
    note:
        A note for the books.
    reference:
        A unique reference such as an invoice number. The same reference is booked once.
    """
    return _paid(client, name, _payment("top_up", usd, note, reference))


@asks_server
def adjust(
    client: ApiClient,
    name: str,
    /,
    *,
    usd: Annotated[str, Parameter(allow_leading_hyphen=True)],
    note: str | None = None,
    reference: str | None = None,
) -> Told:
    """Correct a team's prepaid balance, up or down.

    Parameters
    ----------
    name:
        The team.
    usd:
        The change in US dollars. -5 takes five away.
    note:
        A note for the books.
    reference:
        A unique reference. The same reference is booked once.
    """
    return _paid(client, name, _payment("adjustment", usd, note, reference))


@asks_server
def transfers(client: ApiClient, name: str, /, *, limit: int = 100) -> Told:
    """List payments and corrections, newest first.

    Parameters
    ----------
    name:
        The team.
    limit:
        How many to show.
    """
    reply = client.get(f"{PATH}/{segment(name)}/transfers?limit={limit}", "admin")
    headings = ("AT", "KIND", "USD", "REFERENCE", "NOTE")
    empty = f"Nothing was paid in. Top it up: headrace teams top-up {shlex.quote(name)} --usd 100"
    return Told(reply, listing(headings, map(_moved, parts(reply, "transfers")), empty, frozenset({2})))


def _payment(kind: str, usd: str, note: str | None, reference: str | None) -> JsonObject:
    return given(kind=kind, amount_usd=usd, note=note, reference=reference)


def _paid(client: ApiClient, name: str, body: JsonObject) -> Told:
    reply = client.send("POST", f"{PATH}/{segment(name)}/transfers", "admin", body)
    usd = text(body, "amount_usd")
    booked = f"-${usd[1:]}" if usd.startswith("-") else f"${usd}"
    return Told(reply, f"Booked {booked}. {_balance(part(reply, 'balance'))}")


def _balance(balance: JsonObject) -> str:
    paid, spent, held, left = (short_dollars(balance, name) for name in ("paid", "spent", "held", "left"))
    return f"Balance: {left} left of {paid} paid in; {spent} spent, {held} held for running calls."


def _pays(team: JsonObject) -> str:
    return "in advance" if team.get("prepaid") is True else "afterwards"


def _row(team: JsonObject) -> tuple[str, str, str, str]:
    created = text(team, "created_at")
    left = short_dollars(part(team, "balance"), "left") if "balance" in team else "-"
    return text(team, "name"), _pays(team), left, moment(created)[:10] if created else "-"


def _moved(entry: JsonObject) -> tuple[str, ...]:
    sign = "-" if text(entry, "credit") in {"cash", "adjustments"} else ""
    amount = sign + short_dollars(entry, "amount")
    kind = text(entry, "kind").replace("_", "-")
    return moment(text(entry, "at")), kind, amount, text(entry, "reference", "-"), text(entry, "note", "-")
