"""Budgets: limits on charge, made, listed with what is left, changed and removed."""

from __future__ import annotations

from headrace.domain.budget import BudgetMode
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, json_reply, resource_reply
from headrace.services.budget_book import BudgetBook, BudgetState, WantedBudget
from headrace.wire.control_json import list_object
from headrace.wire.money_json import budget_object, read_mode, read_usd, read_window
from headrace.wire.openapi import Entry
from headrace.wire.openapi_money import BudgetBody, BudgetList, BudgetQuery, BudgetReply, NewBudgetBody

PATH = "/v2/budgets"
ONE = PATH + "/{id}"
CHANGEABLE = frozenset({"limit_usd", "mode"})
FIELDS = CHANGEABLE | {"scope", "window", "zone"}
LIST_ENTRY = Entry(
    "Lists budgets with what is left: a key's own, or all of them",
    BudgetList,
    asks=BudgetQuery,
    sends=TAGGED,
    reads=READ,
)
CREATE_ENTRY = Entry("Makes a budget", BudgetReply, NewBudgetBody, statuses=(201,), fails=(404, 409))
ONE_ENTRY = Entry("Shows one budget", BudgetReply, sends=TAGGED, reads=READ)
CHANGE_ENTRY = Entry("Changes a budget's limit or mode", BudgetReply, BudgetBody, sends=TAGGED, fails=(409,))
REMOVE_ENTRY = Entry("Removes a budget", BudgetReply, sends=TAGGED)


def routes(budgets: BudgetBook) -> tuple[RouteSpec, ...]:
    """Return list, creation, one budget, its change and its removal."""

    async def all_budgets(request: Request) -> Reply:
        who, scope = request.who, request.text("scope")
        if not who.is_admin and scope is not None:
            raise InvalidRequest('A key sees its own budgets and those of its team: leave "scope" out.', param="scope")
        states = await (budgets.list(scope) if who.is_admin else budgets.list_own(who))
        return resource_reply(list_object("budgets", map(_shown, states)))

    async def create(request: Request) -> Reply:
        return json_reply(_wrapped(await budgets.create(_wanted(await request.fields(FIELDS)))), 201)

    async def one(request: Request) -> Reply:
        return resource_reply(
            _wrapped(await budgets.find(request.part("id"), None if request.who.is_admin else request.who))
        )

    async def change(request: Request) -> Reply:
        fields = await request.fields(CHANGEABLE)
        limit = read_usd(fields["limit_usd"], "limit_usd") if "limit_usd" in fields else None
        mode = read_mode(fields["mode"]) if "mode" in fields else None
        return resource_reply(_wrapped(await budgets.change(request.part("id"), limit, mode)))

    async def remove(request: Request) -> Reply:
        return resource_reply(_wrapped(await budgets.remove(request.part("id"))))

    return (
        RouteSpec("GET", PATH, all_budgets, Audience.OWN, LIST_ENTRY),
        RouteSpec("POST", PATH, create, Audience.ADMIN, CREATE_ENTRY),
        RouteSpec("GET", ONE, one, Audience.OWN, ONE_ENTRY),
        RouteSpec("PATCH", ONE, change, Audience.ADMIN, CHANGE_ENTRY),
        RouteSpec("DELETE", ONE, remove, Audience.ADMIN, REMOVE_ENTRY),
    )


def _wanted(fields: JsonObject) -> WantedBudget:
    scope, zone = fields.get("scope"), fields.get("zone", "UTC")
    if not isinstance(scope, str):
        raise InvalidRequest(
            '"scope" is missing: write "platform", "team:NAME", "key:ID" or "model:ID".', param="scope"
        )
    if not isinstance(zone, str):
        raise InvalidRequest('"zone" must be the name of a time zone, like "Europe/Berlin".', param="zone")
    return WantedBudget(
        scope=scope,
        window=read_window(fields.get("window")),
        limit_nano=read_usd(fields.get("limit_usd"), "limit_usd"),
        zone=zone,
        mode=read_mode(fields.get("mode", BudgetMode.REJECT.value)),
    )


def _shown(state: BudgetState) -> JsonObject:
    return budget_object(state.budget, state.span, state.balance)


def _wrapped(state: BudgetState) -> JsonObject:
    return {"budget": _shown(state)}
