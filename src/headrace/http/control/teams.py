"""Teams: the keys that are billed together, and the balances that they paid in advance."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.transfer import TransferKind
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, json_reply, resource_reply
from headrace.services.teams import MOST_TRANSFERS, Payment, RequireUnwatched, Teams
from headrace.wire.control_json import list_object
from headrace.wire.money_json import balance_object, entry_object, read_usd, team_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_money import (
    BalanceReply,
    NewTeamBody,
    PaymentBody,
    TeamBody,
    TeamList,
    TeamReply,
    TransferList,
    TransferQuery,
)

PATH = "/v2/teams"
ONE = PATH + "/{name}"
TRANSFERS = ONE + "/transfers"
PAYMENT_FIELDS = frozenset({"kind", "amount_usd", "note", "reference"})
LIST_ENTRY = Entry("Lists teams, with the balances of those that pay in advance", TeamList, sends=TAGGED, reads=READ)
CREATE_ENTRY = Entry("Makes a team", TeamReply, NewTeamBody, statuses=(201,), fails=(409,))
ONE_ENTRY = Entry("Shows one team and its balance", TeamReply, sends=TAGGED, reads=READ)
CHANGE_ENTRY = Entry("Changes how a team pays", TeamReply, TeamBody, sends=TAGGED, fails=(409,))
REMOVE_ENTRY = Entry("Forgets a team", TeamReply, sends=TAGGED, fails=(409,))
TRANSFERS_ENTRY = Entry(
    "Lists what was paid in and corrected", TransferList, asks=TransferQuery, sends=TAGGED, reads=READ
)
PAY_ENTRY = Entry("Books a payment or its correction", BalanceReply, PaymentBody, statuses=(201,), fails=(409,))


def routes(teams: Teams, require_unwatched: RequireUnwatched) -> tuple[RouteSpec, ...]:
    """Return list, creation, one team, its change and removal, and its transfers."""

    async def all_teams(_: Request) -> Reply:
        balances = await teams.balances()
        return resource_reply(
            list_object("teams", [team_object(each, balances.get(each.name)) for each in teams.list()])
        )

    async def create(request: Request) -> Reply:
        fields = await request.fields({"name", "prepaid"})
        team = await teams.create(_text(fields, "name"), is_prepaid=_flag(fields.get("prepaid", False)))
        return json_reply({"team": team_object(team, await teams.balance(team.name))}, 201)

    async def one(request: Request) -> Reply:
        team = teams.find(request.part("name"))
        return resource_reply({"team": team_object(team, await teams.balance(team.name))})

    async def change(request: Request) -> Reply:
        fields = await request.fields({"prepaid"})
        team = await teams.change(request.part("name"), is_prepaid=_flag(fields.get("prepaid")))
        return resource_reply({"team": team_object(team, await teams.balance(team.name))})

    async def remove(request: Request) -> Reply:
        return resource_reply({"team": team_object(await teams.remove(request.part("name"), require_unwatched))})

    async def transfers(request: Request) -> Reply:
        entries = await teams.transfers(request.part("name"), request.number("limit", 100, MOST_TRANSFERS))
        return resource_reply(list_object("transfers", map(entry_object, entries)))

    async def pay(request: Request) -> Reply:
        payment = _payment(await request.fields(PAYMENT_FIELDS))
        balance = await teams.pay(request.part("name"), payment)
        return json_reply({"balance": balance_object(balance)}, 201)

    return (
        RouteSpec("GET", PATH, all_teams, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("POST", PATH, create, Audience.ADMIN, CREATE_ENTRY),
        RouteSpec("GET", ONE, one, Audience.ADMIN, ONE_ENTRY),
        RouteSpec("PATCH", ONE, change, Audience.ADMIN, CHANGE_ENTRY),
        RouteSpec("DELETE", ONE, remove, Audience.ADMIN, REMOVE_ENTRY),
        RouteSpec("GET", TRANSFERS, transfers, Audience.ADMIN, TRANSFERS_ENTRY),
        RouteSpec("POST", TRANSFERS, pay, Audience.ADMIN, PAY_ENTRY),
    )


def _payment(fields: JsonObject) -> Payment:
    kind = fields.get("kind", TransferKind.TOP_UP.value)
    if not isinstance(kind, str) or kind not in set(TransferKind):
        raise InvalidRequest('"kind" must be "top_up" or "adjustment".', param="kind")
    reference = _text(fields, "reference") if fields.get("reference") is not None else None
    note = _text(fields, "note") if fields.get("note") is not None else ""
    return Payment(
        TransferKind(kind), read_usd(fields.get("amount_usd"), "amount_usd", may_be_negative=True), note, reference
    )


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidRequest('"prepaid" must be true or false.', param="prepaid")


def _text(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    raise InvalidRequest(f'"{name}" is missing or not a string.', param=name)
