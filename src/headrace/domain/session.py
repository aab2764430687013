"""Sessions: what a caller's requests to one router have in common, and where the next of them goes; pure.

Keeping sessions, and finding the one of a request, is the services'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from headrace.domain.plan import Target
from headrace.domain.price import PriceVersion
from headrace.domain.switching import (
    DEFAULT_CAP_PPM,
    InputRates,
    Placement,
    SwitchRecord,
    SwitchTotals,
    SwitchVerdict,
    base_nano,
    input_rates,
    switch_cost_nano,
    tokens_cached,
)
from headrace.domain.usage import Usage

AFFINITY_OFF = "none"
IDLE_SECONDS = 300.0
HARD_SECONDS = 3_600.0
# A session that wanders further forgets its oldest caches.
MAX_CACHES = 8


@dataclass(frozen=True, slots=True)
class PromptCache:
    """What is believed of the prompt's cache at one placement; times are monotonic seconds."""

    tokens: int
    since: float
    used_at: float

    def is_warm(self, now: float) -> bool:
        """Whether it can still be there: providers forget what is idle, and in the end everything."""
        return now - self.used_at < IDLE_SECONDS and now - self.since < HARD_SECONDS


@dataclass(frozen=True, slots=True)
class Session:
    """What is known of a session: the last route, who served it (the anchor), and what is cached where.

    `price` is the anchor's when it served, None where nobody knows it. `context_tokens` are prompt and answer of the
    last turn. `used_at` is monotonic seconds.
    """

    route: str | None
    anchor: Placement
    price: PriceVersion | None
    context_tokens: int
    used_at: float
    caches: Mapping[Placement, PromptCache]
    totals: SwitchTotals = field(default_factory=SwitchTotals)

    def is_warm(self, now: float) -> bool:
        """Whether there is a cache to leave."""
        return self.caches[self.anchor].is_warm(now)

    def warm_tokens(self, placement: Placement, now: float) -> int:
        """Return how many tokens are believed cached at a placement."""
        cache = self.caches.get(placement)
        return cache.tokens if cache is not None and cache.is_warm(now) else 0


@dataclass(frozen=True, slots=True)
class Offer:
    """Who may serve a request by its route: the route's pool, and the fallbacks for when nobody in it can.

    Both are in the policy's order; targets that differ in the credential only stand together. `is_resting` says who
    gets no request now.
    """

    route: str | None
    pool: tuple[Target, ...]
    fallbacks: tuple[Target, ...]
    is_resting: Callable[[Target], bool]

    @property
    def targets(self) -> tuple[Target, ...]:
        """Everybody, in order."""
        return self.pool + self.fallbacks

    @property
    def well(self) -> tuple[Target, ...]:
        """Those who may be asked now: of the pool, or of the fallbacks when nobody in it can."""
        for group in (self.pool, self.fallbacks):
            well = tuple(each for each in group if not self.is_resting(each))
            if well:
                return well
        return ()


@dataclass(frozen=True, slots=True)
class Asking:
    """How a request stands in its session; `context_tokens` are our guess of its prompt, `now` is monotonic seconds.

    `cap_ppm` is how much of the base switches may cost, in parts per million.
    """

    context_tokens: int
    in_tool_loop: bool
    at_micros: int
    now: float
    cap_ppm: int = DEFAULT_CAP_PPM


@dataclass(frozen=True, slots=True)
class Choice:
    """The order in which a request's targets are asked, and what that means for its session.

    `basis` is `tool_loop` or `switch_vetoed` where the session decided who is first, else None. `base_nano` is what the
    turn adds to the base; `begins` says that nothing was warm, so that the totals begin anew.
    """

    route: str | None
    targets: tuple[Target, ...]
    basis: str | None = None
    switch: SwitchRecord | None = None
    base_nano: int = 0
    begins: bool = True


def placement_of(target: Target) -> Placement:
    """Return the model and provider of a target."""
    return Placement(target.model.id, target.provider.name)


def choose(session: Session | None, asking: Asking, offer: Offer) -> Choice:
    """Return whom to ask first: the policy's choice, unless an open tool call or the price of leaving keeps the anchor.

    Nobody who cannot serve is kept. Outside a tool call only a member of the pool is: which models a task may have is
    the operator's word, and a cache does not overrule it.
    """
    well = offer.well
    choice = Choice(offer.route, offer.targets)
    if session is None or not well:
        return choice
    weighed = _weighed(session, asking, offer, well[0]) if session.is_warm(asking.now) else None
    if weighed is not None:
        adds = weighed.totals.base_nano - session.totals.base_nano
        choice = replace(choice, base_nano=adds, begins=False)
    stays = _anchor_first(session.anchor, offer)
    if asking.in_tool_loop and _is_well(session.anchor, offer):
        return replace(choice, targets=stays, basis="tool_loop")
    if weighed is None or weighed.is_taken:
        return replace(choice, switch=weighed)
    return replace(choice, targets=stays, basis="switch_vetoed", switch=weighed)


def learned(session: Session | None, choice: Choice, served: Placement, usage: Usage, now: float) -> Session:
    """Return the session after a request was served, whoever it was that served."""
    target = next((each for each in choice.targets if placement_of(each) == served), None)
    price = None if target is None else target.price
    totals = SwitchTotals() if session is None or choice.begins else session.totals
    return Session(
        route=choice.route,
        anchor=served,
        price=price,
        context_tokens=usage.input_total + usage.output_total,
        used_at=now,
        caches=_with_cache({} if session is None else session.caches, served, tokens_cached(usage, price), now),
        totals=totals.plus(choice.base_nano, _spent(choice.switch, served)),
    )


def _with_cache(
    caches: Mapping[Placement, PromptCache], served: Placement, tokens: int, now: float
) -> Mapping[Placement, PromptCache]:
    before = caches.get(served)
    since = before.since if before is not None and before.is_warm(now) else now
    kept = [(placement, cache) for placement, cache in caches.items() if placement != served]
    return MappingProxyType(dict([*kept[1 - MAX_CACHES :], (served, PromptCache(tokens, since, now))]))


def _spent(switch: SwitchRecord | None, served: Placement) -> int:
    """Return what the switch cost, where it was made: after a failure somebody else served."""
    if switch is None or switch.cost_nano is None or not switch.is_taken or served != switch.candidate:
        return 0
    return switch.cost_nano


def _anchor_first(anchor: Placement, offer: Offer) -> tuple[Target, ...]:
    return tuple(sorted(offer.targets, key=lambda each: placement_of(each) != anchor))


def _is_well(anchor: Placement, offer: Offer) -> bool:
    return any(placement_of(each) == anchor and not offer.is_resting(each) for each in offer.targets)


def _weighed(session: Session, asking: Asking, offer: Offer, first: Target) -> SwitchRecord:
    anchor, candidate = session.anchor, placement_of(first)
    context = max(asking.context_tokens, session.context_tokens)
    warm = session.warm_tokens(candidate, asking.now)
    here = _anchor_rates(session, asking, offer, context)
    there = input_rates(first.price, context, asking.at_micros)
    totals = session.totals if here is None else session.totals.plus(base_nano(context, here))
    if candidate == anchor:
        return SwitchRecord(SwitchVerdict.SAME, anchor, candidate, 0, context, warm, asking.cap_ppm, totals)
    cost = None if here is None or there is None else switch_cost_nano(context, warm, there, here)
    verdict = totals.verdict(cost, asking.cap_ppm)
    may_stay = any(placement_of(each) == anchor for each in offer.well)
    return SwitchRecord(verdict, anchor, candidate, cost, context, warm, asking.cap_ppm, totals, not may_stay)


def _anchor_rates(session: Session, asking: Asking, offer: Offer, context: int) -> InputRates | None:
    """Return the anchor's rates, at its price of now where it may serve; what it did not cache is read fresh."""
    target = next((each for each in offer.targets if placement_of(each) == session.anchor), None)
    price = session.price if target is None else target.price
    rates = None if price is None else input_rates(price, context, asking.at_micros)
    if rates is None or session.caches[session.anchor].tokens:
        return rates
    return rates.uncached()
