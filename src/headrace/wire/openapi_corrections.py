"""Shapes of corrected routes in the published description; writing them is the control plane's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from headrace.wire.openapi_control import Time

TaskSlug = Annotated[str, Meta(min_length=1, max_length=128, description="The slug or name of a task of the router.")]


class RouteBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The right task of a request."""

    route: TaskSlug


class RouteCorrection(Struct, kw_only=True):
    """A request as an example of a task; `decided` is the route that it had, null when no task matched."""

    request_id: str
    router: str
    decided: str | None
    route: str
    corrected_at: Time


class CorrectionReply(Struct, kw_only=True):
    """The correction of a request."""

    correction: RouteCorrection


class TakenBack(Struct, kw_only=True):
    """Which request's route is no longer corrected."""

    request_id: str
