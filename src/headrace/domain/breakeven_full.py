"""The break-even of one request's shape: the form of three variables and the full form; pure formulas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from headrace.domain.breakeven import Case, Figure, Outcome, Report, break_even_figures, evaluate, sensitivity, verdict
from headrace.domain.breakeven_request import (
    HOURS_PER_DAY,
    REPLICA_PRICE,
    Rates,
    Shape,
    Speed,
    cached_at,
    request_pico,
)
from headrace.domain.breakeven_traffic import HOUR_SECONDS, BreakEven, Dedicated, HourLoad, Never, Traffic
from headrace.domain.decimals import format_scaled
from headrace.domain.money import PICO_PER_NANO, PPM, divide_half_even, format_usd_per_mtok

PICO_PLACES, NANO_PLACES = 12, 9
PER_REQUEST = (
    "(input_tokens * input_usd_per_mtok + cached_tokens * cache_read_usd_per_mtok"
    " + cache_write_tokens * cache_write_usd_per_mtok + output_tokens * output_usd_per_mtok"
    " + reasoning_tokens * reasoning_usd_per_mtok) / 1000000"
)
PER_DAY = (
    "requests_per_hour * serverless_usd_per_request"
    " * (active_hours_per_day - off_peak_hours * (1 - off_peak_price_percent / 100))"
    " * (1 - batch_share_percent / 100 * (1 - batch_price_percent / 100))"
)
BUSY = (
    "(output_tokens + reasoning_tokens) / tokens_per_second"
    " + (input_tokens + cache_write_tokens) / input_tokens_per_second (0 where that is not given)"
)
PAID = (
    "for each hour of the day: replicas * 3600, and warm_up_seconds for each start; with sleep_after_minutes the least"
    " replicas are paid for requests * max(300, warm_up_seconds + sleep_after_minutes * 60 +"
    " replica_seconds_per_request) at most, and sleep_after_minutes into an empty hour"
)
EFFECTIVE = "replica_usd_per_hour / (tokens_per_second * 3600 * utilisation_percent / 100) * 1000000"


@dataclass(frozen=True, slots=True)
class SimpleQuestion:
    """Model, GPU and requests per hour, as their prices."""

    input_pico: int
    nano_per_hour: int
    tokens_per_request: int
    requests_per_hour: int


@dataclass(frozen=True, slots=True)
class Discounts:
    """What is not paid in full: a share of requests in batches, and hours of the day at another price."""

    batch_share_ppm: int = 0
    batch_price_ppm: int = PPM
    off_peak_hours: int = 0
    off_peak_price_ppm: int = PPM


@dataclass(frozen=True, slots=True)
class FullQuestion:
    """A day of requests at an even rate in its active hours."""

    rates: Rates
    shape: Shape
    discounts: Discounts
    speed: Speed
    fleet: Dedicated
    requests_per_hour: int
    active_hours: int = HOURS_PER_DAY


def simple_report(question: SimpleQuestion, sources: tuple[Figure, ...]) -> Report:
    """Return the form of three variables: every token at the input price, one GPU that is never full."""
    nano_per_hour, requests = question.nano_per_hour, question.requests_per_hour
    per_request = question.tokens_per_request * question.input_pico
    exact = Fraction(nano_per_hour * PICO_PER_NANO, per_request) if per_request else None
    outcome = Outcome(
        serverless_nano=divide_half_even(requests * per_request, PICO_PER_NANO),
        dedicated_nano=nano_per_hour,
        paid=(),
        break_even=_at_once(exact),
        per_hour=Fraction(1),
    )
    request_price = "tokens_per_request * input_usd_per_mtok / 1000000"
    figures = (
        Figure("serverless_usd_per_request", format_scaled(per_request, PICO_PLACES), "USD", formula=request_price),
        Figure(
            "serverless_usd_per_hour",
            format_scaled(outcome.serverless_nano, NANO_PLACES),
            "USD/h",
            formula="requests_per_hour * serverless_usd_per_request",
        ),
        Figure(
            "dedicated_usd_per_hour", format_scaled(nano_per_hour, NANO_PLACES), "USD/h", formula="gpu_usd_per_hour"
        ),
        Figure(
            "break_even_requests_per_hour",
            outcome.first,
            "requests/h",
            formula="dedicated_usd_per_hour / serverless_usd_per_request, rounded up",
            exact="" if exact is None else str(exact),
        ),
    )
    return Report("simple", verdict(outcome, "Dedicated costs", "an hour"), outcome, sources, figures)


def full_report(question: FullQuestion, sources: tuple[Figure, ...]) -> Report:
    """Return the full form: a day at an even rate, with capacity, replicas, starts and every token class."""
    case = Case(
        traffic=_day(question),
        fleet=question.fleet,
        scale=Fraction(question.requests_per_hour),
        parts=1,
        per_hour=Fraction(1),
    )
    outcome = evaluate(case)
    return Report(
        form="full",
        answer=verdict(outcome, "Dedicated costs", "a day"),
        outcome=outcome,
        inputs=sources,
        figures=tuple(_full_figures(question, case, outcome)),
        sensitivity=sensitivity(case, lambda share: _day(replace(question, shape=cached_at(question.shape, share)))),
    )


def _at_once(exact: Fraction | None) -> BreakEven:
    return BreakEven(None, None, Never.FREE) if exact is None else BreakEven(exact, exact)


def _day(question: FullQuestion) -> Traffic:
    """One request in each active hour; the first hours of a day are the active ones, of them the first off-peak."""
    discounts, shape = question.discounts, question.shape
    batch = PPM * PPM - discounts.batch_share_ppm * (PPM - discounts.batch_price_ppm)
    in_full = request_pico(question.rates, shape) * batch
    work = _work_of(question.speed, shape)

    def hour(number: int) -> HourLoad:
        if number >= question.active_hours:
            return HourLoad(0, 0, 0)
        price = discounts.off_peak_price_ppm if number < discounts.off_peak_hours else PPM
        return HourLoad(1, work, divide_half_even(in_full * price, PPM**3))

    hours = tuple(hour(number) for number in range(HOURS_PER_DAY))
    return Traffic(hours, question.speed.units_per_hour, is_cycle=True)


def _work_of(speed: Speed, shape: Shape) -> int:
    return speed.work(shape.output_tokens + shape.reasoning_tokens, shape.input_tokens + shape.cache_write_tokens)


def _full_figures(question: FullQuestion, case: Case, outcome: Outcome) -> Iterator[Figure]:
    fleet, per_request = question.fleet, request_pico(question.rates, question.shape)
    price, seconds = fleet.nano_per_hour, sum(each.seconds for each in outcome.paid)
    yield Figure("replica_usd_per_hour", format_scaled(price, NANO_PLACES), "USD/h", formula=REPLICA_PRICE)
    yield Figure("serverless_usd_per_request", format_scaled(per_request, PICO_PLACES), "USD", formula=PER_REQUEST)
    yield Figure(
        "serverless_usd_per_day", format_scaled(outcome.serverless_nano, NANO_PLACES), "USD/day", formula=PER_DAY
    )
    yield from _capacity_figures(question, outcome)
    yield Figure("paid_replica_seconds_per_day", seconds, "s", formula=PAID)
    yield Figure(
        "dedicated_usd_per_day",
        format_scaled(outcome.dedicated_nano, NANO_PLACES),
        "USD/day",
        formula="paid_replica_seconds_per_day / 3600 * replica_usd_per_hour",
    )
    yield Figure(
        "requests_that_pay_for_a_replica",
        outcome.needed,
        "requests/h",
        formula="replica_usd_per_hour / (serverless_usd_per_day / (requests_per_hour * active_hours_per_day)),"
        " rounded up",
    )
    yield from break_even_figures(outcome, "dedicated_usd_per_day ≤ serverless_usd_per_day", case.parts)
    if question.speed.output_milli is not None:
        pico = divide_half_even(
            price * PICO_PER_NANO * 1_000 * PPM, question.speed.output_milli * 3_600 * fleet.utilisation_ppm
        )
        yield Figure("effective_output_usd_per_mtok", format_usd_per_mtok(pico), "USD/Mtok", formula=EFFECTIVE)


def _capacity_figures(question: FullQuestion, outcome: Outcome) -> Iterator[Figure]:
    busy = Fraction(_work_of(question.speed, question.shape) * HOUR_SECONDS, question.speed.units_per_hour)
    yield Figure(
        "replica_seconds_per_request",
        format_scaled(round(busy * 10**NANO_PLACES), NANO_PLACES),
        "s",
        formula=BUSY,
        exact=str(busy),
    )
    yield Figure(
        "capacity_per_replica",
        outcome.capacity,
        "requests/h",
        formula="3600 * utilisation_percent / 100 / replica_seconds_per_request, rounded down",
    )
    yield Figure(
        "replicas",
        max(each.replicas for each in outcome.paid),
        "replica",
        formula="max(1, min_replicas, requests_per_hour * replica_seconds_per_request / 3600"
        " / (utilisation_percent / 100), rounded up) + spare_replicas, at most in a day",
    )
