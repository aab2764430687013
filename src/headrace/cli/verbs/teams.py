"""`headrace teams`: keys that are billed together, and the balances that they paid in advance."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import open_client, segment
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import moment, number, part, parts, short_dollars, text
from headrace.cli.session import Session, columns
from headrace.domain.json_value import JsonObject

PATH = "/v2/teams"


def create(
    name: str,
    /,
    *,
    prepaid: Annotated[bool, Parameter(negative="")] = False,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Make a team; `headrace keys create --team NAME` makes keys for it.

    Parameters
    ----------
    name:
        What to call the team.
    prepaid:
        It pays in advance: its priced calls stop when its balance is used up.
    """
    with open_client(session, flags) as client:
        reply = client.send("POST", PATH, "admin", {"name": name, "prepaid": prepaid})
    typed = shlex.quote(name)
    made = f'Team "{name}" is there. Make a key for it: headrace keys create NAME --team {typed}'
    more = f"\nIts balance is zero. Top it up: headrace teams top-up {typed} --usd 100" if prepaid else ""
    return session.tell(reply, made + more, as_json=wants_json(flags.json, session.environment))


def list_teams(*, flags: ClientFlags = NO_FLAGS, session: Annotated[Session, Parameter(parse=False)]) -> int:
    """List the teams and how they pay."""
    with open_client(session, flags) as client:
        reply = client.get(PATH, "admin")
    rows = [("NAME", "PAYS", "CREATED"), *(_row(each) for each in parts(reply, "teams"))]
    return session.tell(reply, columns(rows), as_json=wants_json(flags.json, session.environment))


def show(
    name: str,
    /,
    *,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Show a team and its balance.

    Parameters
    ----------
    name:
        The team.
    """
    with open_client(session, flags) as client:
        reply = client.get(f"{PATH}/{segment(name)}", "admin")
    team = part(reply, "team")
    told = _balance(part(team, "balance"))
    if team.get("prepaid") is not True and not number(part(team, "balance"), "paid_nano_usd"):
        told = f"What it used: headrace usage --team {shlex.quote(name)}"
    line = f'Team "{text(team, "name")}" pays {_pays(team)}. {told}'
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def set_team(
    name: str,
    /,
    *,
    prepaid: bool,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Say how a team pays from the next call on; what was paid in and spent stays.

    Parameters
    ----------
    name:
        The team.
    prepaid:
        In advance: its priced calls stop when its balance is used up. With --no-prepaid, afterwards.
    """
    with open_client(session, flags) as client:
        reply = client.send("PATCH", f"{PATH}/{segment(name)}", "admin", {"prepaid": prepaid})
    team = part(reply, "team")
    line = f'Team "{text(team, "name")}" pays {_pays(team)} from the next call on.'
    if prepaid:
        line += f" {_balance(part(team, 'balance'))}\nTop it up: headrace teams top-up {shlex.quote(name)} --usd 100"
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def delete(
    name: str,
    /,
    *,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Forget a team that has no keys and no budgets any more.

    Parameters
    ----------
    name:
        The team.
    """
    with open_client(session, flags) as client:
        reply = client.send("DELETE", f"{PATH}/{segment(name)}", "admin")
    line = f'Team "{name}" is forgotten; its receipts and entries stay.'
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def top_up(
    name: str,
    /,
    *,
    usd: str,
    note: str | None = None,
    reference: str | None = None,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Book a payment to a team's prepaid balance.

    Parameters
    ----------
    name:
        The team.
    usd:
        How much, in US dollars, like 100.
    note:
        Why, for whoever reads the books.
    reference:
        A name for the payment, like an invoice's number: it is booked once, however often it is sent.
    """
    return _pay(name, _payment("top_up", usd, note, reference), flags, session)


def adjust(
    name: str,
    /,
    *,
    usd: Annotated[str, Parameter(allow_leading_hyphen=True)],
    note: str | None = None,
    reference: str | None = None,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Correct a team's prepaid balance, up or down.

    Parameters
    ----------
    name:
        The team.
    usd:
        By how much, in US dollars; -5 takes five away.
    note:
        Why, for whoever reads the books.
    reference:
        A name for the correction: it is booked once, however often it is sent.
    """
    return _pay(name, _payment("adjustment", usd, note, reference), flags, session)


def transfers(
    name: str,
    /,
    *,
    limit: int = 100,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """List what was paid in and corrected, the newest first.

    Parameters
    ----------
    name:
        The team.
    limit:
        At most so many.
    """
    with open_client(session, flags) as client:
        reply = client.get(f"{PATH}/{segment(name)}/transfers?limit={limit}", "admin")
    rows = [("AT", "KIND", "USD", "REFERENCE", "NOTE"), *(_moved(each) for each in parts(reply, "transfers"))]
    empty = f"Nothing was paid in. Top it up: headrace teams top-up {shlex.quote(name)} --usd 100"
    line = columns(rows, frozenset({2})) if len(rows) > 1 else empty
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def _payment(kind: str, usd: str, note: str | None, reference: str | None) -> JsonObject:
    body: JsonObject = {"kind": kind, "amount_usd": usd}
    given = (("note", note), ("reference", reference))
    return {**body, **{name: value for name, value in given if value is not None}}


def _pay(name: str, body: JsonObject, flags: ClientFlags, session: Session) -> int:
    with open_client(session, flags) as client:
        reply = client.send("POST", f"{PATH}/{segment(name)}/transfers", "admin", body)
    usd = text(body, "amount_usd")
    booked = f"-${usd[1:]}" if usd.startswith("-") else f"${usd}"
    line = f"Booked {booked}. {_balance(part(reply, 'balance'))}"
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def _balance(balance: JsonObject) -> str:
    paid, spent, held, left = (short_dollars(balance, name) for name in ("paid", "spent", "held", "left"))
    return f"Balance: {left} left of {paid} paid in; {spent} spent, {held} held for running calls."


def _pays(team: JsonObject) -> str:
    return "in advance" if team.get("prepaid") is True else "afterwards"


def _row(team: JsonObject) -> tuple[str, str, str]:
    created = text(team, "created_at")
    return text(team, "name"), _pays(team), moment(created)[:10] if created else "-"


def _moved(entry: JsonObject) -> tuple[str, ...]:
    sign = "-" if text(entry, "credit") in {"cash", "adjustments"} else ""
    amount = sign + short_dollars(entry, "amount")
    kind = text(entry, "kind").replace("_", "-")
    return moment(text(entry, "at")), kind, amount, text(entry, "reference", "-"), text(entry, "note", "-")
