"""The break-even between paying by the token and by the hour: figures, an outcome, its sensitivity and the answer.

What hours cost is breakeven_traffic's; which prices, tokens and measurements go in is the service's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from headrace.domain.breakeven_traffic import (
    BreakEven,
    Dedicated,
    HourLoad,
    HourPaid,
    Never,
    Traffic,
    dedicated_nano,
    find_break_even,
    paid_hours,
    serverless_nano,
)
from headrace.domain.decimals import format_scaled
from headrace.domain.money import PICO_PER_NANO, PPM

PRICE_STEPS_PPM = (800_000, 1_200_000)
UTILISATIONS_PPM = (500_000, 700_000, 900_000)
CACHE_SHARES_PPM = (0, 500_000, 900_000)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its unit: an input says where it is from, a result by which formula of other figures it is made.

    `exact` is the fraction behind a rounded value.
    """

    name: str
    value: int | str | None
    unit: str
    source: str = ""
    formula: str = ""
    exact: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A traffic and the replicas that would serve it.

    The traffic is served `scale` times; break-even is looked for in steps of 1/`parts` of it. `per_hour` is how many
    requests an hour the traffic has at scale 1; `days` is how many days it is.
    """

    traffic: Traffic
    fleet: Dedicated
    scale: Fraction
    parts: int
    per_hour: Fraction


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both ways cost, and where they break even.

    `capacity` is how many requests like these one replica serves in an hour, `needed` how many would pay for it.
    """

    serverless_nano: int
    dedicated_nano: int
    paid: tuple[HourPaid, ...]
    break_even: BreakEven
    per_hour: Fraction
    capacity: int | None = None
    needed: int | None = None

    @property
    def first(self) -> int | None:
        """From how many requests an hour on dedicated costs no more, rounded up."""
        return _requests(self.break_even.first, self.per_hour)

    @property
    def always(self) -> int | None:
        """From how many requests an hour on it never costs more again, rounded up."""
        return _requests(self.break_even.always, self.per_hour)

    @property
    def dedicated_wins(self) -> bool:
        """Whether dedicated costs less for the traffic as it is."""
        return self.dedicated_nano < self.serverless_nano


@dataclass(frozen=True, slots=True)
class Variation:
    """The outcome with one input changed."""

    input: str
    change: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class HourRow:
    """One hour of the ledger as both ways cost it."""

    hour_start_micros: int
    requests: int
    replicas: int
    serverless_nano: int
    dedicated_nano: int


@dataclass(frozen=True, slots=True)
class Report:
    """A question answered: the sentence, every figure behind it, and what to beware of."""

    form: str
    answer: str
    outcome: Outcome
    inputs: tuple[Figure, ...]
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    sensitivity: tuple[Variation, ...] = ()
    hours: tuple[HourRow, ...] = ()


def evaluate(case: Case) -> Outcome:
    """Return what a case costs both ways and where it breaks even."""
    paid = paid_hours(case.traffic, case.fleet, case.scale)
    return Outcome(
        serverless_nano=sum(serverless_nano(each, case.scale) for each in case.traffic.hours),
        dedicated_nano=sum(dedicated_nano(each, case.fleet) for each in paid),
        paid=paid,
        break_even=find_break_even(case.traffic, case.fleet, case.parts),
        per_hour=case.per_hour,
        capacity=capacity_per_replica(case),
        needed=needed_per_replica(case),
    )


def capacity_per_replica(case: Case) -> int | None:
    """Return how many requests of the mean size one replica serves in an hour, rounded down; None for no work."""
    traffic = case.traffic
    served = traffic.units_per_hour * case.fleet.utilisation_ppm * traffic.requests
    return served // (traffic.work * PPM) if traffic.work else None


def needed_per_replica(case: Case) -> int | None:
    """Return how many requests of the mean price pay for one replica that always runs, rounded up; None when free."""
    traffic = case.traffic
    owed = case.fleet.nano_per_hour * PICO_PER_NANO * traffic.requests
    return -(-owed // traffic.serverless_pico) if traffic.serverless_pico else None


def sensitivity(case: Case, recached: Callable[[int], Traffic]) -> tuple[Variation, ...]:
    """Return the outcomes with one input changed at a time; `recached` is the traffic at another share of the cache."""
    return tuple(Variation(name, change, evaluate(varied)) for name, change, varied in _variations(case, recached))


def _variations(case: Case, recached: Callable[[int], Traffic]) -> Iterator[tuple[str, str, Case]]:
    fleet = case.fleet
    for step in PRICE_STEPS_PPM:
        dearer = replace(fleet, nano_per_hour=max(1, fleet.nano_per_hour * step // PPM))
        yield "gpu_usd_per_hour", _percent_change(step), replace(case, fleet=dearer)
    for step in PRICE_STEPS_PPM:
        yield "serverless prices", _percent_change(step), replace(case, traffic=_priced(case.traffic, step))
    for step in PRICE_STEPS_PPM:
        yield "tokens_per_second", _percent_change(step), replace(case, traffic=_faster(case.traffic, step))
    for share in UTILISATIONS_PPM:
        yield "utilisation_percent", percent(share), replace(case, fleet=replace(fleet, utilisation_ppm=share))
    for share in CACHE_SHARES_PPM:
        yield "cached share of the input", percent(share), replace(case, traffic=recached(share))


def verdict(outcome: Outcome, costs: str, span: str) -> str:
    """Return the answer in words, which begin like "Dedicated costs"; `span` is what it costs so much for."""
    costs = f"{costs} {usd(outcome.dedicated_nano)} instead of {usd(outcome.serverless_nano)} {span}"
    if outcome.first is None:
        return f"{costs}; it cannot win, because {because(outcome)}."
    wins = f"it wins from {outcome.first:,} requests an hour on"
    if outcome.always is None:
        return f"{costs}; {wins}, but loses again at some loads above, where a further replica starts."
    if outcome.always != outcome.first:
        return f"{costs}; {wins}, and at every load from {outcome.always:,} on."
    return f"{costs}; {wins}."


def because(outcome: Outcome) -> str:
    """Return why dedicated cannot win, in words that follow "because"."""
    match outcome.break_even.reason:
        case Never.NO_TRAFFIC:
            return "there was no traffic"
        case Never.FREE:
            return "serverless costs nothing for this traffic"
        case Never.CAPACITY:
            return (
                f"one replica serves at most {outcome.capacity or 0:,} such requests an hour and it takes "
                f"{outcome.needed or 0:,} to pay for it: more traffic only needs more replicas"
            )
        case _:
            return "no load was found at which it does: starts and idle hours eat what it saves"


def break_even_figures(outcome: Outcome, condition: str, parts: int) -> Iterator[Figure]:
    """Yield the loads at which dedicated costs no more; `condition` says when that is."""
    found = outcome.break_even
    step = "" if parts == 1 else f", in steps of 1/{parts:,} of the traffic"
    yield Figure(
        "break_even_requests_per_hour",
        outcome.first,
        "requests/h",
        formula=f"the smallest rate at which {condition}{step}, rounded up",
        exact="" if found.first is None else str(found.first * outcome.per_hour),
    )
    yield Figure(
        "always_wins_from_requests_per_hour",
        outcome.always,
        "requests/h",
        formula=f"the smallest rate at which, and at every greater one, {condition}{step}, rounded up",
        exact="" if found.always is None else str(found.always * outcome.per_hour),
    )


def usd(amount_nano: int) -> str:
    """Return an amount in dollars, with cents and all further digits that it has."""
    dollars, _, parts = format_scaled(amount_nano, 9).partition(".")
    return f"${int(dollars):,}.{parts.ljust(2, '0')}"


def percent(ppm: int) -> str:
    """Return parts per million as a percentage."""
    return f"{format_scaled(ppm, 4)} %"


def _percent_change(step_ppm: int) -> str:
    change = step_ppm - PPM
    return f"{'+' if change > 0 else ''}{percent(change)}"


def _requests(scale: Fraction | None, per_hour: Fraction) -> int | None:
    return None if scale is None else math.ceil(scale * per_hour)


def _priced(traffic: Traffic, step_ppm: int) -> Traffic:
    return replace(
        traffic,
        hours=tuple(replace(each, serverless_pico=each.serverless_pico * step_ppm // PPM) for each in traffic.hours),
    )


def _faster(traffic: Traffic, step_ppm: int) -> Traffic:
    def slower(hour: HourLoad) -> HourLoad:
        return replace(hour, work=hour.work * PPM)

    hours = tuple(slower(each) for each in traffic.hours)
    return replace(traffic, hours=hours, units_per_hour=traffic.units_per_hour * step_ppm)
