"""Reads a trace of traffic: JSON lines or CSV, one request each, with line and field of whatever is wrong.

Fields: `at` (seconds, or a moment in ISO 8601), `input_tokens`, `output_tokens`, and `prefix` where it is known; others
are passed over. The earliest request is the beginning of time.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace

import msgspec

from headrace.domain.errors import ConfigInvalid
from headrace.domain.finding import SHOWN, Finding, config_invalid
from headrace.domain.simulation import MICROS, Arrival
from headrace.wire.json_strict import decode_trusted, is_object

MOST_TOKENS = 100_000_000
MOST_SECONDS = 10**14
# Moments among seconds since the beginning would make a trace of half a century.
LONGEST_MICROS = 10 * 366 * 86_400 * MICROS
SHOWN_CHARS = 60
EXAMPLE = '{"at": 12.5, "input_tokens": 1200, "output_tokens": 300, "prefix": "support"}'
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


class _Wrong(Exception):
    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.field, self.problem, self.fix = field, problem, fix


def read_trace(file: str, data: bytes) -> tuple[Arrival, ...]:
    """Return the requests in the order of time; raises ConfigInvalid with the lines that are wrong."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise config_invalid(
            [Finding(file, line, "", f"byte {error.start} is not UTF-8", "Save the file as UTF-8.")]
        ) from None
    rows = _json_rows(text) if text.lstrip().startswith("{") else _csv_rows(text)
    found: list[Finding] = []
    arrivals: list[Arrival] = []
    for line, row in rows:
        try:
            arrivals.append(_arrival(row))
        except _Wrong as wrong:
            found.append(Finding(file, line, wrong.field, wrong.problem, wrong.fix))
        if len(found) > SHOWN:
            break
    if found:
        raise config_invalid(found)
    if not arrivals:
        raise ConfigInvalid(f"{file}: holds no request. Write one in each line, like {EXAMPLE}", param="trace")
    first, last = (which(each.at_micros for each in arrivals) for which in (min, max))
    if last - first > LONGEST_MICROS:
        raise ConfigInvalid(
            f'{file}: more than ten years lie between its first request and its last. Write every "at" in one form: '
            "seconds since the beginning, or moments.",
            param="trace",
        )
    return tuple(sorted((replace(each, at_micros=each.at_micros - first) for each in arrivals), key=_moment))


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, object] | None]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = decode_trusted(line.encode())
        except msgspec.DecodeError:
            value = None
        yield number, dict(value) if is_object(value) else None


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, object] | None]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            yield reader.line_num, {name: value for name, value in row.items() if value not in (None, "")}
    except csv.Error:
        # What is no table at all has fields that are too long for one.
        yield reader.line_num + 1, None


def _arrival(row: Mapping[str, object] | None) -> Arrival:
    if row is None:
        raise _Wrong("", "the line is no JSON object or row", f"Write one request in each line, like {EXAMPLE}")
    prefix = row.get("prefix")
    if prefix is not None and not isinstance(prefix, str | int):
        raise _Wrong("prefix", f"{_shown(prefix)} is no text", "Name what the prompts have in common, or leave it out.")
    return Arrival(
        at_micros=_at(row),
        input_tokens=_tokens(row, "input_tokens"),
        output_tokens=_tokens(row, "output_tokens"),
        prefix=b"" if prefix is None else str(prefix).encode(),
    )


def _at(row: Mapping[str, object]) -> int:
    value = row.get("at")
    if isinstance(value, str):
        return _moment_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST_SECONDS:
        return round(value * MICROS)
    raise _wrong_at(value)


def _moment_of(text: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        return _iso_moment(text)
    if not 0 <= seconds < MOST_SECONDS:
        raise _wrong_at(text)
    return round(seconds * MICROS)


def _iso_moment(text: str) -> int:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise _wrong_at(text) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    return (aware - _EPOCH) // _MICROSECOND


def _wrong_at(value: object) -> _Wrong:
    return _Wrong(
        "at",
        "it is missing" if value is None else f"{_shown(value)} is no time",
        "Write seconds since the beginning, like 12.5, or a moment, like 2026-11-28T14:00:00Z.",
    )


def _tokens(row: Mapping[str, object], name: str) -> int:
    value = row.get(name)
    if isinstance(value, str) and len(value) < SHOWN_CHARS and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    problem = "it is missing" if value is None else f"{_shown(value)} is no number of tokens"
    raise _Wrong(name, problem, f"Write a whole number from 0 to {MOST_TOKENS}.")


def _shown(value: object) -> str:
    return f'"{value}"'[:SHOWN_CHARS]


def _moment(arrival: Arrival) -> int:
    return arrival.at_micros
