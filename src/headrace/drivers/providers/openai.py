"""Upstreams that speak OpenAI's dialect: bytes pass through, only the fields that we own change."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Call, Operation
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.ports.ambient import Clock
from headrace.ports.upstream import Exchange, Prepared, Reader, Transport
from headrace.wire.json_strict import encode
from headrace.wire.openai_body import JsonBodyReader
from headrace.wire.openai_chat import upstream_body
from headrace.wire.openai_chat_stream import ChatStreamReader
from headrace.wire.openai_failure import failure_from_status


class OpenAiAdapter:
    """Speaks OpenAI's dialect; `cap_field` is the name under which a missing output cap is injected."""

    def __init__(self, clock: Clock, cap_field: str) -> None:
        self._clock = clock
        self._cap_field = cap_field

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the request with model, output cap and usage rewritten."""
        model = target.model
        if call.operation is Operation.EMBEDDINGS:
            return Prepared("/embeddings", encode({**call.body, "model": model.upstream_name}), stream=False)
        body = upstream_body(call, model.upstream_name, model.default_output_tokens, self._cap_field)
        return Prepared("/chat/completions", body, stream=call.envelope.stream)

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Send the request."""
        return await transport.send(endpoint, prepared, deadlines)

    def reader(self, call: Call, target: Target) -> Reader:
        """Return a reader of the answer in the form that was asked for."""
        if call.operation is Operation.EMBEDDINGS:
            return JsonBodyReader(target.model.id, "data")
        envelope = call.envelope
        if not envelope.stream:
            return JsonBodyReader(target.model.id, "choices")
        return ChatStreamReader(target.model.id, show_usage=envelope.include_usage, choices=envelope.choices)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name the failure behind a status of 400 or more."""
        return failure_from_status(status, headers, body, self._clock.unix_micros() / 1e6)
