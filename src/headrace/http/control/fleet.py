"""What runs on our own hardware, and reading the configuration anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from headrace.domain.errors import ConfigInvalid, InvalidRequest
from headrace.domain.snapshot import Snapshot
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, json_reply, resource_reply
from headrace.ports.fleet import Compute
from headrace.wire.control_json import list_object, replica_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_control import Reloaded, ReplicaList

REPLICAS_ENTRY = Entry("Lists the engines that run on this machine", ReplicaList, sends=TAGGED, reads=READ)
RELOAD_ENTRY = Entry("Reads the catalog anew; a bad one is refused", Reloaded)


def routes(compute: Compute, reload: Callable[[], Awaitable[Snapshot]]) -> tuple[RouteSpec, ...]:
    """Return the list of replicas and the reload."""

    async def replicas(request: Request) -> Reply:
        return resource_reply(list_object("replicas", map(replica_object, compute.observe())))

    async def reload_config(request: Request) -> Reply:
        try:
            snapshot = await reload()
        except ConfigInvalid as error:
            raise InvalidRequest(error.message, code=error.code, param=error.param, extra=error.extra) from error
        return json_reply({"version": snapshot.version, "models": len(snapshot.models)})

    return (
        RouteSpec("GET", "/v2/replicas", replicas, Audience.ADMIN, REPLICAS_ENTRY),
        RouteSpec("POST", "/v2/config/reload", reload_config, Audience.ADMIN, RELOAD_ENTRY),
    )
