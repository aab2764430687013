"""Upstreams that speak OpenAI's dialect: bytes pass through, only the fields that we own change."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.domain.call import Call, Operation
from headrace.domain.catalog import NO_QUIRKS
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.ports.ambient import Clock
from headrace.ports.upstream import Exchange, Prepared, Reader, Transport
from headrace.wire.json_strict import encode
from headrace.wire.openai_body import JsonBodyReader
from headrace.wire.openai_chat import upstream_fields
from headrace.wire.openai_chat_stream import ChatStreamReader
from headrace.wire.openai_failure import ErrorMeaning, failure_from_status
from headrace.wire.openai_passthrough import PATHS, passthrough_reader
from headrace.wire.openai_quirks import bend_request, model_path
from headrace.wire.service_tier import take_service_tier
from headrace.wire.tool_checks import billed_by_use

NO_MEANINGS: Mapping[str, ErrorMeaning] = MappingProxyType({})


class OpenAiAdapter:
    """Speaks OpenAI's dialect with the departures that the target's provider and model have in the catalog.

    `cap_field` is the name under which a missing output cap is injected. `meanings` say what a status, or a code
    inside an error's body, means at this provider where that differs.
    """

    def __init__(self, clock: Clock, cap_field: str, meanings: Mapping[str, ErrorMeaning] = NO_MEANINGS) -> None:
        self._clock = clock
        self._cap_field = cap_field
        self._meanings = meanings

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the request with model, output cap and usage rewritten, and bent to the provider's quirks."""
        model, quirks = target.model, target.provider.quirks
        if call.operation is Operation.EMBEDDINGS:
            path = model_path(quirks.embeddings_path, model.upstream_name)
            body = encode({**call.body, "model": model.upstream_name})
            return Prepared(path, body, stream=False, headers=quirks.headers)
        passes_to = PATHS.get(call.operation)
        if passes_to is not None:
            body = encode({**call.body, "model": model.upstream_name})
            return Prepared(passes_to, body, stream=call.operation is Operation.SPEECH, headers=quirks.headers)
        if call.operation is Operation.COMPLETIONS:
            fields = upstream_fields(call, model.upstream_name, model.default_output_tokens, "max_tokens")
            fields["max_tokens"] = call.envelope.output_cap
            tier, dropped = take_service_tier(fields, "service_tier", target.price)
            body, stream = encode(fields), call.envelope.stream
            return Prepared("/completions", body, stream, quirks.headers, dropped, service_tier=tier)
        if call.body.get("web_search_options") is not None:
            raise billed_by_use("web_search_options", '"web_search_options" asks for a search of the web')
        cap_field = quirks.cap_field or self._cap_field
        fields = upstream_fields(call, model.upstream_name, model.default_output_tokens, cap_field)
        has_quirks = quirks is not NO_QUIRKS or bool(model.refused_fields)
        dropped = bend_request(fields, model, quirks) if has_quirks else ()
        tier, unpriced = take_service_tier(fields, "service_tier", target.price)
        path, dropped = model_path(quirks.chat_path, model.upstream_name), dropped + unpriced
        return Prepared(path, encode(fields), call.envelope.stream, quirks.headers, dropped, service_tier=tier)

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Send the request."""
        return await transport.send(endpoint, prepared, deadlines)

    def reader(self, call: Call, target: Target) -> Reader:
        """Return a reader of the answer in the form that was asked for."""
        apart = target.provider.quirks.reasoning_apart
        if call.operation is Operation.EMBEDDINGS:
            return JsonBodyReader(target.model.id, "data")
        if call.operation in PATHS:
            return passthrough_reader(call.operation, target.model.id)
        envelope = call.envelope
        if not envelope.stream:
            return JsonBodyReader(target.model.id, "choices", reasoning_apart=apart)
        return ChatStreamReader(
            target.model.id, show_usage=envelope.include_usage, choices=envelope.choices, reasoning_apart=apart
        )

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name the failure behind a status of 400 or more."""
        return failure_from_status(status, headers, body, self._clock.unix_micros() / 1e6, self._meanings)
