"""Shapes of rate limits in the published description; reading and writing them is the routes'."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from headrace.domain.rate_limit import MAX_LIMIT
from headrace.wire.openapi_control import ListLinks, ListMeta, Time

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]


class LimitsBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """All limits of a scope; at least one is set, null is none."""

    requests_per_minute: Limit | None = None
    requests_per_day: Limit | None = None
    tokens_per_minute: Limit | None = None
    tokens_per_day: Limit | None = None
    concurrent_requests: Limit | None = None


class ScopeLimits(Struct, kw_only=True):
    """The limits of a scope; null is none."""

    scope: str
    requests_per_minute: Limit | None
    requests_per_day: Limit | None
    tokens_per_minute: Limit | None
    tokens_per_day: Limit | None
    concurrent_requests: Limit | None
    changed_at: Time


class LimitsReply(Struct, kw_only=True):
    """The limits of one scope."""

    limits: ScopeLimits


class LimitsList(Struct, kw_only=True):
    """The limits of every scope that has some."""

    limits: list[ScopeLimits]
    meta: ListMeta
    links: ListLinks
