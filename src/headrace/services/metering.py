"""Metering: what an attempt may use before it is sent, and what the caller is told of its cost afterwards."""

from __future__ import annotations

from headrace.domain.books import Bound, RequestStart, Settlement
from headrace.domain.call import Call, Operation
from headrace.domain.money import format_nano
from headrace.domain.plan import Target
from headrace.domain.price import bound_nano
from headrace.domain.usage import Usage

BYTES_PER_TOKEN = 4
TEMPLATE_TOKENS = 64
NO_OUTPUT_TOKENS = frozenset({Operation.EMBEDDINGS, Operation.RERANK, Operation.SPEECH})


def output_cap(call: Call, target: Target) -> int:
    """Return the most output tokens of one choice: the caller's cap, or the catalog's default."""
    if call.operation in NO_OUTPUT_TOKENS:
        return 0
    cap = call.envelope.output_cap
    return target.model.default_output_tokens if cap is None else cap


def bound_of(call: Call, target: Target, prepared_bytes: int = 0) -> Bound:
    """Return the bound of an attempt: a byte-level tokenizer makes no more tokens than the request has bytes.

    The prepared request counts where it is the larger: an adapter may add to the prompt.
    """
    envelope = call.envelope
    prompt = (max(envelope.body_bytes, prepared_bytes) + TEMPLATE_TOKENS) * envelope.choices
    output = output_cap(call, target) * envelope.choices
    return Bound(prompt, output, bound_nano(target.price, prompt, output), _prompt_estimate(call))


def estimated_usage(call: Call, target: Target, output_tokens_seen: int) -> Usage:
    """Return our own count for an answer whose usage never came; it is never over the bound of the attempt."""
    most = output_cap(call, target) * call.envelope.choices
    output = min(output_tokens_seen, most)
    return Usage(input_fresh=_prompt_estimate(call), output_text=output, source="counted")


def request_start(call: Call, route: str | None) -> RequestStart:
    """Return the request as the ledger first writes it."""
    return RequestStart(
        request_id=call.request_id,
        operation=call.operation.value,
        account=call.caller.account,
        key_id=call.caller.key_id,
        key_name=call.caller.key_name,
        requested_model=call.envelope.model,
        stream=call.envelope.stream,
        received_at_micros=call.received_at_micros,
        route=route,
    )


def money_fields(call: Call, target: Target, settlement: Settlement, attempts: int = 1) -> dict[str, int | str]:
    """Return the additive fields that tell the caller of a stream who served, after how many attempts, at what cost.

    They stand in the last chunk: headers may have left before a later attempt served.
    """
    charge = _charge(settlement)
    return {
        "request_id": call.request_id,
        "model": target.model.id,
        "attempts": attempts,
        "cost_usd": format_nano(charge),
        "cost_nano_usd": charge,
    }


def money_headers(settlement: Settlement) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell the caller of a whole reply what it cost."""
    charge = _charge(settlement)
    return (("x-headrace-cost-usd", format_nano(charge)), ("x-headrace-cost-nano-usd", str(charge)))


def _charge(settlement: Settlement) -> int:
    return sum(line.charge_nano for line in settlement.lines)


def _prompt_estimate(call: Call) -> int:
    return -(-call.envelope.body_bytes // BYTES_PER_TOKEN) * call.envelope.choices
