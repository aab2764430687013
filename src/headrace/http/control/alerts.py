"""Alerts: thresholds on figures, made, listed, changed and deleted, and what they have done."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject
from headrace.http.routing import (
    CHANGE,
    READ,
    TAGGED,
    Audience,
    Reply,
    Request,
    RouteSpec,
    json_reply,
    require_match,
    resource_reply,
)
from headrace.services.alerts import Alerts, AlertState, Check
from headrace.wire.alert_json import CHANGEABLE, FIELDS, alert_object, read_alert, record_object
from headrace.wire.control_json import list_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_alerts import (
    AlertBody,
    AlertEventList,
    AlertEventQuery,
    AlertList,
    AlertReply,
    NewAlertBody,
)

PATH = "/v2/alerts"
EVENTS = PATH + "/events"
ONE = PATH + "/{id}"
MOST_EVENTS = 1000
LIST_ENTRY = Entry("Lists alerts", AlertList, sends=TAGGED, reads=READ)
CREATE_ENTRY = Entry("Makes an alert", AlertReply, NewAlertBody, statuses=(201,), fails=(404, 409))
EVENTS_ENTRY = Entry(
    "Lists what alerts have done, the newest first", AlertEventList, asks=AlertEventQuery, sends=TAGGED, reads=READ
)
ONE_ENTRY = Entry("Shows one alert", AlertReply, sends=TAGGED, reads=READ)
CHANGE_ENTRY = Entry("Changes an alert, not its metric or scope", AlertReply, AlertBody, sends=TAGGED, reads=CHANGE)
REMOVE_ENTRY = Entry("Deletes an alert; its events stay", AlertReply, sends=TAGGED, reads=CHANGE)


def routes(alerts: Alerts) -> tuple[RouteSpec, ...]:
    """Return list, creation, the events, one alert, its change and its removal."""

    async def all_alerts(_: Request) -> Reply:
        return resource_reply(list_object("alerts", map(_shown, await alerts.list())))

    async def create(request: Request) -> Reply:
        return json_reply(_wrapped(await alerts.create(read_alert(await request.fields(FIELDS)))), 201)

    async def events(request: Request) -> Reply:
        records = await alerts.events(request.number("limit", 100, MOST_EVENTS), request.text("alert"))
        return resource_reply(list_object("events", map(record_object, records)))

    async def one(request: Request) -> Reply:
        return resource_reply(_wrapped(await alerts.find(request.part("id"))))

    async def change(request: Request) -> Reply:
        fields = read_alert(await request.fields(CHANGEABLE))
        return resource_reply(_wrapped(await alerts.change(request.part("id"), fields, _unchanged(request))))

    async def remove(request: Request) -> Reply:
        return resource_reply(_wrapped(await alerts.remove(request.part("id"), _unchanged(request))))

    return (
        RouteSpec("GET", PATH, all_alerts, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("POST", PATH, create, Audience.ADMIN, CREATE_ENTRY),
        RouteSpec("GET", EVENTS, events, Audience.ADMIN, EVENTS_ENTRY),
        RouteSpec("GET", ONE, one, Audience.ADMIN, ONE_ENTRY),
        RouteSpec("PATCH", ONE, change, Audience.ADMIN, CHANGE_ENTRY),
        RouteSpec("DELETE", ONE, remove, Audience.ADMIN, REMOVE_ENTRY),
    )


def _shown(state: AlertState) -> JsonObject:
    return alert_object(state.alert, is_fired=state.is_fired)


def _wrapped(state: AlertState) -> JsonObject:
    return {"alert": _shown(state)}


def _unchanged(request: Request) -> Check:
    return lambda state: require_match(request, _wrapped(state))
