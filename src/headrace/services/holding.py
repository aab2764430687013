"""Taking the hold of an attempt before it is sent; where a budget that clamps refuses, with a smaller output cap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from headrace.domain.books import Opening, Refused
from headrace.domain.call import NO_MEDIA, Call
from headrace.domain.plan import Endpoint, Excluded, Target
from headrace.domain.routing import Decision
from headrace.ports.upstream import Prepared, PromptCounter
from headrace.services.metering import bound_of, request_start
from headrace.services.turn_parts import TurnParts


@dataclass(frozen=True, slots=True)
class AttemptPlace:
    """Which attempt of which turn it is, what a router decided, and what the plan left out."""

    attempt_id: str
    turn_index: int
    attempt_index: int
    decision: Decision | None
    excluded: tuple[Excluded, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A hold that is durable, with what it was taken for; `clamped_to` is the output cap that a budget shrank."""

    call: Call
    prepared: Prepared
    held_at_micros: int
    clamped_to: int | None = None


async def take_hold(
    parts: TurnParts,
    place: AttemptPlace,
    call: Call,
    target: Target,
    endpoint: Endpoint,
    prepare: Callable[[Call], Prepared],
) -> Taken:
    """Hold the bound of the prepared call; raises PaymentRequired when a budget refuses it.

    The prompt is counted only when its bytes, which bound it, do not fit.
    """
    held_at = parts.clock.unix_micros()
    prepared = prepare(call)
    clamped_to: int | None = None
    may_count = call.envelope.media is NO_MEDIA
    while True:
        opening = _opening(parts, place, call, target, prepared, held_at)
        answer = await parts.ledger.hold(opening)
        if not isinstance(answer, Refused):
            return Taken(call, prepared, held_at, clamped_to)
        counted = await _counted(parts, target, endpoint, prepared) if may_count else None
        may_count = False
        if counted is not None and counted < opening.bound.input_tokens // call.envelope.choices:
            call = replace(call, envelope=replace(call.envelope, prompt_tokens=counted))
            prepared = prepare(call)
            continue
        smaller = parts.budgets.clamped(call, target, opening.bound, answer)
        if smaller is None:
            raise parts.budgets.refusal(call, target, opening.bound, answer)
        call, clamped_to = smaller, smaller.envelope.output_cap
        prepared = prepare(call)


async def _counted(parts: TurnParts, target: Target, endpoint: Endpoint, prepared: Prepared) -> int | None:
    counter = parts.adapters[target.adapter]
    if not isinstance(counter, PromptCounter):
        return None
    return await counter.count_prompt(parts.transport, endpoint, prepared, parts.limits.deadlines)


def _opening(
    parts: TurnParts, place: AttemptPlace, call: Call, target: Target, prepared: Prepared, held_at: int
) -> Opening:
    return Opening(
        attempt_id=place.attempt_id,
        request=request_start(call, place.decision, place.excluded),
        turn_index=place.turn_index,
        attempt_index=place.attempt_index,
        model_id=target.model.id,
        provider=target.provider.name,
        deployment=target.deployment,
        identity=target.identity,
        price=target.price,
        bound=bound_of(call, target, len(prepared.body)),
        scopes=parts.budgets.scopes(call, target, held_at),
        at_micros=held_at,
    )
