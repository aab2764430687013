"""The route of a past request: set right by the operator, which makes the request an example, or taken back."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.services.corrections import Corrected, Corrections
from headrace.wire.iso_time import iso_time
from headrace.wire.openapi import Entry
from headrace.wire.openapi_corrections import CorrectionReply, RouteBody, TakenBack

PATH = "/v2/requests/{id}/route"
FIELDS = frozenset({"route"})
CORRECT_ENTRY = Entry(
    "Says which task a routed request really was: it becomes an example of it", CorrectionReply, RouteBody, fails=(409,)
)
TAKE_BACK_ENTRY = Entry("Takes the correction of a request back", TakenBack)


def routes(corrections: Corrections) -> tuple[RouteSpec, ...]:
    """Return correcting a request's route and taking that back."""

    async def correct(request: Request) -> Reply:
        slug = _slug(await request.fields(FIELDS))
        corrected = await corrections.correct(request.part("id"), slug)
        return json_reply({"correction": correction_object(corrected)})

    async def take_back(request: Request) -> Reply:
        request_id = request.part("id")
        await corrections.take_back(request_id)
        return json_reply({"request_id": request_id})

    return (
        RouteSpec("POST", PATH, correct, Audience.ADMIN, CORRECT_ENTRY),
        RouteSpec("DELETE", PATH, take_back, Audience.ADMIN, TAKE_BACK_ENTRY),
    )


def correction_object(corrected: Corrected) -> JsonObject:
    """Return a correction as it is shown; of the prompt nothing is."""
    correction = corrected.correction
    return {
        "request_id": correction.request_id,
        "router": corrected.router,
        "decided": corrected.before,
        "route": correction.slug,
        "corrected_at": iso_time(correction.made_at_micros),
    }


def _slug(fields: JsonObject) -> str:
    slug = fields.get("route")
    if isinstance(slug, str) and slug:
        return slug
    raise InvalidRequest('"route" is missing: send the slug of the right task.', param="route")
