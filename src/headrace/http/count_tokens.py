"""Counts of tokens without asking a model: about how many a prompt has, in the shapes of two dialects; costs nothing.

Source: Anthropic API reference, "Count tokens in a message" (read 2026-11-24); OpenAI API reference, "Get input token
counts" (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from headrace.domain.json_value import JsonObject
from headrace.http.edge import OFFLOAD_BYTES, EdgeLimits, check_json, read_body
from headrace.http.inference import Pin
from headrace.http.models import listed_model
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.ports.ambient import Offload
from headrace.services.responses import Responses
from headrace.services.snapshots import Snapshots
from headrace.wire import anthropic_messages, openai_responses
from headrace.wire.json_strict import decode_object
from headrace.wire.openai_chat import required_text
from headrace.wire.openapi import Entry
from headrace.wire.openapi_messages import CountRequest, TokenCount
from headrace.wire.openapi_responses import InputCount, InputCountRequest
from headrace.wire.token_estimate import estimated_tokens

DOES = "Says about how many tokens a prompt has; costs nothing"
ENTRY = Entry(DOES, TokenCount, CountRequest, fails=(404,))
RESPONSES_ENTRY = Entry(DOES, InputCount, InputCountRequest, fails=(404,))
T = TypeVar("T")


class TokenCounts:
    """Counts prompts; bodies that take long to read go to the pool where there is one.

    `pin` decides the model of each request in the place of its body.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        limits: EdgeLimits,
        offload: Offload | None,
        responses: Responses,
        pin: Pin | None = None,
    ) -> None:
        self._snapshots = snapshots
        self._pin = pin
        self._limits = limits
        self._offload = offload
        self._responses = responses

    async def of_message(self, request: Request) -> Reply:
        """Count a Messages request."""
        fields, size = await self._read(request)
        model, tokens = await self._away(size, lambda: _message_tokens(fields, size))
        listed_model(self._snapshots.current(), request.who, model)
        answer: JsonObject = {"input_tokens": tokens, "estimated": True}
        return json_reply(answer)

    async def of_response(self, request: Request) -> Reply:
        """Count a Responses request, with the conversation that it continues; it need not name a model."""
        fields, size = await self._read(request)
        openai_responses.check_types(fields)
        if fields.get("model") is not None:
            listed_model(self._snapshots.current(), request.who, required_text(fields, "model"))
        prompt = openai_responses.prompt_of(fields, await self._responses.conversation(request.who, fields))
        tokens = await self._away(size, lambda: estimated_tokens(prompt))
        answer: JsonObject = {"object": "response.input_tokens", "input_tokens": tokens, "estimated": True}
        return json_reply(answer)

    async def _read(self, request: Request) -> tuple[JsonObject, int]:
        """Return the body's fields, and how many bytes it has."""
        check_json(request.scope)
        body = await read_body(request.scope, request.receive, self._limits.max_body_bytes)
        fields = await self._away(len(body), lambda: decode_object(body))
        if self._pin is not None:
            self._pin(request.scope, self._snapshots.current(), request.who, fields)
        return fields, len(body)

    async def _away(self, body_bytes: int, work: Callable[[], T]) -> T:
        if self._offload is None or body_bytes <= OFFLOAD_BYTES:
            return work()
        return await self._offload.run(work)


def count_routes(counts: TokenCounts) -> tuple[RouteSpec, ...]:
    """Return the routes."""
    return (
        RouteSpec("POST", "/v1/messages/count_tokens", counts.of_message, Audience.OWN, ENTRY),
        RouteSpec("POST", "/v1/responses/input_tokens", counts.of_response, Audience.OWN, RESPONSES_ENTRY),
    )


def _message_tokens(fields: JsonObject, body_bytes: int) -> tuple[str, int]:
    model = anthropic_messages.read_translated_envelope(fields, body_bytes).model
    return model, estimated_tokens(anthropic_messages.prompt_of(fields))
