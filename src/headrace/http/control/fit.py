"""Whether a model fits on an accelerator, asked before anything is deployed."""

from __future__ import annotations

from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.services.fit_questions import FitQuestions
from headrace.wire.fit_json import FIELDS, fits_object, read_fit
from headrace.wire.openapi import Entry
from headrace.wire.openapi_fit import FitBody, FitReport

ENTRY = Entry("Says whether a model fits on an accelerator, and on how many", FitReport, FitBody)


def routes(questions: FitQuestions) -> tuple[RouteSpec, ...]:
    """Return `/v2/fit`."""

    async def ask(request: Request) -> Reply:
        model, asked = read_fit(await request.fields(FIELDS))
        return json_reply(fits_object(model, await questions.answer(model, asked)))

    return (RouteSpec("POST", "/v2/fit", ask, Audience.ADMIN, ENTRY),)
