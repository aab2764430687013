"""Upstreams that speak OpenAI's Responses dialect: bytes pass through, only the fields that we own change."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Call
from headrace.domain.catalog import NO_QUIRKS
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.ports.ambient import Clock
from headrace.ports.upstream import Exchange, Prepared, Reader, Transport
from headrace.wire.json_strict import encode
from headrace.wire.openai_failure import failure_from_status
from headrace.wire.openai_quirks import bend_request
from headrace.wire.openai_responses import drop_bare_reasoning, upstream_fields
from headrace.wire.openai_responses_stream import ResponsesStreamReader
from headrace.wire.responses_body import ResponsesBodyReader
from headrace.wire.service_tier import take_service_tier
from headrace.wire.tool_checks import check_billed_tools, check_response_results

PATH = "/responses"


class OpenAiResponsesAdapter:
    """Speaks the Responses dialect; conversation state stays with us."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the request with model, output cap and state rewritten."""
        model = target.model
        check_response_results(call.body.get("input"))
        check_billed_tools(call.body.get("tools"))
        fields = upstream_fields(call, model.upstream_name, model.default_output_tokens, model.capabilities)
        dropped = drop_bare_reasoning(fields) + bend_request(fields, model, NO_QUIRKS)
        tier, unpriced = take_service_tier(fields, "service_tier", target.price)
        headers, dropped = target.provider.quirks.headers, dropped + unpriced
        return Prepared(PATH, encode(fields), call.envelope.stream, headers, dropped, service_tier=tier)

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Send the request."""
        return await transport.send(endpoint, prepared, deadlines)

    def reader(self, call: Call, target: Target) -> Reader:
        """Return a reader of the answer in the form that was asked for."""
        if call.envelope.stream:
            return ResponsesStreamReader(target.model.id)
        return ResponsesBodyReader(target.model.id)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name the failure behind a status of 400 or more."""
        return failure_from_status(status, headers, body, self._clock.unix_micros() / 1e6)
