"""The price of leaving a warm prompt cache, and whether a session's budget has it; pure, in whole numbers.

Only input is priced: what the answer costs is the policy's business. Rates are what the operator pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headrace.domain.money import PICO_PER_NANO, PPM
from headrace.domain.price import PriceVersion, Rates, rate_of, rates_at
from headrace.domain.usage import TokenClass, Usage

# A tenth: what a session pays at the most for better models, unless the request says otherwise.
DEFAULT_CAP_PPM = 100_000


class SwitchVerdict(StrEnum):
    """What came of weighing a switch; `same` is none, `no_pricing` cannot be weighed and is let through."""

    FREE = "free"
    WITHIN_CAP = "within_cap"
    OVER_CAP = "over_cap"
    NO_PRICING = "no_pricing"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Placement:
    """A model at a provider: what has a prompt cache of its own."""

    model_id: str
    provider: str


@dataclass(frozen=True, slots=True)
class InputRates:
    """What a prompt's tokens cost in pico-dollars each."""

    fresh_pico: int
    cached_pico: int

    def uncached(self) -> InputRates:
        """Return the rates of the same model without a cache."""
        return InputRates(self.fresh_pico, self.fresh_pico)


def input_rates(price: PriceVersion, context_tokens: int, at_micros: int) -> InputRates | None:
    """Return the rates for a prompt so long at a time, or None where its tokens have no price.

    A model without a rate for cached tokens has them at the fresh rate: that is what its bill says. A guessed discount
    would make it look cheaper to stay on than it is.
    """
    rates = rates_at(price, context_tokens, at_micros)
    fresh = rate_of(rates, TokenClass.INPUT_FRESH)
    return None if fresh is None else InputRates(fresh, rates.get(TokenClass.INPUT_CACHE_READ, fresh))


def tokens_cached(usage: Usage, price: PriceVersion | None) -> int:
    """Return how many tokens of a served prompt are believed cached where it was served.

    Where writing has a price of its own the usage says what was written; elsewhere caches fill by themselves, and the
    usage tells only what was read.
    """
    if price is None or not _sells_writes(price.rates_pico):
        return usage.input_total
    return usage.input_cache_read + usage.input_cache_write_5m + usage.input_cache_write_1h


def _sells_writes(rates: Rates) -> bool:
    return rates.get(TokenClass.INPUT_CACHE_WRITE_5M) != rates.get(TokenClass.INPUT_FRESH)


def switch_cost_nano(context_tokens: int, warm_tokens: int, candidate: InputRates, anchor: InputRates) -> int:
    """Return what reading the context elsewhere costs more than reading it from the anchor's cache; below 0 it is less.

    `warm_tokens` are believed cached at the candidate. A fraction of a nano-dollar counts against the switch.
    """
    warm = min(warm_tokens, context_tokens)
    there = (context_tokens - warm) * candidate.fresh_pico + warm * candidate.cached_pico
    return -((context_tokens * anchor.cached_pico - there) // PICO_PER_NANO)


@dataclass(frozen=True, slots=True)
class SwitchTotals:
    """What a session has spent on switches, and what never switching would have cost it; nano-dollars."""

    spent_nano: int = 0
    base_nano: int = 0

    def plus(self, base_nano: int, cost_nano: int = 0) -> SwitchTotals:
        """Return the totals after a turn; a switch that saves gives nothing back."""
        return SwitchTotals(self.spent_nano + max(cost_nano, 0), self.base_nano + base_nano)

    def verdict(self, cost_nano: int | None, cap_ppm: int) -> SwitchVerdict:
        """Return what is to be said of a switch at this cost, under a cap in parts per million of the base."""
        if cost_nano is None:
            return SwitchVerdict.NO_PRICING
        if cost_nano <= 0:
            return SwitchVerdict.FREE
        if (self.spent_nano + cost_nano) * PPM <= cap_ppm * self.base_nano:
            return SwitchVerdict.WITHIN_CAP
        return SwitchVerdict.OVER_CAP


def base_nano(context_tokens: int, anchor: InputRates) -> int:
    """Return what one turn adds to the base: its context, read from the anchor's cache."""
    return context_tokens * anchor.cached_pico // PICO_PER_NANO


@dataclass(frozen=True, slots=True)
class SwitchRecord:
    """How a switch was weighed; the decision keeps it.

    `candidate` is the policy's choice, `anchor` where the session's cache is warm. `cost_nano` is None where a price is
    missing. `is_forced` says that nobody was free to stay: the anchor is not in the pool of this route, or could not
    serve. The totals are the session's before this switch, with this turn's base; `cap_ppm` is the share of the base
    that switches may cost.
    """

    verdict: SwitchVerdict
    anchor: Placement
    candidate: Placement
    cost_nano: int | None
    context_tokens: int
    warm_tokens: int
    cap_ppm: int
    totals: SwitchTotals
    is_forced: bool = False

    @property
    def is_taken(self) -> bool:
        """Whether the request goes to the candidate."""
        return self.is_forced or self.verdict is not SwitchVerdict.OVER_CAP

    @property
    def counterfactual(self) -> Placement | None:
        """Who would have served without the veto; None where nothing was vetoed."""
        return None if self.is_taken else self.candidate
