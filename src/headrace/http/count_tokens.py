"""`/v1/messages/count_tokens`: about how many tokens a prompt has, without asking a model; costs nothing.

Source: Anthropic API reference, "Count tokens in a message" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.json_value import JsonObject
from headrace.http.edge import OFFLOAD_BYTES, EdgeLimits, check_json, read_body
from headrace.http.models import listed_model
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.ports.ambient import Offload
from headrace.services.snapshots import Snapshots
from headrace.wire.anthropic_messages import estimated_tokens, read_translated_envelope
from headrace.wire.json_strict import decode_object


def count_routes(snapshots: Snapshots, limits: EdgeLimits, offload: Offload | None) -> tuple[RouteSpec, ...]:
    """Return the route; bodies that take long to read go to the pool where there is one."""

    async def count(request: Request) -> Reply:
        check_json(request.scope)
        body = await read_body(request.scope, request.receive, limits.max_body_bytes)
        if offload is not None and len(body) > OFFLOAD_BYTES:
            model, tokens = await offload.run(_counted, body)
        else:
            model, tokens = _counted(body)
        listed_model(snapshots.current(), request.who, model)
        answer: JsonObject = {"input_tokens": tokens, "estimated": True}
        return json_reply(answer)

    return (RouteSpec("POST", "/v1/messages/count_tokens", count, Audience.OWN),)


def _counted(body: bytes) -> tuple[str, int]:
    fields = decode_object(body)
    return read_translated_envelope(fields, len(body)).model, estimated_tokens(fields)
