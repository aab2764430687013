"""What durable metering costs: Headrace against itself with a ledger that stores nothing, and with budgets on a key.

Both run at the same time on the target's core and are asked in turn, so that what the machine does meets both. One
process differs from another of the same code by some tens of microseconds a request, so several pairs are started.
"""

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks import targets
from benchmarks.calls import fetch, metric_samples
from benchmarks.figures import BenchError, Metered, Metering, Quartiles, Verdict
from benchmarks.measures import LOADED_CONCURRENCY, UNBOUNDED, Bench, Costed, Load, run_costed
from benchmarks.processes import fixed_work_ms
from benchmarks.targets import HeadraceFiles, Target
from benchmarks.workloads import UNARY

UNMETERED = Path(__file__).resolve().parent / "unmetered.py"
BUDGETS = (1, 4, 16)
WINDOWS = ("hour", "day", "week", "month")
ZONES = ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/New_York")
LIMIT_USD = "1000000"
MOST_CPU_US, MOST_ADDED_MS = 60.0, 1.0
PAIRS_A_ROUND, JUDGED_TURNS = 2, 6
WRITTEN_BYTES, WRITES_A_TURN, DURABLE_STEPS = 12 * 1024, 50, 2


class _Key(msgspec.Struct, frozen=True):
    uuid: str
    secret_key: str


class _NewKey(msgspec.Struct, frozen=True):
    api_key_info: _Key


@dataclass(frozen=True, slots=True)
class _Asked:
    """A target of one pair of processes, asked with a key that has so many budgets."""

    target: Target
    budgets: int | None


@dataclass(slots=True)
class _Found:
    """What all pairs gave for one number of budgets."""

    budgets: int | None
    alone: list[Costed] = field(default_factory=list[Costed])
    loaded: list[Costed] = field(default_factory=list[Costed])


@dataclass(slots=True)
class _Floor:
    """What the figures are read by: the commits that were made, what a durable write takes, and a fixed work."""

    commits: int = 0
    writes_ms: list[float] = field(default_factory=list[float])
    work_ms: list[float] = field(default_factory=list[float])


def measure_metering(bench: Bench) -> Metering:
    """Start pairs of servers and ask both in turn: without a ledger, with it, and with budgets on the key."""
    found = [_Found(budgets) for budgets in (None, 0, *BUDGETS)]
    floor = _Floor()
    for _ in range(bench.effort.rounds * PAIRS_A_ROUND):
        _measure_pair(bench, found, floor)
    requests = sum(costed.result.ok for each in found[1:] for costed in (*each.alone, *each.loaded))
    rows = [_metered(each) for each in found]
    added_us = tuple(
        _cpu_us(metered) - _cpu_us(base)
        for base, metered in zip(_by_pair(found[0].loaded), _by_pair(found[1].loaded), strict=True)
    )
    facts = statistics.median(floor.writes_ms), floor.commits / max(1, requests)
    return Metering(rows[0], rows[1], tuple(rows[2:]), *facts, added_us, Quartiles.of(floor.work_ms))


def _by_pair(loaded: Sequence[Costed]) -> list[Sequence[Costed]]:
    return [loaded[start : start + JUDGED_TURNS] for start in range(0, len(loaded), JUDGED_TURNS)]


def _measure_pair(bench: Bench, found: Sequence[_Found], floor: _Floor) -> None:
    places = bench.upstream_port, bench.cores, bench.directory
    with (
        targets.headrace(*places, script=UNMETERED) as (without, _),
        targets.headrace(*places) as (metered, files),
    ):
        asked = [_Asked(without, None), _Asked(metered, 0)]
        asked += [_Asked(_with_budgets(metered, files, count), count) for count in BUDGETS]
        for each in asked:
            run_costed(bench, each.target, Load(UNARY, "unary", LOADED_CONCURRENCY, UNBOUNDED, bench.effort.warmup_ms))
        before = _commits(metered, files)
        slice_ms = bench.effort.round_ms // PAIRS_A_ROUND
        for each, figures in zip(asked, found, strict=True):
            figures.alone.append(run_costed(bench, each.target, Load(UNARY, "unary", 1, UNBOUNDED, slice_ms)))
        for each, figures in _turns(list(zip(asked, found, strict=True))):
            load = Load(UNARY, "unary", LOADED_CONCURRENCY, UNBOUNDED, slice_ms * 2 // 3)
            figures.loaded.append(run_costed(bench, each.target, load))
            floor.work_ms.append(fixed_work_ms(bench.cores.target))
        floor.commits += _commits(metered, files) - before
        floor.writes_ms += _durable_writes_ms(bench.directory)


def _turns(measured: Sequence[tuple[_Asked, _Found]]) -> Iterator[tuple[_Asked, _Found]]:
    """Yield all once, and the two whose difference is judged several times more, each first in turn."""
    yield from measured
    for turn in range(1, JUDGED_TURNS):
        yield from measured[:2] if turn % 2 == 0 else reversed(measured[:2])


def _commits(target: Target, files: HeadraceFiles) -> int:
    """Return how many commits the ledger of a server has made."""
    _, body = fetch(target.port, "/metrics", f"Bearer {files.admin_token}")
    samples = metric_samples(body.decode(errors="replace"), "headrace_ledger_commits_total")
    return int(sum(value for _, value in samples))


def _durable_writes_ms(directory: Path) -> list[float]:
    """Return what single durable writes take on the disk that holds the books: the floor of a hold or a settlement."""
    content, taken = bytes(WRITTEN_BYTES), list[float]()
    file = os.open(directory / "durable-writes", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for number in range(WRITES_A_TURN):
            begun = time.perf_counter()
            os.pwrite(file, content, number * WRITTEN_BYTES)
            os.fsync(file)
            taken.append((time.perf_counter() - begun) * 1000)
    finally:
        os.close(file)
    return taken


def _with_budgets(target: Target, files: HeadraceFiles, count: int) -> Target:
    """Return the target, asked with a key that has so many budgets: of other windows in other time zones."""
    admin = f"Bearer {files.admin_token}"
    status, made = fetch(target.port, "/v2/gen-ai/models/api_keys", admin, b'{"name": "bench-%d"}' % count)
    if status != 201:
        raise BenchError(f"no key could be made: {made.decode(errors='replace')}")
    key = msgspec.json.decode(made, type=_NewKey).api_key_info
    for number in range(count):
        window, zone = WINDOWS[number % len(WINDOWS)], ZONES[number // len(WINDOWS)]
        wanted = {"scope": f"key:{key.uuid}", "window": window, "zone": zone, "limit_usd": LIMIT_USD}
        status, reply = fetch(target.port, "/v2/budgets", admin, msgspec.json.encode(wanted))
        if status != 201:
            raise BenchError(f"no budget could be made: {reply.decode(errors='replace')}")
    name = f"{target.name}-{count}-budgets"
    return Target(name, target.port, f"Bearer {key.secret_key}", target.models, target.running)


def _metered(found: _Found) -> Metered:
    every = [*found.alone, *found.loaded]
    return Metered(
        budgets=found.budgets,
        latency_p50_ms=statistics.median(each.result.latency_us.p50 for each in found.alone) / 1000,
        alone_cpu_us=_cpu_us(found.alone),
        loaded_cpu_us=_cpu_us(found.loaded),
        requests_per_second=statistics.median(each.result.rps for each in found.loaded),
        errors=sum(each.result.errors for each in every),
        first_error=next((each.result.first_error for each in every if each.result.first_error), ""),
    )


def _cpu_us(costed: Sequence[Costed]) -> float:
    return sum(each.cpu_seconds for each in costed) * 1e6 / max(1, sum(each.result.ok for each in costed))


def metering_text(found: Metering) -> str:
    """Return the rows as text: each with what it adds to the gateway whose ledger stores nothing."""
    base = found.without
    lines = [
        "Metering of Headrace, against a ledger that stores nothing (CPU per request: one at a time, and"
        f" {LOADED_CONCURRENCY} at once)",
        f"{'':<24}  {'p50, ms':>8} {'added':>7}  {'CPU at 1, us':>13} {'added':>7}  {'at 64, us':>10} {'added':>7}"
        f"  {'requests/s':>10} {'ratio':>6}",
    ]
    for each in (base, found.plain, *found.with_budgets):
        lines.append(
            f"{_name(each):<24}  {each.latency_p50_ms:>8.3f} {each.latency_p50_ms - base.latency_p50_ms:>+7.3f}"
            f"  {each.alone_cpu_us:>13.0f} {each.alone_cpu_us - base.alone_cpu_us:>+7.0f}"
            f"  {each.loaded_cpu_us:>10.0f} {each.loaded_cpu_us - base.loaded_cpu_us:>+7.0f}"
            f"  {each.requests_per_second:>10,.0f} {each.requests_per_second / max(1, base.requests_per_second):>6.2f}"
        )
    lines.append(f"commits per request: {found.commits_per_request:.2f}")
    pairs = ", ".join(f"{added:+.0f}" for added in found.added_loaded_us)
    lines.append(f"CPU that metering adds at {LOADED_CONCURRENCY}, us, in each pair of processes: {pairs}")
    work = found.fixed_work_ms
    lines.append(
        f"the same work of Python took {work.least:.0f} to {work.most:.0f} ms of CPU on that core meanwhile"
        f" (half of the times {work.low:.0f} to {work.high:.0f}): so steady is the machine"
    )
    floor = found.durable_write_ms * DURABLE_STEPS
    added = found.plain.latency_p50_ms - base.latency_p50_ms
    lines.append(
        f"a hold and a settlement wait for the disk: {DURABLE_STEPS} durable writes alone take {floor:.3f} ms here;"
        f" added p50 is {added / max(floor, 1e-9):.2f}x of that"
    )
    return "\n".join(lines)


def metering_verdicts(found: Metering | None) -> tuple[Verdict, ...]:
    """Judge what is added without a budget; errors anywhere fail."""
    if found is None:
        return ()
    cpu_us = found.plain.loaded_cpu_us - found.without.loaded_cpu_us
    added_ms = found.plain.latency_p50_ms - found.without.latency_p50_ms
    errors = sum(each.errors for each in (found.without, found.plain, *found.with_budgets))
    return (
        Verdict(
            f"metering adds at most {MOST_CPU_US:.0f} us of CPU per request at {LOADED_CONCURRENCY}",
            f"{cpu_us:.0f} us",
            cpu_us <= MOST_CPU_US,
        ),
        Verdict(
            f"metering adds at most {MOST_ADDED_MS:.0f} ms to p50, one request at a time",
            f"{added_ms:.3f} ms",
            added_ms <= MOST_ADDED_MS,
        ),
        Verdict("no error in any run of metering", f"{errors} errors", errors == 0),
    )


def _name(each: Metered) -> str:
    if each.budgets is None:
        return "a ledger without a store"
    return "no budget" if not each.budgets else f"{each.budgets} budget{'s' if each.budgets > 1 else ''} on the key"
