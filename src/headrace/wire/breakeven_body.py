"""Reads the body of a break-even question: every field in its range, nothing ignored; answering is the service's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, TypeAlias

from headrace.domain.accelerator import Billing
from headrace.domain.breakeven_question import Asked, Form
from headrace.domain.decimals import parse_scaled
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue

Reader: TypeAlias = "Callable[[str, JsonValue], str | int]"

SHOWN = 60
LONGEST_TEXT = 500


def flag(name: str) -> str:
    """Return the command's flag for a field."""
    return f"--{name.replace('_', '-')}"


def fields_of(form: Form) -> frozenset[str]:
    """Return the names of the fields that mean something in a form."""
    return frozenset(_BY_FORM[form])


def _whole(least: int, most: int) -> Reader:
    def read(name: str, value: JsonValue) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise _wrong(name, value, f"a whole number from {least:,} to {most:,}")

    return read


def _decimal(places: int, scale: int, most: int, what: str, *, positive: bool = False) -> Reader:
    """Read plain decimals of at most `places`; the result is in units of 10 to the power of minus `scale`."""

    def read(name: str, value: JsonValue) -> int:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        try:
            number = parse_scaled(text, places) if isinstance(text, str) else None
        except ValueError:
            number = None
        if number is None or number > most * 10**places or (positive and not number):
            least = "more than 0, " if positive else ""
            raise _wrong(name, value, f"{what} in quotes, {least}at most {most:,}, at most {places} decimal places")
        return number * 10 ** (scale - places)

    return read


def _text(name: str, value: JsonValue) -> str:
    if isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isprintable():
        return value
    raise _wrong(name, value, f"a text of 1 to {LONGEST_TEXT} characters on one line")


def _day(name: str, value: JsonValue) -> str:
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise _wrong(name, value, "a date like 2026-08-01")


def _choice(*choices: str) -> Reader:
    def read(name: str, value: JsonValue) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise _wrong(name, value, f"one of {', '.join(choices)}")

    return read


_TOKENS = _whole(0, 100_000_000)
_MTOK = _decimal(6, 6, 100_000, 'dollars per million tokens as a plain decimal like "0.0375"')
_PER_SECOND = _decimal(3, 3, 10_000_000, 'tokens per second as a plain decimal like "2500"', positive=True)
_PERCENT = _decimal(4, 4, 100, 'a percentage as a plain decimal like "62.5"')

_NAMES: Mapping[str, Reader] = MappingProxyType(
    {"form": _choice(*Form), "model": _text, "provider": _text, "gpu": _text, "gpus": _whole(1, 64)}
)
_PRICES: Mapping[str, Reader] = MappingProxyType(
    {
        "billing": _choice(*Billing),
        "on": _day,
        "gpu_usd_per_hour": _decimal(6, 9, 1_000_000, 'dollars per hour as a plain decimal like "2.59"', positive=True),
    }
)
_SIMPLE: Mapping[str, Reader] = MappingProxyType(
    {
        "requests_per_hour": _whole(1, 1_000_000_000),
        "tokens_per_request": _whole(1, 100_000_000),
        "input_usd_per_mtok": _MTOK,
    }
)
_REQUEST: Mapping[str, Reader] = MappingProxyType(
    {
        "requests_per_hour": _whole(1, 1_000_000_000),
        "input_usd_per_mtok": _MTOK,
        "cache_read_usd_per_mtok": _MTOK,
        "cache_write_usd_per_mtok": _MTOK,
        "output_usd_per_mtok": _MTOK,
        "reasoning_usd_per_mtok": _MTOK,
        "input_tokens": _TOKENS,
        "cached_tokens": _TOKENS,
        "cache_write_tokens": _TOKENS,
        "output_tokens": _TOKENS,
        "reasoning_tokens": _TOKENS,
        "batch_share_percent": _PERCENT,
        "batch_price_percent": _PERCENT,
        "active_hours_per_day": _whole(1, 24),
        "off_peak_hours": _whole(0, 24),
        "off_peak_price_percent": _PERCENT,
    }
)
_REPLICAS: Mapping[str, Reader] = MappingProxyType(
    {
        "tokens_per_second": _PER_SECOND,
        "input_tokens_per_second": _PER_SECOND,
        "latency_target_ms": _whole(1, 3_600_000),
        "throughput_source": _text,
        "utilisation_percent": _decimal(4, 4, 100, 'a percentage as a plain decimal like "70"', positive=True),
        "min_replicas": _whole(0, 1_000),
        "spare_replicas": _whole(0, 100),
        "warm_up_seconds": _decimal(3, 3, 3_600, 'seconds as a plain decimal like "61.4"'),
        "sleep_after_minutes": _whole(0, 60),
        "stand_in": _text,
        "quality_note": _text,
    }
)
_COMMON: Mapping[str, Reader] = MappingProxyType({**_NAMES, **_PRICES})
_BY_FORM: Mapping[Form, Mapping[str, Reader]] = MappingProxyType(
    {
        Form.SIMPLE: MappingProxyType({**_COMMON, **_SIMPLE}),
        Form.FULL: MappingProxyType({**_COMMON, **_REQUEST, **_REPLICAS}),
        Form.LEDGER: MappingProxyType({**_COMMON, **_REPLICAS, "days": _whole(1, 31)}),
    }
)
FLAGS: Mapping[Form, str] = MappingProxyType(
    {Form.SIMPLE: "without --full", Form.FULL: "--full", Form.LEDGER: "--from-ledger"}
)
FIELDS = frozenset(name for readers in _BY_FORM.values() for name in readers)


def read_question(body: JsonObject) -> Asked:
    """Return the question; raises InvalidRequest naming the field, its value and what belongs there."""
    given: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
    form = Form(_NAMES["form"]("form", given.get("form", Form.SIMPLE.value)))
    readers = _BY_FORM[form]
    for name in given:
        if name not in readers:
            raise InvalidRequest(
                f'"{name}" ({flag(name)}) has no meaning in the form "{form}"; {_home_of(name)}.', param=name
            )
    fields: dict[str, Any] = {name: readers[name](name, value) for name, value in given.items()}
    fields["form"] = form
    if "billing" in fields:
        fields["billing"] = Billing(fields["billing"])
    asked = Asked(**fields)
    if asked.off_peak_hours > asked.active_hours_per_day:
        raise _wrong("off_peak_hours", asked.off_peak_hours, "at most the active_hours_per_day")
    if asked.sleep_after_minutes is not None and asked.min_replicas > 1:
        raise _wrong("min_replicas", asked.min_replicas, "0 or 1 with sleep_after_minutes, for all replicas sleep")
    return asked


def _home_of(name: str) -> str:
    forms = [f'"{form}" ({FLAGS[form]})' for form in Form if name in _BY_FORM[form]]
    return f"leave it out, or ask in the form {' or '.join(forms)}"


def _wrong(name: str, value: JsonValue, wanted: str) -> InvalidRequest:
    shown = f'"{value[:SHOWN]}"' if isinstance(value, str) else str(value)[:SHOWN]
    return InvalidRequest(f'"{name}" ({flag(name)}) must be {wanted}, not {shown}.', param=name)
