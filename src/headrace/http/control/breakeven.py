"""The break-even between paying by the token and by the GPU hour: one question, one report."""

from __future__ import annotations

from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.services.breakeven import Breakeven
from headrace.wire.breakeven_body import FIELDS, read_question
from headrace.wire.breakeven_json import report_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_breakeven import BreakevenBody, BreakevenReport

ENTRY = Entry("Compares paying by the token with paying by the GPU hour", BreakevenReport, BreakevenBody)


def routes(breakeven: Breakeven) -> tuple[RouteSpec, ...]:
    """Return `/v2/breakeven`."""

    async def ask(request: Request) -> Reply:
        asked = read_question(await request.fields(FIELDS))
        return json_reply(report_object(await breakeven.answer(asked)))

    return (RouteSpec("POST", "/v2/breakeven", ask, Audience.ADMIN, ENTRY),)
