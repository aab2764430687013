"""The weights of a model on this machine: removed by name."""

from __future__ import annotations

from headrace.domain.catalog import WeightsFile
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.http.routing import TAGGED, Audience, Reply, Request, RouteSpec, resource_reply
from headrace.services.weights_removal import RemovedWeights as Removed
from headrace.services.weights_removal import WeightsRemoval
from headrace.wire.openapi import Entry
from headrace.wire.openapi_control import RemovedWeights

REMOVE_ENTRY = Entry("Removes a model's weights from this machine", RemovedWeights, sends=TAGGED)


def routes(removal: WeightsRemoval) -> tuple[RouteSpec, ...]:
    """Return removing a model's weights."""

    async def remove(request: Request) -> Reply:
        return resource_reply(_object(await removal.remove(request.part("id"))))

    return (RouteSpec("DELETE", "/v2/models/{id:path}/weights", remove, Audience.ADMIN, REMOVE_ENTRY),)


def _object(found: Removed) -> JsonObject:
    return {
        "model": found.model_id,
        "removed": [_file(each) for each in found.removed],
        "kept": [_file(each) for each in found.kept],
        "kept_for": list[JsonValue](found.kept_for),
        "freed_bytes": found.freed_bytes,
    }


def _file(file: WeightsFile) -> JsonValue:
    return {"name": file.name, "sha256": file.sha256, "size_bytes": file.size_bytes}
