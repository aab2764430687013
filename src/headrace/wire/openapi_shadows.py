"""Shapes of shadow answers in the published description; writing them is shadow_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.shadow import Verdict
from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_control import Time


class ComparedTexts(Struct, kw_only=True):
    """What is compared: the conversation, the router's answer, the reference's; each up to 32,000 characters."""

    asked: str
    answer: str
    reference: str


class ShadowedRequest(Struct, kw_only=True):
    """A routed request that the reference model answered too; while it runs the cost is what was reserved for it."""

    request_id: str
    shadow_request_id: str
    route: str | None
    served_by: str
    reference: str
    made_at: Time
    reference_cost_nano_usd: Nano
    reference_cost_usd: Usd
    state: Literal["running", "kept", "failed"]
    failure: str | None
    verdict: Verdict | None
    judge: str | None
    judged_at: Time | None


class ShadowedPair(ShadowedRequest, kw_only=True):
    """The same with both answers, null when they are no longer kept or never were."""

    texts: ComparedTexts | None


class ShadowPairs(Struct, kw_only=True):
    """Answers of a router's reference model, the newest first; `next` is the `before` of the next page."""

    router: str
    shadows: list[ShadowedPair]
    next: str | None


class ShadowQuery(Struct, kw_only=True):
    """Which answers are shown."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    before: Annotated[str, Meta(description="A request's id: those before it.")] | UnsetType = UNSET
    unjudged: Literal["true", "false"] = "false"


class VerdictBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """How the router's answer compares with the reference's, and who says so."""

    verdict: Verdict
    judge: Annotated[str, Meta(min_length=1, max_length=256)]


class ShadowReply(Struct, kw_only=True):
    """One answer."""

    shadow: ShadowedRequest
