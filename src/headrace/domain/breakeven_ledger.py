"""The break-even of the hours that the ledger holds: what dedicated would have cost; pure formulas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from headrace.domain.breakeven import (
    Case,
    Figure,
    HourRow,
    Outcome,
    Report,
    break_even_figures,
    evaluate,
    sensitivity,
    verdict,
)
from headrace.domain.breakeven_request import HOURS_PER_DAY, REPLICA_PRICE, Rates, Speed
from headrace.domain.breakeven_traffic import (
    Dedicated,
    HourLoad,
    Traffic,
    dedicated_nano,
    serverless_nano,
)
from headrace.domain.decimals import format_scaled
from headrace.domain.money import PICO_PER_NANO, PPM
from headrace.domain.usage_hour import UsageHour

MICROS_PER_HOUR = 3_600_000_000
LEDGER_PARTS = 1_000
NANO_PLACES = 9
PAID = (
    "for each hour: (max(1, min_replicas, its work / 3600 / (utilisation_percent / 100), rounded up) + spare_replicas)"
    " * 3600, and warm_up_seconds for each start; with sleep_after_minutes the least replicas are paid for requests *"
    " max(300, warm_up_seconds + sleep_after_minutes * 60 + work of one) at most, and sleep_after_minutes into an"
    " empty hour"
)


@dataclass(frozen=True, slots=True)
class LedgerQuestion:
    """Hours of the ledger from `since_micros` on; `rates`, by model and provider, price another share of the cache."""

    since_micros: int
    hours: int
    usage: tuple[UsageHour, ...]
    speed: Speed
    fleet: Dedicated
    rates: Mapping[tuple[str, str], Rates]


def ledger_report(question: LedgerQuestion, sources: tuple[Figure, ...]) -> Report:
    """Return what dedicated would have cost for the hours that were served, and from which load on it wins."""
    case = ledger_case(question)
    outcome = evaluate(case)
    days = Fraction(question.hours, HOURS_PER_DAY)
    span = "in the last day" if days == 1 else f"in the last {days} days"
    return Report(
        form="ledger",
        answer=verdict(outcome, "Dedicated would have cost", span),
        outcome=outcome,
        inputs=sources,
        figures=tuple(_ledger_figures(question, case, outcome)),
        sensitivity=sensitivity(case, lambda share: ledger_case(_recached(question, share)).traffic),
        hours=tuple(_rows(question, case, outcome)),
    )


def ledger_case(question: LedgerQuestion) -> Case:
    """Return the hours of the ledger as traffic, empty hours in their places; serverless is the booked cost."""
    slots: list[list[UsageHour]] = [[] for _ in range(question.hours)]
    for each in question.usage:
        slots[(each.hour_start_micros - question.since_micros) // MICROS_PER_HOUR].append(each)
    traffic = Traffic(tuple(_hour_load(slot, question.speed) for slot in slots), question.speed.units_per_hour)
    per_hour = Fraction(traffic.requests, max(1, question.hours))
    return Case(traffic, question.fleet, Fraction(1), LEDGER_PARTS, per_hour)


def _recached(question: LedgerQuestion, share_ppm: int) -> LedgerQuestion:
    def recached(hour: UsageHour) -> UsageHour:
        rates = question.rates.get((hour.model_id, hour.provider))
        if rates is None:
            return hour
        whole = hour.input_fresh + hour.input_cache_read
        cached = whole * share_ppm // PPM
        saved = (cached - hour.input_cache_read) * (rates.input_pico - rates.cache_read_pico)
        cost = max(0, hour.cost_nano - saved // PICO_PER_NANO)
        return replace(hour, input_fresh=whole - cached, input_cache_read=cached, cost_nano=cost)

    return replace(question, usage=tuple(recached(each) for each in question.usage))


def _hour_load(slot: Iterable[UsageHour], speed: Speed) -> HourLoad:
    entries = tuple(slot)
    written = sum(each.output_text + each.output_reasoning for each in entries)
    read = sum(each.input_fresh + each.input_cache_write for each in entries)
    return HourLoad(
        requests=sum(each.requests for each in entries),
        work=speed.work(written, read),
        serverless_pico=sum(each.cost_nano for each in entries) * PICO_PER_NANO,
    )


def _ledger_figures(question: LedgerQuestion, case: Case, outcome: Outcome) -> Iterator[Figure]:
    hours, price = case.traffic.hours, case.fleet.nano_per_hour
    yield Figure("replica_usd_per_hour", format_scaled(price, NANO_PLACES), "USD/h", formula=REPLICA_PRICE)
    yield Figure("requests", case.traffic.requests, "requests", formula="sum of the settled attempts of each hour")
    yield Figure(
        "hours_with_traffic", sum(1 for each in hours if each.requests), "h", formula="hours with a settled attempt"
    )
    yield Figure(
        "mean_requests_per_hour",
        format_scaled(int(case.per_hour * 1_000), 3),
        "requests/h",
        formula="requests / (days * 24)",
        exact=str(case.per_hour),
    )
    yield Figure(
        "busiest_hour", max((each.requests for each in hours), default=0), "requests", formula="max of the hours"
    )
    yield Figure(
        "serverless_usd",
        format_scaled(outcome.serverless_nano, NANO_PLACES),
        "USD",
        formula="sum of the cost that the ledger booked, at the prices of each request's own day",
    )
    yield from _capacity_figures(case, outcome)
    yield Figure(
        "requests_that_pay_for_a_replica",
        outcome.needed,
        "requests/h",
        formula="replica_usd_per_hour / (serverless_usd / requests), rounded up",
    )
    yield Figure(
        "most_replicas", max(each.replicas for each in outcome.paid), "replica", formula="max of the hours, with spare"
    )
    yield Figure("paid_replica_seconds", sum(each.seconds for each in outcome.paid), "s", formula=PAID)
    yield Figure(
        "dedicated_usd",
        format_scaled(outcome.dedicated_nano, NANO_PLACES),
        "USD",
        formula="paid_replica_seconds / 3600 * replica_usd_per_hour",
    )
    yield from break_even_figures(
        outcome, "dedicated_usd ≤ serverless_usd when every hour has so many times its traffic", case.parts
    )


def _capacity_figures(case: Case, outcome: Outcome) -> Iterator[Figure]:
    busy = Fraction(case.traffic.work, len(case.traffic.hours) * case.traffic.units_per_hour)
    yield Figure(
        "busy_replicas_in_the_mean",
        format_scaled(int(busy * 10**6), 6),
        "replica",
        formula="sum of (output / tokens_per_second + uncached input / input_tokens_per_second (0 where that is not"
        " given)) / (days * 24 * 3600)",
        exact=str(busy),
    )
    yield Figure(
        "capacity_per_replica",
        outcome.capacity,
        "requests/h",
        formula="utilisation_percent / 100 * mean_requests_per_hour / busy_replicas_in_the_mean, rounded down",
    )


def _rows(question: LedgerQuestion, case: Case, outcome: Outcome) -> Iterator[HourRow]:
    for number, (hour, paid) in enumerate(zip(case.traffic.hours, outcome.paid, strict=True)):
        yield HourRow(
            hour_start_micros=question.since_micros + number * MICROS_PER_HOUR,
            requests=hour.requests,
            replicas=paid.replicas,
            serverless_nano=serverless_nano(hour, case.scale),
            dedicated_nano=dedicated_nano(paid, case.fleet),
        )
