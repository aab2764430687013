"""Where a simulation's traffic comes from: a file, a description, or what was served here."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, given, open_client
from headrace.cli.deployment_words import seconds
from headrace.cli.options import ClientFlags
from headrace.cli.pages import pages
from headrace.cli.replies import number, parts, text
from headrace.cli.session import Session
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject
from headrace.domain.simulation import MICROS, Arrival
from headrace.domain.simulation_traffic import TrafficShape, made_traffic, spread
from headrace.wire.traffic_trace import MOST_TOKENS, read_trace

MOST_REQUESTS = 20_000_000
LARGEST_BYTES = 2 * 1024**3
PAGE_LIMIT = 1_000
PPM = 1_000_000
_RATE = re.compile(r"(\d{1,7}(?:\.\d{1,6})?)/(s|min|h)")
_PER_SECOND: Mapping[str, int] = MappingProxyType({"s": 1, "min": 60, "h": 3_600})
_INPUT = ("input_fresh", "input_cache_read", "input_cache_write_5m", "input_cache_write_1h")
_OUTPUT = ("output_text", "output_reasoning")


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order of time, and for how long the simulation goes on at the least."""

    arrivals: tuple[Arrival, ...]
    micros: int


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFlags:
    """The traffic: one of --trace, --poisson, --daily-curve and --from-ledger."""

    trace: Annotated[
        Path | None, Parameter(help="A file of requests, JSON lines or CSV: at, input_tokens, output_tokens, prefix.")
    ] = None
    poisson: Annotated[str | None, Parameter(help="Random arrivals at a mean rate, like 2/s, 90/min or 500/h.")] = None
    daily_curve: Annotated[
        str | None, Parameter(help="The same, with few at night and most at noon; the rate is the day's mean.")
    ] = None
    from_ledger: Annotated[
        str | None, Parameter(help="What was served here in so many days or hours, like 7d; needs a running server.")
    ] = None
    model: Annotated[str | None, Parameter(help="With --from-ledger: only this model's requests.")] = None
    duration: Annotated[
        str | None, Parameter(name="--for", help="How long made-up traffic lasts (1h; a day for --daily-curve).")
    ] = None
    input_tokens: Annotated[int, Parameter(help="Made-up traffic: mean input tokens of a request.")] = 1200
    output_tokens: Annotated[int, Parameter(help="Made-up traffic: mean output tokens of a request.")] = 300
    prefixes: Annotated[int, Parameter(help="Made-up traffic: how many different prompt beginnings there are.")] = 0
    seed: Annotated[int, Parameter(help="Made-up traffic: the same seed makes the same requests.")] = 1


NO_TRAFFIC = TrafficFlags()


def traffic_of(asked: TrafficFlags, flags: ClientFlags, session: Session) -> Trace:
    """Return the traffic that is asked for; raises ConfigInvalid, OperatorError."""
    sources = (asked.trace, asked.poisson, asked.daily_curve, asked.from_ledger)
    if sum(each is not None for each in sources) != 1:
        raise ConfigInvalid(
            "Say where the traffic comes from, in one way: --trace FILE, --poisson 2/s, --daily-curve 2/s or "
            "--from-ledger 7d.",
            code="usage",
        )
    if asked.trace is not None:
        arrivals = read_trace(str(asked.trace), _content(asked.trace))
        return Trace(arrivals, arrivals[-1].at_micros)
    if asked.from_ledger is not None:
        with open_client(session, flags) as client:
            return _from_ledger(client, asked)
    return _made(asked)


def _made(asked: TrafficFlags) -> Trace:
    is_daily = asked.poisson is None
    flag, rate = ("--daily-curve", asked.daily_curve) if is_daily else ("--poisson", asked.poisson)
    lasts = seconds("--for", asked.duration or ("24h" if is_daily else "1h"))
    if not lasts:
        raise ConfigInvalid(f"--for {asked.duration}: write how long it lasts, like 10m or 1h.", code="usage")
    for name, value, least in (
        ("input-tokens", asked.input_tokens, 1),
        ("output-tokens", asked.output_tokens, 1),
        ("prefixes", asked.prefixes, 0),
    ):
        if not least <= value <= MOST_TOKENS:
            raise ConfigInvalid(f"--{name} {value}: write a number from {least} to {MOST_TOKENS}.", code="usage")
    shape = TrafficShape(
        per_second_ppm=_per_second_ppm(flag, rate or ""),
        micros=lasts * MICROS,
        input_tokens=asked.input_tokens,
        output_tokens=asked.output_tokens,
        is_daily=is_daily,
        prefixes=asked.prefixes,
    )
    _bound(shape.per_second_ppm * lasts // PPM)
    return Trace(tuple(made_traffic(shape, asked.seed)), shape.micros)


def _per_second_ppm(flag: str, text: str) -> int:
    found = _RATE.fullmatch(text)
    rate = 0 if found is None else round(float(found[1]) * PPM / _PER_SECOND[found[2]])
    if not rate:
        raise ConfigInvalid(f"{flag} {text[:80]}: write a rate like 2/s, 90/min or 500/h.", code="usage")
    return rate


def _from_ledger(client: ApiClient, asked: TrafficFlags) -> Trace:
    """Hours have no finer times: their requests are spread over them at random, all of the hour's mean size."""
    query = {"interval": "hour", "from": asked.from_ledger or "", "limit": PAGE_LIMIT, **given(model=asked.model)}
    rows = [row for reply in pages(client, "/v2/usage", "either", query) for row in parts(reply, "usage")]
    hours = sorted((_hour(row) for row in rows if number(row, "requests")), key=lambda each: each[0])
    if not hours:
        raise ConfigInvalid(
            f"Nothing was served here in {asked.from_ledger}. Name a longer time, or make traffic up with --poisson.",
            code="usage",
        )
    _bound(sum(requests for _, requests, _, _ in hours))
    first = hours[0][0]
    moved = [(start - first, requests, read, written) for start, requests, read, written in hours]
    return Trace(tuple(spread(moved, asked.seed)), moved[-1][0] + 3_600 * MICROS)


def _hour(row: JsonObject) -> tuple[int, int, int, int]:
    start = datetime.datetime.fromisoformat(text(row, "starts_at"))
    read, written = (sum(number(row, name) for name in names) for names in (_INPUT, _OUTPUT))
    return round(start.timestamp()) * MICROS, number(row, "requests"), read, written


def _bound(requests: int) -> None:
    if requests > MOST_REQUESTS:
        raise ConfigInvalid(
            f"That is about {requests:,} requests, and a simulation holds {MOST_REQUESTS:,}. Take a shorter time.",
            code="usage",
        )


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigInvalid(f"{path}: is larger than {LARGEST_BYTES // 1024**3} GiB. Take a part of it.")
        return path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read ({error.strerror}). Name a readable file with --trace.") from error
