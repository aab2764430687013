"""Scopes that a hold draws on, and the refusal that says what would be affordable."""

from __future__ import annotations

from headrace.domain.access import Caller
from headrace.domain.books import Bound, Refused
from headrace.domain.call import Call
from headrace.domain.errors import PaymentRequired
from headrace.domain.money import PICO_PER_NANO, PPM, format_nano
from headrace.domain.plan import Target
from headrace.domain.price import PriceVersion, bound_nano

PLATFORM_SCOPE = "platform"


def scopes_of(caller: Caller) -> tuple[str, ...]:
    """Return every scope that this caller's calls draw on, in the fixed order in which holds take them."""
    return (PLATFORM_SCOPE, f"key:{caller.key_id}")


def budget_refusal(call: Call, target: Target, bound: Bound, refused: Refused) -> PaymentRequired:
    """Return the error for a bound that a budget does not allow, with the output cap that it would allow."""
    affordable = _affordable_cap(call, target.price, bound, refused.affordable_nano)
    advice = f"Lower max_tokens to {affordable} or raise" if affordable else "Shorten the prompt or raise"
    return PaymentRequired(
        f"This request could cost up to ${format_nano(bound.amount_nano)}; {refused.scope} has"
        f" ${format_nano(refused.affordable_nano)} left. {advice} the budget.",
        code="budget_exceeded",
        param="max_tokens" if affordable else None,
        extra={"affordable_output_tokens": affordable},
    )


def _affordable_cap(call: Call, price: PriceVersion, bound: Bound, affordable_nano: int) -> int:
    left = affordable_nano - bound_nano(price, bound.input_tokens, 0)
    each = price.dearest_output_pico * price.markup_ppm * call.envelope.choices
    if left < 0 or not each or not bound.output_tokens:
        return 0
    return left * PICO_PER_NANO * PPM // each
