"""Who is asking and what is running."""

from __future__ import annotations

from headrace.http.control.parts import About
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, resource_reply
from headrace.wire.control_json import me_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_control import Me, Version

ME_ENTRY = Entry("Says who is asking", Me, sends=TAGGED, reads=READ)
VERSION_ENTRY = Entry("Says what is running", Version, sends=TAGGED, reads=READ)


def routes(about: About) -> tuple[RouteSpec, ...]:
    """Return `/v2/me` and `/v2/version`."""

    async def me(request: Request) -> Reply:
        return resource_reply(me_object(request.who))

    async def version(request: Request) -> Reply:
        return resource_reply(
            {
                "version": about.version,
                "commit": about.commit,
                "python": about.python,
                "store": {
                    "schema": about.store_schema,
                    "synchronous": about.store_synchronous,
                    "library": about.store_library,
                },
            }
        )

    return (
        RouteSpec("GET", "/v2/me", me, Audience.OWN, ME_ENTRY),
        RouteSpec("GET", "/v2/version", version, Audience.OWN, VERSION_ENTRY),
    )
