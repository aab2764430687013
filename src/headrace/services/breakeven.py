"""Answers break-even questions from the catalog, the accelerators and the ledger; the formulas are the domain's."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from headrace.domain.accelerator import Accelerator, AcceleratorBook, Measurement
from headrace.domain.breakeven import Report
from headrace.domain.breakeven_full import (
    Discounts,
    FullQuestion,
    SimpleQuestion,
    full_report,
    simple_report,
)
from headrace.domain.breakeven_ledger import MICROS_PER_HOUR, LedgerQuestion, ledger_report
from headrace.domain.breakeven_question import Asked, Form
from headrace.domain.breakeven_request import HOURS_PER_DAY, Rates, Shape, request_pico
from headrace.domain.catalog import Model
from headrace.domain.decimals import format_scaled
from headrace.domain.errors import ConfigInvalid, InvalidRequest
from headrace.domain.money import PICO_PER_NANO
from headrace.domain.snapshot import Snapshot
from headrace.domain.usage_hour import UsageHour
from headrace.ports.accelerators import Accelerators
from headrace.ports.ambient import Clock, Offload
from headrace.ports.usage import UsageHours
from headrace.services.breakeven_inputs import (
    ASKED,
    DEFAULT,
    PERCENT_PLACES,
    Collected,
    find_accelerator,
    find_fleet,
    find_hour_price,
    find_model,
    find_rates,
    find_speed,
    flag,
    origin,
    price_in_force,
    rates_of,
    require_speed,
)
from headrace.services.snapshots import Snapshots

# The published example multiplies so many tokens by the input price: 1.99 / 234 / 5 * 1000000, rounded up.
# Source: https://www.digitalocean.com/blog/your-infrastructure-matters (read 2026-11-24).
EXAMPLE_TOKENS = 1_701
EXAMPLE_SOURCE = "the public example: 1.99 / 234 / 5 * 1000000, rounded up"
TYPICAL = Shape(1_200, 0, 0, 500, 0)
EXAMPLE = "an example: 1,200 in and 500 out; give your own"
MICROS_PER_SECOND = 1_000_000
ALL_MODELS = "all models"


class Breakeven:
    """Answers questions with the snapshot of the moment and the accelerator files as they are."""

    def __init__(
        self, snapshots: Snapshots, accelerators: Accelerators, usage: UsageHours, clock: Clock, offload: Offload
    ) -> None:
        self._snapshots = snapshots
        self._accelerators = accelerators
        self._usage = usage
        self._clock = clock
        self._offload = offload

    async def answer(self, asked: Asked) -> Report:
        """Return the report; raises InvalidRequest for what cannot be found or is not known."""
        try:
            book = await self._offload.run(self._accelerators.read)
        except ConfigInvalid as error:
            raise InvalidRequest(error.message, code=error.code, param=error.param, extra=error.extra) from error
        question = _Question(asked, self._snapshots.current(), book, self._today())
        if asked.form is not Form.LEDGER:
            return await self._offload.run(question.simple if asked.form is Form.SIMPLE else question.full)
        hours = asked.days * HOURS_PER_DAY
        ends = (self._clock.unix_micros() // MICROS_PER_HOUR + 1) * MICROS_PER_HOUR
        since = ends - hours * MICROS_PER_HOUR
        model_id = None if asked.model is None else find_model(asked, question.snapshot).id
        usage = await self._usage.hours(since, ends, model_id)
        if asked.provider is not None:
            usage = tuple(each for each in usage if each.provider == asked.provider)
        return await self._offload.run(question.ledger, since, usage)

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock.unix_micros() // MICROS_PER_SECOND, UTC).date().isoformat()


class _Question:
    """One question while it is answered."""

    def __init__(self, asked: Asked, snapshot: Snapshot, book: AcceleratorBook, today: str) -> None:
        self.asked = asked
        self.snapshot = snapshot
        self._book = book
        self._today = today
        self._day = asked.on or today
        self._seen = Collected()

    def simple(self) -> Report:
        asked, seen = self.asked, self._seen
        model, requests = self._model(), self._requests()
        gpu = self._gpu()
        rates = find_rates(asked, model, self._day, seen, only_input=True)
        nano_per_hour = find_hour_price(asked, gpu, self._day, self._today, seen)
        tokens = asked.tokens_per_request or EXAMPLE_TOKENS
        seen.add(
            "tokens_per_request", tokens, "tokens", ASKED if asked.tokens_per_request is not None else EXAMPLE_SOURCE
        )
        report = simple_report(SimpleQuestion(rates.input_pico, nano_per_hour, tokens, requests), tuple(seen.figures))
        self._beware(model, nano_per_hour)
        return replace(report, notes=tuple(seen.notes))

    def full(self) -> Report:
        asked, seen = self.asked, self._seen
        model, requests = self._model(), self._requests()
        gpu = self._gpu()
        rates = find_rates(asked, model, self._day, seen)
        shape, discounts = self._shape(), self._discounts()
        nano_per_hour = find_hour_price(asked, gpu, self._day, self._today, seen)
        runs, measured = self._runs(model.id, gpu)
        speed = find_speed(asked, gpu, runs, measured, seen)
        require_speed(speed, runs, gpu, writes=bool(shape.output_tokens + shape.reasoning_tokens))
        fleet = find_fleet(asked, nano_per_hour, _warm_up(measured), seen)
        question = FullQuestion(rates, shape, discounts, speed, fleet, requests, asked.active_hours_per_day)
        report = full_report(question, tuple(seen.figures))
        return replace(report, notes=tuple(seen.notes))

    def ledger(self, since_micros: int, usage: tuple[UsageHour, ...]) -> Report:
        asked, seen = self.asked, self._seen
        traffic_of = ALL_MODELS if asked.model is None else find_model(asked, self.snapshot).id
        seen.add("model", traffic_of, "name", ASKED if asked.model is not None else DEFAULT)
        seen.add("days", asked.days, "days", f"{origin(asked, 'days')}; the last hour is under way")
        gpu = self._gpu()
        nano_per_hour = find_hour_price(asked, gpu, self._day, self._today, seen)
        runs, measured = self._runs(traffic_of, gpu)
        speed = find_speed(asked, gpu, runs, measured, seen)
        written = sum(each.output_text + each.output_reasoning for each in usage)
        if usage:
            require_speed(speed, runs, gpu, writes=bool(written))
        fleet = find_fleet(asked, nano_per_hour, _warm_up(measured), seen)
        if speed.input_milli is None and any(not each.output_text + each.output_reasoning for each in usage):
            seen.note(f"What wrote nothing is taken for no work: give {flag('input_tokens_per_second')}.")
        question = LedgerQuestion(
            since_micros, asked.days * HOURS_PER_DAY, usage, speed, fleet, self._rates_by_model(usage)
        )
        seen.note(
            "Serverless is the cost that the ledger booked, which is owed upstream, not the charge; prices that have "
            "changed since are in it as they were."
        )
        report = ledger_report(question, tuple(seen.figures))
        return replace(report, notes=tuple(seen.notes))

    def _model(self) -> Model:
        model = find_model(self.asked, self.snapshot)
        self._seen.add("model", model.id, "name", f"catalog, provider {model.provider}")
        return model

    def _gpu(self) -> Accelerator:
        gpu = find_accelerator(self.asked, self._book)
        self._seen.add("gpu", gpu.slug, "name", ASKED)
        return gpu

    def _requests(self) -> int:
        requests = self.asked.requests_per_hour
        if requests is None:
            raise InvalidRequest(
                f"How many requests an hour? Give {flag('requests_per_hour')}.", param="requests_per_hour"
            )
        self._seen.add("requests_per_hour", requests, "requests/h", ASKED)
        return requests

    def _shape(self) -> Shape:
        asked = self.asked
        shape = Shape(
            TYPICAL.input_tokens if asked.input_tokens is None else asked.input_tokens,
            asked.cached_tokens,
            asked.cache_write_tokens,
            TYPICAL.output_tokens if asked.output_tokens is None else asked.output_tokens,
            asked.reasoning_tokens,
        )
        for name in ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"):
            is_example = getattr(asked, name) is None
            self._seen.add(name, getattr(shape, name), "tokens/request", EXAMPLE if is_example else origin(asked, name))
        if not any((shape.input_tokens, shape.cache_write_tokens, shape.output_tokens, shape.reasoning_tokens)):
            raise InvalidRequest(
                f"A request without tokens is no work: give {flag('input_tokens')} or {flag('output_tokens')}.",
                param="input_tokens",
            )
        return shape

    def _discounts(self) -> Discounts:
        asked, seen = self.asked, self._seen
        for name in ("batch_share_percent", "batch_price_percent", "off_peak_price_percent"):
            seen.add(name, format_scaled(getattr(asked, name), PERCENT_PLACES), "%", origin(asked, name))
        seen.add("active_hours_per_day", asked.active_hours_per_day, "h", origin(asked, "active_hours_per_day"))
        seen.add("off_peak_hours", asked.off_peak_hours, "h of the active ones", origin(asked, "off_peak_hours"))
        return Discounts(
            asked.batch_share_percent, asked.batch_price_percent, asked.off_peak_hours, asked.off_peak_price_percent
        )

    def _runs(self, model: str, gpu: Accelerator) -> tuple[str, tuple[Measurement, ...]]:
        """Return what dedicated runs, and what was measured of it; says what that means for quality."""
        asked, seen = self.asked, self._seen
        runs = asked.stand_in or model
        seen.add("dedicated_runs", runs, "name", ASKED if asked.stand_in else "the same as serverless")
        if asked.stand_in is not None:
            quality = asked.quality_note or "nothing here says that it answers as well: evaluate both on your prompts"
            seen.note(f"Dedicated runs {runs} in the place of {model}: {quality}.")
        elif model == ALL_MODELS:
            seen.note(
                "Dedicated is taken to answer for all models on the same replicas: name the model that would run with "
                f"{flag('stand_in')}, or ask about one with {flag('model')}."
            )
        else:
            seen.note(
                f"Dedicated is taken to run {model}: where its weights cannot be had, name what would run instead with "
                f"{flag('stand_in')}."
            )
        seen.note(f"Whether its weights fit into {asked.gpus} x {gpu.memory_gb} GB was not checked.")
        return runs, self._book.measured(gpu, asked.gpus, runs, self._day)

    def _rates_by_model(self, usage: tuple[UsageHour, ...]) -> dict[tuple[str, str], Rates]:
        found: dict[tuple[str, str], Rates] = {}
        for model_id, provider in sorted({(each.model_id, each.provider) for each in usage}):
            entries = self.snapshot.models.get(model_id, ())
            model = next((each.model for each in entries if each.model.provider == provider), None)
            price = None if model is None else price_in_force(model, self._day, self._seen)
            if price is None:
                self._seen.note(
                    f"{model_id} at {provider} has no price in the catalog now: another cache share leaves it as it is."
                )
            else:
                found[model_id, provider] = rates_of(price)
        return found

    def _beware(self, model: Model, nano_per_hour: int) -> None:
        """Say what the form of three variables leaves out."""
        price, note = model.price_on(self._day) or next(iter(model.prices), None), self._seen.note
        typical = 0 if price is None else request_pico(rates_of(price), TYPICAL)
        figure = ""
        if typical:
            found = math.ceil(Fraction(nano_per_hour * PICO_PER_NANO, typical))
            figure = f": with {TYPICAL.input_tokens:,} in and {TYPICAL.output_tokens:,} out it is {found:,} requests/h"
        note(f"Output prices are not in this simple form{figure}.")
        note(
            f"Whether one GPU serves so many requests was not checked, nor integer replicas, a spare and warm-up: give "
            f"{flag('tokens_per_second')} in the full form."
        )
        note(
            f"Dedicated is taken to run {model.id}: where its weights cannot be had, compare with a "
            f"{flag('stand_in')} in the full form."
        )
        note("Cached and reasoning tokens, batch and time-of-day prices are not in it: the full form has them.")
        note("An hour below break-even costs the whole hour: --from-ledger takes your own traffic hour by hour.")


def _warm_up(measured: tuple[Measurement, ...]) -> Measurement | None:
    return next((each for each in measured if each.warm_up_millis is not None), None)
