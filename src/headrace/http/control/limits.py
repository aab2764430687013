"""Rate limits of scopes: set, shown and lifted while requests run."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.rate_limit import LimitKind, RateLimits, ScopedLimits
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
from headrace.services.limit_changes import Check, LimitChanges
from headrace.wire.control_json import list_object
from headrace.wire.iso_time import iso_time
from headrace.wire.openapi import Entry
from headrace.wire.openapi_limits import LimitsBody, LimitsList, LimitsReply

PATH = "/v2/limits"
ONE = PATH + "/{scope:path}"
FIELDS = frozenset(kind.value for kind in LimitKind)
LIST_ENTRY = Entry("Lists the scopes that have rate limits", LimitsList, sends=TAGGED, reads=READ)
ONE_ENTRY = Entry("Shows the rate limits of a scope", LimitsReply, sends=TAGGED, reads=READ)
PUT_ENTRY = Entry("Sets all rate limits of a scope", LimitsReply, LimitsBody, statuses=(200, 201), reads=CHANGE)
REMOVE_ENTRY = Entry("Lifts all rate limits of a scope", LimitsReply, sends=TAGGED, reads=CHANGE)


def routes(changes: LimitChanges) -> tuple[RouteSpec, ...]:
    """Return list, one scope's limits, their change and their removal."""

    async def all_limits(_: Request) -> Reply:
        return resource_reply(list_object("limits", map(limits_object, changes.list())))

    async def one(request: Request) -> Reply:
        return resource_reply(_wrapped(changes.find(request.part("scope"))))

    async def put(request: Request) -> Reply:
        limits = _limits(await request.fields(FIELDS))
        scoped, is_new = await changes.put(request.part("scope"), limits, _unchanged(request))
        return json_reply(_wrapped(scoped), 201) if is_new else resource_reply(_wrapped(scoped))

    async def remove(request: Request) -> Reply:
        return resource_reply(_wrapped(await changes.remove(request.part("scope"), _unchanged(request))))

    return (
        RouteSpec("GET", PATH, all_limits, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("GET", ONE, one, Audience.ADMIN, ONE_ENTRY),
        RouteSpec("PUT", ONE, put, Audience.ADMIN, PUT_ENTRY),
        RouteSpec("DELETE", ONE, remove, Audience.ADMIN, REMOVE_ENTRY),
    )


def limits_object(scoped: ScopedLimits) -> JsonObject:
    """Return the limits of a scope as they are shown; null is no limit."""
    shown: JsonObject = {"scope": scoped.scope}
    for kind, limit in scoped.limits.by_kind():
        shown[kind.value] = limit
    shown["changed_at"] = iso_time(scoped.changed_at_micros)
    return shown


def _wrapped(scoped: ScopedLimits) -> JsonObject:
    return {"limits": limits_object(scoped)}


def _unchanged(request: Request) -> Check:
    def check(present: ScopedLimits | None) -> None:
        require_match(request, {} if present is None else _wrapped(present))

    return check


def _limits(fields: JsonObject) -> RateLimits:
    given = {kind: _number(kind.value, fields.get(kind.value)) for kind in LimitKind}
    return RateLimits(
        requests_per_minute=given[LimitKind.REQUESTS_PER_MINUTE],
        requests_per_day=given[LimitKind.REQUESTS_PER_DAY],
        tokens_per_minute=given[LimitKind.TOKENS_PER_MINUTE],
        tokens_per_day=given[LimitKind.TOKENS_PER_DAY],
        concurrent_requests=given[LimitKind.CONCURRENT_REQUESTS],
    )


def _number(name: str, value: JsonValue) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f'"{name}" must be a whole number or null, not {str(value)[:80]!r}.', param=name)
