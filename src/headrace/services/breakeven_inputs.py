"""Looks up what a break-even question names, each number with where it is from; the formulas are the domain's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from headrace.domain.accelerator import Accelerator, AcceleratorBook, Measurement
from headrace.domain.breakeven import Figure, usd
from headrace.domain.breakeven_question import Asked
from headrace.domain.breakeven_request import Rates, Speed
from headrace.domain.breakeven_traffic import NANOS, Dedicated
from headrace.domain.catalog import Model
from headrace.domain.decimals import format_scaled
from headrace.domain.errors import InvalidRequest
from headrace.domain.money import format_usd_per_mtok
from headrace.domain.names import did_you_mean
from headrace.domain.price import PriceVersion
from headrace.domain.snapshot import Snapshot
from headrace.domain.usage import TokenClass

ASKED, DEFAULT = "given in the question", "default"
ASSUMED = "assumed: given in the question, not measured"
MILLI_PLACES, PERCENT_PLACES, NANO_PLACES = 3, 4, 9
NANOS_PER_MILLI = NANOS // 1_000
_DEFAULTS: Mapping[str, object] = MappingProxyType({each.name: each.default for each in fields(Asked)})


@dataclass(slots=True)
class Collected:
    """The inputs and notes of one question, in the order in which they were looked up."""

    figures: list[Figure] = field(default_factory=list[Figure])
    notes: list[str] = field(default_factory=list[str])

    def add(self, name: str, value: int | str | None, unit: str, source: str) -> None:
        """Note one input."""
        self.figures.append(Figure(name, value, unit, source))

    def note(self, text: str) -> None:
        """Note what to beware of."""
        self.notes.append(text)


def origin(asked: Asked, name: str) -> str:
    """Return whether a field has what the question gives, or what it is without."""
    return DEFAULT if getattr(asked, name) == _DEFAULTS[name] else ASKED


def flag(name: str) -> str:
    """Return a field as the API and the command have it."""
    return f'"{name}" (--{name.replace("_", "-")})'


def find_model(asked: Asked, snapshot: Snapshot) -> Model:
    """Return the model that is asked about, as the named provider or the first one serves it; raises InvalidRequest."""
    if asked.model is None:
        raise InvalidRequest(f"Which model? Give {flag('model')}.", param="model")
    alias = snapshot.aliases.get(asked.model)
    name = asked.model if alias is None or asked.model in snapshot.models else alias.points_to
    entries = snapshot.models.get(name)
    if not entries:
        hint = did_you_mean(name, (*snapshot.models, *snapshot.aliases))
        raise InvalidRequest(
            f'No model named "{name[:128]}". {hint or "`headrace models --all` lists them."}',
            code="model_not_found",
            param="model",
        )
    by_provider = {each.model.provider: each.model for each in entries}
    if asked.provider is None:
        return entries[0].model
    if asked.provider not in by_provider:
        raise InvalidRequest(
            f'"{asked.provider[:128]}" does not serve "{name}"; these do: {", ".join(sorted(by_provider))}.',
            param="provider",
        )
    return by_provider[asked.provider]


def find_accelerator(asked: Asked, book: AcceleratorBook) -> Accelerator:
    """Return the GPU that is asked about; raises InvalidRequest."""
    if asked.gpu is None:
        raise InvalidRequest(f"Which GPU? Give {flag('gpu')}, one of {_slugs(book)}.", param="gpu")
    found = book.find(asked.gpu)
    if found is None:
        hint = did_you_mean(asked.gpu, book.names()) or f"Known are: {_slugs(book)}."
        raise InvalidRequest(f'No GPU named "{asked.gpu[:80]}". {hint}', param="gpu")
    return found


def price_in_force(model: Model, day: str, seen: Collected) -> PriceVersion | None:
    """Return a model's price on a day, or its earliest with a note when that day is before it."""
    price = model.price_on(day)
    if price is None and model.prices:
        price = model.prices[0]
        seen.note(f"The catalog has no price of {model.id} on {day} yet: its first, of {price.effective}, is used.")
    return price


def rates_of(price: PriceVersion) -> Rates:
    """Return the rates of a price version."""
    return Rates(
        input_pico=price.rates_pico[TokenClass.INPUT_FRESH],
        cache_read_pico=price.rates_pico[TokenClass.INPUT_CACHE_READ],
        cache_write_pico=price.rates_pico[TokenClass.INPUT_CACHE_WRITE_5M],
        output_pico=price.rates_pico[TokenClass.OUTPUT_TEXT],
        reasoning_pico=price.rates_pico[TokenClass.OUTPUT_REASONING],
    )


def find_rates(asked: Asked, model: Model, day: str, seen: Collected, *, only_input: bool = False) -> Rates:
    """Return the prices by the token: those of the question, else the catalog's; raises InvalidRequest."""
    price = price_in_force(model, day, seen)
    listed = None if price is None else rates_of(price)
    source = "" if price is None else f"{price.id}, in force from {price.effective}, {price.source}"

    def rate(name: str, given: int | None, known: int | None) -> int:
        value = known if given is None else given
        if value is None:
            raise InvalidRequest(f"{model.id} has no price in the catalog: give {flag(name)}.", param=name)
        seen.add(name, format_usd_per_mtok(value), "USD/Mtok", source if given is None else ASKED)
        return value

    fresh = rate("input_usd_per_mtok", asked.input_usd_per_mtok, listed and listed.input_pico)
    if only_input:
        return Rates(fresh, fresh, fresh, fresh, fresh)
    return Rates(
        fresh,
        rate("cache_read_usd_per_mtok", asked.cache_read_usd_per_mtok, listed and listed.cache_read_pico),
        rate("cache_write_usd_per_mtok", asked.cache_write_usd_per_mtok, listed and listed.cache_write_pico),
        rate("output_usd_per_mtok", asked.output_usd_per_mtok, listed and listed.output_pico),
        rate("reasoning_usd_per_mtok", asked.reasoning_usd_per_mtok, listed and listed.reasoning_pico),
    )


def find_hour_price(asked: Asked, gpu: Accelerator, day: str, today: str, seen: Collected) -> int:
    """Return what an hour of one replica with all its GPUs costs, in nano-dollars; raises InvalidRequest."""
    seen.add("gpus", asked.gpus, "GPU/replica", f"{gpu.maker} {gpu.name}, {gpu.memory_gb} GB each")
    if asked.gpu_usd_per_hour is not None:
        _add_hour_price(seen, asked.gpu_usd_per_hour, ASKED, 1)
        return asked.gpu_usd_per_hour
    found = gpu.replica_price_on(day, asked.gpus, asked.billing)
    if found is None:
        raise InvalidRequest(
            f'No {asked.billing} price of "{gpu.slug}" for {asked.gpus} GPUs is known on {day}; known: '
            f"{_known_prices(gpu)}. Give {flag('gpu_usd_per_hour')}, or another {flag('on')} or {flag('billing')}.",
            param="gpu",
        )
    price, times = found
    where = f" ({price.regions})" if price.regions else ""
    about = f"; {price.note}" if price.note else ""
    source = f"{price.gpus} x {gpu.name} {price.billing}{where} from {price.effective}, {price.source}"
    _add_hour_price(seen, price.nano_per_hour, f"{source}, checked {price.checked_on}{about}", times)
    now = gpu.replica_price_on(today, asked.gpus, asked.billing)
    if now is not None and now[0].nano_per_hour * now[1] != price.nano_per_hour * times:
        current = usd(now[0].nano_per_hour * now[1])
        seen.note(f"The GPU price of {price.effective} was used; the one of today is {current} an hour.")
    return price.nano_per_hour * times


def find_speed(asked: Asked, gpu: Accelerator, runs: str, measured: tuple[Measurement, ...], seen: Collected) -> Speed:
    """Return how fast one replica is: as the question says, else as it was measured."""
    output, reading = asked.tokens_per_second, asked.input_tokens_per_second
    given = f"measured: {asked.throughput_source}" if asked.throughput_source else ASSUMED
    outputs = [each for each in measured if each.output_milli_tokens_per_second is not None]
    source, target = given, asked.latency_target_ms
    if output is None and reading is None and outputs:
        best = outputs[0]
        output, reading = best.output_milli_tokens_per_second, best.input_milli_tokens_per_second
        source, target = measured_source(best, gpu, runs), best.latency_target_ms
    _add_milli(seen, "tokens_per_second", output, "tokens/s per replica", source)
    _add_milli(seen, "input_tokens_per_second", reading, "tokens/s per replica", source)
    seen.add("latency_target_ms", target, "ms", source if target is not None else "not given")
    if target is None and (output is not None or reading is not None):
        seen.note(
            "No latency target was given with the throughput: it is taken for what is sustained at an accepted one."
        )
    return Speed(output, reading)


def require_speed(speed: Speed, runs: str, gpu: Accelerator, *, writes: bool) -> None:
    """Raise InvalidRequest unless it is known how fast a replica does what is asked of it."""
    if writes and speed.output_milli is None:
        raise _unknown_speed("tokens_per_second", runs, gpu, "of output")
    if not writes and speed.input_milli is None:
        raise _unknown_speed("input_tokens_per_second", runs, gpu, "of input (nothing is written)")


def find_fleet(asked: Asked, nano_per_hour: int, warm_up: Measurement | None, seen: Collected) -> Dedicated:
    """Return how the replicas are kept."""
    seen.add(
        "utilisation_percent",
        format_scaled(asked.utilisation_percent, PERCENT_PLACES),
        "%",
        origin(asked, "utilisation_percent"),
    )
    seen.add("min_replicas", asked.min_replicas, "replica", origin(asked, "min_replicas"))
    seen.add("spare_replicas", asked.spare_replicas, "replica", origin(asked, "spare_replicas"))
    millis, source = asked.warm_up_seconds, ASKED
    if millis is None and warm_up is not None and warm_up.warm_up_millis is not None:
        millis, source = warm_up.warm_up_millis, _dated(warm_up)
    if millis is None:
        millis, source = 0, "not known: starts are taken as free"
    seen.add("warm_up_seconds", format_scaled(millis, MILLI_PLACES), "s", source)
    asleep = asked.sleep_after_minutes
    seen.add("sleep_after_minutes", asleep, "min", ASKED if asleep is not None else "not given: replicas run always")
    return Dedicated(
        nano_per_hour=nano_per_hour,
        utilisation_ppm=asked.utilisation_percent,
        min_replicas=asked.min_replicas,
        spare=asked.spare_replicas,
        warm_up_nanos=millis * NANOS_PER_MILLI,
        sleep_after_nanos=None if asleep is None else asleep * 60 * NANOS,
    )


def measured_source(measured: Measurement, gpu: Accelerator, runs: str) -> str:
    """Return where a measurement is from."""
    return f"measured: {runs} on {measured.gpus} x {gpu.name}, {_dated(measured)}"


def _dated(measured: Measurement) -> str:
    when = f"of {measured.measured_on}" if measured.measured_on else f"undated, read {measured.checked_on}"
    return f"{when}, {measured.source}{f'; {measured.note}' if measured.note else ''}"


def _unknown_speed(name: str, runs: str, gpu: Accelerator, what: str) -> InvalidRequest:
    return InvalidRequest(
        f'No throughput of "{runs}" on "{gpu.slug}" is known: give {flag(name)}, the tokens per second {what} that one '
        "replica sustains within your latency target, or enter a measurement in HOME/accelerators.toml.",
        param=name,
    )


def _add_milli(seen: Collected, name: str, milli: int | None, unit: str, source: str) -> None:
    shown = None if milli is None else format_scaled(milli, MILLI_PLACES)
    seen.add(name, shown, unit, source if milli is not None else "not given")


def _add_hour_price(seen: Collected, nano: int, source: str, times: int) -> None:
    seen.add("gpu_usd_per_hour", format_scaled(nano, NANO_PLACES), "USD/h", source)
    seen.add("machines_per_replica", times, "machine/replica", "gpus / GPUs of the priced machine")


def _known_prices(gpu: Accelerator) -> str:
    return "; ".join(f"{each.gpus} GPUs {each.billing} from {each.effective}" for each in gpu.prices) or "none"


def _slugs(book: AcceleratorBook) -> str:
    return ", ".join(each.slug for each in book.accelerators)
