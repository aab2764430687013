"""Reports of usage over every store: random traffic, kept sums against rebuilt ones and against a slow reference."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from headrace.domain.access import AccessKey, Role
from headrace.domain.books import Opening, Settlement, Timing, Void
from headrace.domain.price import price_lines
from headrace.domain.usage import Usage
from headrace.domain.usage_report import HOUR_MICROS, Dimension, Interval, UsageQuestion, UsageSums, spans_between
from headrace.drivers.stores.audit import audit_usage
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.keys import SqlKeyStore
from headrace.drivers.stores.rollups import rebuild
from headrace.drivers.stores.sqlite import Cursor
from headrace.drivers.stores.usage_reports import SqlUsageReports
from headrace.ports.ledger import Ledger
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import PRICE, STORES, OpenStore, new_ledger, opening, settlement, void
from tests.fakes.usage import EndedAttempt, MemoryUsageReports

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

START = 1_764_000_000_000_000 // HOUR_MICROS * HOUR_MICROS
HOURS = 60
KEYS = (("k1", "web"), ("k2", "search"), ("k3", "web"))
TAGS = ((), (), ("project=search",), ("project=shop", "env=prod"), ("batch", "project=shop=2", "user=a@b.example"))
ENDINGS = ("complete", "client_closed", "upstream_stalled")
COUNTERS = [each.name for each in fields(UsageSums)]
SUMS = "SELECT * FROM {} ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.fixture(params=sorted(STORES))
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    return STORES[request.param]


class Traffic:
    """Random attempts: several to a request, in any order of their ends, settled, voided or left open."""

    def __init__(self, seed: int, attempts: int) -> None:
        self._draw = random.Random(seed)
        self.reference = MemoryUsageReports(names=dict(KEYS))
        self.openings = [self._opening(number) for number in range(attempts)]

    async def run(self, ledger: Ledger) -> None:
        """Book everything, many at once, so that most commits hold several."""
        draw, openings = self._draw, self.openings
        await asyncio.gather(*(ledger.hold(each) for each in openings))
        ends = list(self._ends())
        draw.shuffle(ends)
        while ends:
            batch, ends = ends[:7], ends[7:]
            await asyncio.gather(*(_end(ledger, each) for each in batch))

    def _opening(self, number: int) -> Opening:
        draw = self._draw
        one = opening(number, scopes=("platform",))
        key, name = draw.choice(KEYS)
        request = replace(
            one.request,
            account=draw.choice(("shop", "default")),
            key_id=key,
            key_name=name,
            route=draw.choice((None, "refund")),
            tags=draw.choice(TAGS),
        )
        begun = START + draw.randrange(HOURS * HOUR_MICROS)
        return replace(
            one,
            request=request,
            model_id=draw.choice(("small", "large")),
            provider=draw.choice(("acme", "here")),
            deployment=draw.choice((None, "mine")),
            at_micros=begun,
        )

    def _ends(self) -> Iterator[Settlement | Void]:
        draw = self._draw
        for each in self.openings:
            what, ended = draw.random(), each.at_micros + draw.randrange(3 * HOUR_MICROS)
            status = draw.choice((200, None))
            if what < 0.1:
                continue
            if what < 0.3:
                yield replace(void(each.attempt_id), ended_at_micros=ended, request_status=status)
                self._remember(each, ended, "voided", UsageSums(1, int(status is not None)))
                continue
            fresh, read, short, long, text, thought = (draw.randrange(2_000) for _ in range(6))
            used = Usage(fresh, read, short, long, text, thought)
            first = draw.choice((None, draw.randrange(each.at_micros, ended + 1)))
            settled = replace(
                settlement(each.attempt_id, used),
                lines=price_lines(used, PRICE, 0, charged=draw.random() < 0.8),
                ending=draw.choice(ENDINGS),
                timing=Timing(first, ended),
                request_status=status,
            )
            yield settled
            self._remember(each, ended, settled.ending, _sums_of(settled, each))

    def _remember(self, opened: Opening, ended: int, status: str, sums: UsageSums) -> None:
        places = {
            Dimension.KEY: opened.request.key_id,
            Dimension.TEAM: opened.request.account,
            Dimension.MODEL: opened.model_id,
            Dimension.PROVIDER: opened.provider,
            Dimension.DEPLOYMENT: opened.deployment or "",
            Dimension.ROUTE: opened.request.route or "",
            Dimension.STATUS: status,
        }
        sums = replace(sums, duration_micros=ended - opened.at_micros)
        self.reference.ended.append(EndedAttempt(ended, places, sums, opened.request.tags))


async def _end(ledger: Ledger, end: Settlement | Void) -> None:
    await (ledger.settle(end) if isinstance(end, Settlement) else ledger.void(end))


def _sums_of(settled: Settlement, opened: Opening) -> UsageSums:
    used, first = settled.usage, settled.timing.first_event_at_micros
    return UsageSums(
        attempts=1,
        requests=int(settled.request_status is not None),
        input_fresh=used.input_fresh,
        input_cache_read=used.input_cache_read,
        input_cache_write_5m=used.input_cache_write_5m,
        input_cache_write_1h=used.input_cache_write_1h,
        output_text=used.output_text,
        output_reasoning=used.output_reasoning,
        cost_nano=sum(line.cost_nano for line in settled.lines),
        charge_nano=sum(line.charge_nano for line in settled.lines),
        first_event_micros=0 if first is None else first - opened.at_micros,
        first_events=int(first is not None),
    )


def questions(seed: int) -> Iterator[UsageQuestion]:
    """Yield random questions, by one dimension or several, filtered or not, whole or a page of it."""
    draw = random.Random(seed)
    values = {
        Dimension.KEY: ("k1", "k2", "nobody"),
        Dimension.TEAM: ("shop", "default"),
        Dimension.MODEL: ("small", "large"),
        Dimension.PROVIDER: ("acme", "here"),
        Dimension.DEPLOYMENT: ("", "mine"),
        Dimension.ROUTE: ("", "refund"),
        Dimension.STATUS: ("voided", *ENDINGS),
    }
    for _ in range(40):
        interval = draw.choice(tuple(Interval))
        starts = START + draw.randrange(HOURS) * HOUR_MICROS
        ends = starts + draw.randrange(1, HOURS) * HOUR_MICROS
        zone = draw.choice(("UTC", "Europe/Berlin", "America/Los_Angeles"))
        filters = [
            (each, tuple(draw.sample(wanted, draw.randrange(1, len(wanted)))))
            for each, wanted in values.items()
            if draw.random() < 0.15
        ]
        if draw.random() < 0.3:
            filters.append((Dimension.TAG, (draw.choice(("project=shop", "batch", "project=", "none")),)))
        yield UsageQuestion(
            interval=interval,
            zone=zone,
            spans=spans_between(interval, zone, starts, ends),
            group_by=tuple(draw.sample(tuple(Dimension), draw.randrange(4))),
            tag_name=draw.choice((None, "project")),
            filters=tuple(filters),
            key_id=draw.choice((None, None, "k1")),
            first_row=draw.choice((0, 0, 3)),
            most_rows=draw.choice((2, 1_000)),
        )


async def kept(database: Database) -> list[list[tuple[object, ...]]]:
    """Return both tables of sums, row by row."""

    def read(cursor: Cursor) -> list[list[tuple[object, ...]]]:
        tables = (cursor.execute(SUMS.format(name)).fetchall() for name in ("usage_hour", "tag_hour"))
        return [[tuple(row) for row in rows] for rows in tables]

    return await database.read(read)


@pytest.mark.parametrize("seed", range(6))
async def test_what_every_commit_adds_up_is_what_the_ledger_makes_and_what_is_reported(
    open_store: OpenStore, tmp_path: Path, seed: int
) -> None:
    clock = FakeClock(START)
    database = open_store(tmp_path, clock)
    try:
        for number, (key, name) in enumerate(KEYS):
            await SqlKeyStore(database).add(AccessKey(key, name, Role.KEY, "shop", bytes([number]), None, START))
        traffic = Traffic(seed, 90)
        await traffic.run(new_ledger(database, clock))
        incremental = await kept(database)
        assert len(incremental[0]) > 20 and len(incremental[1]) > 20
        assert await database.read(audit_usage) is None
        await database.write(rebuild)
        assert await kept(database) == incremental
        reports = SqlUsageReports(database)
        for question in questions(seed):
            expected = await traffic.reference.report(question)
            found = await reports.report(question)
            assert (found.rows, found.row_count, found.totals) == (expected.rows, expected.row_count, expected.totals)
            if Dimension.KEY in question.group_by:
                shown = {row.group[question.group_by.index(Dimension.KEY)] for row in found.rows}
                assert found.key_names == {key: name for key, name in KEYS if key in shown}
    finally:
        database.close()


async def test_a_report_names_more_keys_than_one_statement_takes(open_store: OpenStore, tmp_path: Path) -> None:
    count = 33_000
    database = open_store(tmp_path, FakeClock(START))
    try:
        await database.write(lambda cursor: _many_keys(cursor, count))
        question = UsageQuestion(
            interval=Interval.TOTAL,
            zone="UTC",
            spans=((START, START + HOUR_MICROS),),
            group_by=(Dimension.KEY,),
            most_rows=50_000,
        )
        report = await SqlUsageReports(database).report(question)
        assert (len(report.rows), report.row_count, len(report.key_names)) == (count, count, count)
        assert report.key_names[report.rows[-1].group[0]] == "name of " + report.rows[-1].group[0]
    finally:
        database.close()


def _many_keys(cursor: Cursor, count: int) -> None:
    """Write an hour in which so many keys made one attempt each."""
    for first in range(0, count, 1_000):
        ids = [f"k{number:06}" for number in range(first, first + 1_000)]
        zeros = ", 0" * (len(COUNTERS) - 1)
        rows = ", ".join(f"({START}, 'shop', '{each}', 'm', 'p', '', '', 'complete', 1{zeros})" for each in ids)
        columns = (
            f"hour_start_micros, account, key_id, model_id, provider, deployment, route, status, {', '.join(COUNTERS)}"
        )
        cursor.execute(f"INSERT INTO usage_hour ({columns}) VALUES {rows}")
        names = ", ".join(f"('{each}', 'name of {each}', 'key', 'shop', ?, 1)" for each in ids)
        cursor.execute(
            f"INSERT INTO access_key (public_id, name, role, account, digest, created_at_micros) VALUES {names}",
            [each.encode() for each in ids],
        )


async def test_a_process_that_did_not_open_an_attempt_adds_it_up_all_the_same(
    open_store: OpenStore, tmp_path: Path
) -> None:
    clock = FakeClock(START)
    traffic = Traffic(7, 12)
    first = open_store(tmp_path, clock)
    await asyncio.gather(*(new_ledger(first, clock).hold(each) for each in traffic.openings))
    first.close()
    second = open_store(tmp_path, clock)
    try:
        ledger = new_ledger(second, clock)
        await ledger.recover()
        assert await second.read(audit_usage) is None
        rows = (await kept(second))[0]
        assert {row[7] for row in rows} <= {"voided", "recovered"} and rows
    finally:
        second.close()


async def test_a_line_too_many_is_found_by_the_audit_and_taken_in_by_the_rebuild(
    open_store: OpenStore, tmp_path: Path
) -> None:
    clock = FakeClock(START)
    database = open_store(tmp_path, clock)
    try:
        ledger = new_ledger(database, clock)
        await ledger.hold(replace(opening(1), at_micros=START))
        await ledger.settle(replace(settlement("att_000001"), timing=Timing(None, START + 5)))
        await database.write(_charge_seven_more)
        question = UsageQuestion(interval=Interval.TOTAL, zone="UTC", spans=((START, START + HOUR_MICROS),))
        reports = SqlUsageReports(database)
        before = (await reports.report(question)).totals
        assert await database.read(audit_usage) is not None
        await database.write(rebuild)
        assert await database.read(audit_usage) is None
        after = (await reports.report(question)).totals
        assert after.charge_nano == before.charge_nano + 7
        assert after.cost_nano == before.cost_nano
    finally:
        database.close()


def _charge_seven_more(cursor: Cursor) -> None:
    cursor.execute(
        "INSERT INTO settled_line (attempt_id, line, line_kind, quantity, price_pico, cost_nano, charge_nano)"
        " SELECT attempt_id, 100, line_kind, quantity, price_pico, 0, 7 FROM settled_line WHERE line = 0"
    )
