"""Metering: what an attempt may use before it is sent, and what the caller is told of its cost afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from headrace.domain.books import Bound, RequestStart, Settlement
from headrace.domain.call import NO_MEDIA, Call, Media, Operation
from headrace.domain.catalog import Model
from headrace.domain.money import format_nano
from headrace.domain.plan import Excluded, Target
from headrace.domain.price import bound_nano
from headrace.domain.routing import Decision
from headrace.domain.usage import Quantities, TokenClass, UnitClass, Usage, UsageClass, UsageSource, rare

BYTES_PER_TOKEN = 4
TEMPLATE_TOKENS = 64
# Our guess of one image, recording or file whose tokens nobody counted.
MEDIA_TOKENS = 1_000
BY_THE_PIECE = frozenset({Operation.IMAGES, Operation.RERANK, Operation.SPEECH})
NO_OUTPUT_TOKENS = frozenset({Operation.EMBEDDINGS, Operation.RERANK, Operation.SPEECH})


def output_cap(call: Call, target: Target) -> int:
    """Return the most output tokens of one choice: the caller's cap, or the catalog's default."""
    if call.operation in NO_OUTPUT_TOKENS:
        return 0
    cap = call.envelope.output_cap
    return target.model.default_output_tokens if cap is None else cap


def bound_of(call: Call, target: Target, prepared_bytes: int = 0) -> Bound:
    """Return the bound of an attempt: a byte-level tokenizer makes no more tokens than the request has bytes.

    The prepared request counts where it is the larger: an adapter may add to the prompt. What is no text counts as the
    most tokens that the model makes of it, whatever its bytes.
    """
    envelope = call.envelope
    prompt, media, units = max(envelope.body_bytes, prepared_bytes) + TEMPLATE_TOKENS, 0, envelope.units
    if envelope.prompt_tokens is not None:
        prompt = envelope.prompt_tokens
    elif envelope.media is not NO_MEDIA:
        prompt -= envelope.media.inline_bytes
        media = _media_tokens(envelope.media, target.model) * envelope.choices
        units = (*units, *_seconds(envelope.media, target.model))
    prompt *= envelope.choices
    output = (output_cap(call, target) + envelope.predicted_tokens) * envelope.choices
    amount = bound_nano(target.price, prompt, output, media, units)
    return Bound(prompt + media, output, amount, prompt_estimate(call, target.model))


def token_estimate(call: Call, targets: Iterable[Target]) -> int:
    """Return how many tokens a call may use at the thirstiest of these targets: our guess of its prompt and its cap."""
    output = max([output_cap(call, each) for each in targets], default=0)
    return prompt_estimate(call) + output * call.envelope.choices


def estimated_usage(call: Call, target: Target, output_tokens_seen: int) -> Usage:
    """Return our own count for an answer whose usage never came; it is never over the bound of the attempt."""
    most = output_cap(call, target) * call.envelope.choices
    output = min(output_tokens_seen, most)
    more = call.envelope.units if call.operation in BY_THE_PIECE else ()
    return Usage(input_fresh=prompt_estimate(call, target.model), output_text=output, source="counted", more=more)


def completed_usage(call: Call, target: Target, usage: Usage) -> Usage:
    """Return the upstream's usage with what its price needs and it left out: pieces that were asked for, tokens.

    An upstream that counts tokens may be priced by the piece, and the other way round.
    """
    if call.operation not in BY_THE_PIECE:
        return usage
    price, counts = target.price, dict(usage.more)
    missing = {each: n for each, n in call.envelope.units if each in price.dearest_units_pico and each not in counts}
    if not (usage.input_total or usage.output_total):
        return _with_tokens(call, target, {**counts, **missing})
    return replace(usage, more=rare({**counts, **missing}), source="counted") if missing else usage


def request_start(call: Call, decision: Decision | None = None, excluded: tuple[Excluded, ...] = ()) -> RequestStart:
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
        route=None if decision is None else decision.route,
        tags=call.tags,
        excluded=excluded,
        decision=decision,
    )


def money_fields(
    call: Call, target: Target, settlement: Settlement, attempts: int = 1, decision: Decision | None = None
) -> dict[str, int | str]:
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
        **({} if decision is None else route_fields(decision)),
    }


def route_fields(decision: Decision) -> dict[str, int | str]:
    """Return the fields that tell the caller of a stream what a router decided."""
    route: dict[str, int | str] = {} if decision.route is None else {"route": decision.route}
    return {"router": decision.router, **route, "route_basis": decision.basis}


def money_headers(settlement: Settlement) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell the caller of a whole reply what it cost."""
    charge = _charge(settlement)
    return (("x-headrace-cost-usd", format_nano(charge)), ("x-headrace-cost-nano-usd", str(charge)))


def _charge(settlement: Settlement) -> int:
    return sum(line.charge_nano for line in settlement.lines)


def _with_tokens(call: Call, target: Target, counts: dict[UsageClass, int]) -> Usage:
    """Return usage with our own count of tokens where they are priced; an image has as many as it may have at most."""
    price = target.price
    prompt = prompt_estimate(call, target.model) if price.dearest_input_pico else 0
    drawn = output_cap(call, target) * call.envelope.choices if price.dearest_output_pico else 0
    more = rare({**counts, TokenClass.OUTPUT_IMAGE: drawn})
    source: UsageSource = "bound" if drawn else "counted" if prompt else "upstream"
    return Usage(input_fresh=prompt, more=more, source=source)


def _media_tokens(media: Media, model: Model) -> int:
    """Return the most input tokens that media make: what is heard and read is never more than the model's context.

    An image may be billed as more than that: some models count it dearer than they read it.
    """
    file = model.context_length if model.max_file_tokens is None else model.max_file_tokens
    heard = _audio_tokens(media, model) + media.files * file
    return media.images * model.max_image_tokens + min(heard, model.context_length)


def _audio_tokens(media: Media, model: Model) -> int:
    each = model.context_length if model.max_audio_tokens is None else model.max_audio_tokens
    return min(media.audios * each, model.context_length)


def _seconds(media: Media, model: Model) -> Quantities:
    """Return the most seconds of audio: every second makes a token at least."""
    return ((UnitClass.SECOND, _audio_tokens(media, model)),) if media.audios else ()


def prompt_estimate(call: Call, model: Model | None = None) -> int:
    """Return our guess of the prompt's tokens; with a model it is never over the bound there."""
    envelope = call.envelope
    if envelope.prompt_tokens is not None:
        return envelope.prompt_tokens * envelope.choices
    if envelope.media is NO_MEDIA:
        return -(-envelope.body_bytes // BYTES_PER_TOKEN) * envelope.choices
    media = envelope.media
    guess = (media.images + media.audios + media.files) * MEDIA_TOKENS
    text = -(-(envelope.body_bytes - media.inline_bytes) // BYTES_PER_TOKEN)
    return (text + (guess if model is None else min(guess, _media_tokens(media, model)))) * envelope.choices
