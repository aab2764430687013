"""Upstreams that speak Anthropic's Messages: bytes pass through, only the model and a missing cap change."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Call, Operation
from headrace.domain.catalog import NO_QUIRKS
from headrace.domain.errors import HeadraceError, InvalidRequest
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.ports.ambient import Clock
from headrace.ports.upstream import Exchange, Prepared, Reader, Transport
from headrace.wire.anthropic_body import MessagesBodyReader
from headrace.wire.anthropic_failure import failure_from_status
from headrace.wire.anthropic_messages import upstream_fields
from headrace.wire.anthropic_messages_stream import MessagesStreamReader
from headrace.wire.dialect_headers import upstream_headers
from headrace.wire.json_strict import encode
from headrace.wire.openai_quirks import bend_request
from headrace.wire.service_tier import take_service_tier

PATH = "/messages"
VERSION = (("anthropic-version", "2023-06-01"),)


class AnthropicAdapter:
    """Speaks the Messages dialect; the key travels in the header that the provider's catalog entry names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the request with the model renamed and bent to the provider's quirks.

        Raises InvalidRequest for what is no chat.
        """
        if call.operation is not Operation.CHAT:
            raise InvalidRequest(
                f'"{target.model.id}" is served by Messages, which have no {call.operation.value}.', param="model"
            )
        model, quirks = target.model, target.provider.quirks
        fields = upstream_fields(call, model.upstream_name, model.default_output_tokens)
        has_quirks = quirks is not NO_QUIRKS or bool(model.refused_fields)
        dropped = bend_request(fields, model, quirks) if has_quirks else ()
        headers, untold = upstream_headers(VERSION, quirks.headers, call.passed_headers)
        tier, unpriced = take_service_tier(fields, "speed", target.price)
        dropped += untold + unpriced
        return Prepared(PATH, encode(fields), call.envelope.stream, headers, dropped, service_tier=tier)

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Send the request."""
        return await transport.send(endpoint, prepared, deadlines)

    def reader(self, call: Call, target: Target) -> Reader:
        """Return a reader of the answer in the form that was asked for."""
        if call.envelope.stream:
            return MessagesStreamReader(target.model.id)
        return MessagesBodyReader(target.model.id)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name the failure behind a status of 400 or more."""
        return failure_from_status(status, headers, body, self._clock.unix_micros() / 1e6)
