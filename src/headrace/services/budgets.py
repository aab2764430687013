"""What a call draws on: the scopes of every budget and balance that concern it, and what is said when one refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headrace.domain.access import key_scope
from headrace.domain.books import Bound, Refused
from headrace.domain.budget import (
    BALANCE_PREFIX,
    PLATFORM_SCOPE,
    Budget,
    BudgetMode,
    Span,
    Window,
    balance_scope,
    budget_of,
)
from headrace.domain.call import Call, Operation
from headrace.domain.errors import PaymentRequired
from headrace.domain.money import PICO_PER_NANO, PPM, format_nano, line_nano
from headrace.domain.plan import Target
from headrace.domain.price import PriceVersion
from headrace.domain.snapshot import Snapshot

MOST_REMEMBERED = 10_000
HEED_THE_CAP = frozenset({Operation.CHAT, Operation.COMPLETIONS})
_OWN_SCOPES = ("key:", "team:")
_PERIODS: Mapping[Window, str] = {
    Window.HOUR: " this hour",
    Window.DAY: " today",
    Window.WEEK: " this week",
    Window.MONTH: " this month",
    Window.TOTAL: "",
}


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The scopes of one key and model, as long as none of their windows ends."""

    scopes: tuple[str, ...]
    since_micros: int
    until_micros: int


class Budgets:
    """Knows the budgets in force; finding a call's scopes is a look-up until a window ends."""

    def __init__(self) -> None:
        self._by_scope: dict[str, list[Budget]] = {}
        self._by_id: dict[str, Budget] = {}
        self._prepaid: frozenset[str] = frozenset()
        self._drawn: dict[tuple[str, str], _Drawn] = {}

    def follow(self, snapshot: Snapshot) -> None:
        """Take over the budgets and teams of a new snapshot."""
        self._by_id = {each.id: each for each in snapshot.budgets}
        self._by_scope = {}
        for each in snapshot.budgets:
            self._by_scope.setdefault(each.scope, []).append(each)
        self._prepaid = frozenset(name for name, team in snapshot.teams.items() if team.is_prepaid)
        self._drawn = {}

    def scopes(self, call: Call, target: Target, at_micros: int) -> tuple[str, ...]:
        """Return every scope that an attempt draws on, in the fixed order in which holds take them.

        A free target draws on no budget and no balance: it goes on when they are used up.
        """
        caller, model_id = call.caller, target.model.id
        place = (caller.key_id, "" if target.price.is_free else model_id)
        drawn = self._drawn.get(place)
        if drawn is None or not drawn.since_micros <= at_micros < drawn.until_micros:
            drawn = self._find(call, target, at_micros)
            if len(self._drawn) >= MOST_REMEMBERED:
                self._drawn.clear()
            self._drawn[place] = drawn
        return drawn.scopes

    def paying(self, account: str, model_id: str, at_micros: int) -> tuple[str, ...]:
        """Return every scope that pays for what runs whether or not it is called: a deployment's replicas, no key."""
        concerned = (PLATFORM_SCOPE, f"team:{account}", f"model:{model_id}")
        names = {each.span_at(at_micros).scope for scope in concerned for each in self._by_scope.get(scope, ())}
        if account in self._prepaid:
            names.add(balance_scope(account))
        return tuple(sorted({PLATFORM_SCOPE, *names}))

    def refusal(self, call: Call, target: Target, bound: Bound, refused: Refused) -> PaymentRequired:
        """Return the error for a bound that a scope does not allow, with the output cap that it would allow.

        What the platform or a model has left is the operator's to know: a key hears that it does not suffice.
        """
        affordable = affordable_cap(call, target.price, bound, refused.affordable_nano)
        if refused.scope.startswith(BALANCE_PREFIX):
            return self._balance_refusal(call, bound, refused, affordable)
        if not (call.caller.is_admin or self._scope(refused.scope).startswith(_OWN_SCOPES)):
            return self._operators_refusal(call, bound, refused)
        advice = f"Lower max_tokens to {affordable} or raise" if affordable else "Shorten the prompt or raise"
        return PaymentRequired(
            f"This request could cost up to ${format_nano(bound.amount_nano)}; {self._named(call, refused.scope)}"
            f" has ${format_nano(refused.affordable_nano)} left{self._period(refused.scope)}. {advice} the budget.",
            code="budget_exceeded",
            param="max_tokens" if affordable else None,
            extra={"affordable_output_tokens": affordable, "budget": budget_of(refused.scope) or refused.scope},
        )

    def clamped(self, call: Call, target: Target, bound: Bound, refused: Refused) -> Call | None:
        """Return the call with its output cap shrunk to what the refusing budget allows, when it is one that clamps."""
        budget = self._by_id.get(budget_of(refused.scope) or "")
        if budget is None or budget.mode is not BudgetMode.CLAMP or call.operation not in HEED_THE_CAP:
            return None
        affordable = affordable_cap(call, target.price, bound, refused.affordable_nano)
        if not 0 < affordable < bound.output_tokens // call.envelope.choices - call.envelope.predicted_tokens:
            return None
        return replace(call, envelope=replace(call.envelope, output_cap=affordable))

    def _find(self, call: Call, target: Target, at_micros: int) -> _Drawn:
        caller = call.caller
        own = (PLATFORM_SCOPE, key_scope(caller.key_id))
        if target.price.is_free:
            return _Drawn(own, 0, 2**63)
        concerned = (PLATFORM_SCOPE, caller.budget_scope, f"team:{caller.team}", f"model:{target.model.id}")
        spans = [each.span_at(at_micros) for scope in concerned for each in self._by_scope.get(scope, ())]
        names = {*own, *(span.scope for span in spans)}
        if caller.team in self._prepaid:
            names.add(balance_scope(caller.team))
        return _Drawn(tuple(sorted(names)), _latest_start(spans), _earliest_end(spans))

    def _scope(self, scope: str) -> str:
        """Return the scope that a window of a budget is about."""
        budget = self._by_id.get(budget_of(scope) or "")
        return scope if budget is None else budget.scope

    def _operators_refusal(self, call: Call, bound: Bound, refused: Refused) -> PaymentRequired:
        return PaymentRequired(
            f"This request could cost up to ${format_nano(bound.amount_nano)}, which the operator's budget for"
            f" {self._named(call, refused.scope)} does not allow{self._period(refused.scope)}. Lower max_tokens,"
            " shorten the prompt, or ask the operator.",
            code="budget_exceeded",
            extra={"budget": budget_of(refused.scope) or refused.scope},
        )

    def _named(self, call: Call, scope: str) -> str:
        kind, _, name = self._scope(scope).partition(":")
        if kind == "key":
            return f'the key "{call.caller.key_name}"'
        return f'the {kind} "{name}"' if name else f"the {kind}"

    def _period(self, scope: str) -> str:
        budget = self._by_id.get(budget_of(scope) or "")
        return "" if budget is None else _PERIODS[budget.window]

    def _balance_refusal(self, call: Call, bound: Bound, refused: Refused, affordable: int) -> PaymentRequired:
        advice = f"Lower max_tokens to {affordable}, or ask" if affordable else "Ask"
        return PaymentRequired(
            f"This request could cost up to ${format_nano(bound.amount_nano)}; the prepaid balance of the team"
            f' "{call.caller.team}" has ${format_nano(refused.affordable_nano)} left. {advice} the operator to top it'
            " up. Free models go on.",
            code="balance_exhausted",
            param="max_tokens" if affordable else None,
            extra={"affordable_output_tokens": affordable},
        )


def affordable_cap(call: Call, price: PriceVersion, bound: Bound, affordable_nano: int) -> int:
    """Return the most output tokens of one choice whose bound is within an amount; 0 when the prompt alone is over."""
    output_nano = line_nano(bound.output_tokens, price.dearest_output_pico, price.markup_ppm)
    left = affordable_nano - (bound.amount_nano - output_nano)
    each = price.dearest_output_pico * price.markup_ppm * call.envelope.choices
    if left < 0 or not each or not bound.output_tokens:
        return 0
    return max(0, left * PICO_PER_NANO * PPM // each - call.envelope.predicted_tokens)


def _latest_start(spans: list[Span]) -> int:
    return max((each.starts_at_micros or 0 for each in spans), default=0)


def _earliest_end(spans: list[Span]) -> int:
    return min((each.ends_at_micros for each in spans if each.ends_at_micros is not None), default=2**63)
