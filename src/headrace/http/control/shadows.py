"""Answers of a router's reference model beside its own: listed, and judged."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.services.shadow_book import ShadowBook, ShadowPair
from headrace.wire.openapi import Entry
from headrace.wire.openapi_shadows import ShadowPairs, ShadowQuery, ShadowReply, VerdictBody
from headrace.wire.shadow_json import FIELDS, read_verdict, shadow_object

PATH = "/v2/gen-ai/models/routers/{uuid}/shadows"
ONE = "/v2/requests/{id}/shadow"
QUERY = frozenset({"limit", "before", "unjudged"})
DEFAULT_LIMIT, MOST_LIMIT = 20, 100
LIST_ENTRY = Entry("Lists answers of a router's reference model beside its own", ShadowPairs, asks=ShadowQuery)
JUDGE_ENTRY = Entry("Says how a router's answer compares with the reference's", ShadowReply, VerdictBody, fails=(409,))


def routes(book: ShadowBook) -> tuple[RouteSpec, ...]:
    """Return the list and the verdict."""

    async def listed(request: Request) -> Reply:
        request.query(QUERY)
        limit = request.number("limit", DEFAULT_LIMIT, MOST_LIMIT)
        unjudged = _flag(request.text("unjudged"))
        name, pairs = await book.list(request.part("uuid"), limit, request.text("before"), unjudged=unjudged)
        last = pairs[-1].answer.request_id if len(pairs) == limit else None
        return json_reply({"router": name, "shadows": [_pair(each) for each in pairs], "next": last})

    async def judge(request: Request) -> Reply:
        verdict, judge = read_verdict(await request.fields(FIELDS))
        answer = await book.judge(request.part("id"), verdict, judge)
        return json_reply({"shadow": shadow_object(answer)})

    return (
        RouteSpec("GET", PATH, listed, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("POST", ONE, judge, Audience.ADMIN, JUDGE_ENTRY),
    )


def _flag(text: str | None) -> bool:
    if text not in (None, "true", "false"):
        raise InvalidRequest(f'"unjudged" must be true or false, not "{text[:40]}".', param="unjudged")
    return text == "true"


def _pair(pair: ShadowPair) -> JsonObject:
    texts: JsonValue = None
    if pair.texts is not None:
        texts = {"asked": pair.texts.asked, "answer": pair.texts.answer, "reference": pair.texts.reference}
    return {**shadow_object(pair.answer), "texts": texts}
