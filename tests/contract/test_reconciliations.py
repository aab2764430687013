"""Bills beside a real store, and the routes that compare, list and show."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from headrace.domain.bill import HOUR_MICROS, BookedAttempt, BookedHour, Figures, day_of, start_of
from headrace.domain.bill_cause import ESTIMATED, POSSIBLE_SPEND, REASONS, UNMATCHED
from headrace.domain.json_value import JsonObject
from headrace.domain.money import format_nano
from headrace.domain.reconciliation import Books, reconcile
from headrace.drivers.stores.database import open_database
from headrace.drivers.stores.reconciliations import SqlBookedUsage, SqlReconciliations
from headrace.ports.reconciliation import KeptReconciliation, Period
from headrace.testing.clock import FakeClock
from headrace.wire.invoice import read_bill
from tests.contract.audited_store import NOW_MICROS, START_MICROS, Traffic, make_store
from tests.contract.ledger_books import OpenStore
from tests.control_world import NOON_MICROS, Plane, World, body_of, open_plane

pytestmark = pytest.mark.anyio
PATH = "/v2/reconciliations"
DAY = "2026-11-24"
DOLLAR = 10**12
USED = Figures(10, 1_000, 0, 0, 500, 0, 3 * DOLLAR)
HOUR = BookedHour(start_of(DAY) + 3 * HOUR_MICROS, "acme/chat:large", USED)
BILL = "date,model,requests,cost\n2026-11-24,chat-large,10,{cost}\n"
WHOLE = Period("acme", START_MICROS, NOW_MICROS)


@pytest.mark.timeout(20)
async def test_hours_of_the_books_are_those_of_the_ledger(tmp_path: Path, open_store: OpenStore) -> None:
    await make_store(tmp_path, Traffic(50, 3), open_store)
    database = open_store(tmp_path, FakeClock(NOW_MICROS))
    try:
        booked = SqlBookedUsage(database)
        hours = await booked.hours(WHOLE)
        cost, tokens, requests = await database.read(
            lambda cursor: cursor.execute(
                """SELECT (
                    SELECT sum(cost_nano) FROM settled_line JOIN attempt USING (attempt_id) WHERE provider = 'acme'
                ), sum(input_fresh + input_cache_read + input_cache_write_5m + input_cache_write_1h), count(*)
                FROM resolution JOIN attempt USING (attempt_id) WHERE outcome = 'settled' AND provider = 'acme'"""
            ).fetchone()
        )
        audio = await database.read(
            lambda cursor: cursor.execute(
                "SELECT sum(quantity) FROM settled_line WHERE line_kind = 'input_audio'"
            ).fetchone()
        )
        assert sum(each.figures.cost_pico or 0 for each in hours) == cost * 1_000
        assert sum(each.figures.input_tokens or 0 for each in hours) == tokens + audio[0]
        assert sum(each.figures.requests or 0 for each in hours) == requests
        assert {each.model_id for each in hours} == {"small", "varied"}
        assert await booked.hours(Period("acme", 0, START_MICROS)) == ()
    finally:
        database.close()


@pytest.mark.timeout(20)
async def test_attempts_come_with_the_strongest_reason_first(tmp_path: Path, open_store: OpenStore) -> None:
    await make_store(tmp_path, Traffic(60, 5), open_store)
    database = open_store(tmp_path, FakeClock(NOW_MICROS))
    try:
        booked = SqlBookedUsage(database)
        found, known = await booked.attempts(WHOLE, None, 40)
        assert known == frozenset()
        ranks = [REASONS.index(each.reasons[0]) if each.reasons else len(REASONS) for each in found]
        assert ranks == sorted(ranks)
        assert {REASONS.index(POSSIBLE_SPEND), REASONS.index(ESTIMATED), len(REASONS)} <= set(ranks)
        assert {each.day for each in found} == {day_of(START_MICROS)}
        assert len({each.attempt_id for each in found}) == len(found)
        settled = [each for each in found if each.upstream_request_id]
        some = frozenset(str(each.upstream_request_id) for each in settled[:3]) | {"up_none"}
        matched, known = await booked.attempts(WHOLE, some, 1)
        assert known == some - {"up_none"}
        unmatched = [each for each in matched if UNMATCHED in each.reasons]
        assert all(each.upstream_request_id not in some for each in unmatched)
        assert len(unmatched) >= len(settled) - 3
    finally:
        database.close()


async def test_comparisons_are_kept(tmp_path: Path, open_store: OpenStore) -> None:
    database = open_store(tmp_path, FakeClock())
    try:
        store = SqlReconciliations(database)
        first = KeptReconciliation("rec_1", "acme", "d", 1, '{"id":"rec_1"}', '{"days":[]}')
        second = KeptReconciliation("rec_2", "here", "e", 2, '{"id":"rec_2"}', "{}")
        await store.add(first)
        await store.add(second)
        assert await store.get("rec_1") == first
        assert await store.get("rec_3") is None
        assert [each.id for each in await store.recent(None, 5)] == ["rec_2", "rec_1"]
        assert [(each.id, each.report) for each in await store.recent("acme", 5)] == [("rec_1", "")]
    finally:
        database.close()


async def compare(plane: Plane, content: str, **fields: str | JsonObject) -> JsonObject:
    body: JsonObject = {"provider": "acme", "content": content, **fields}
    reply = await plane.call("admin", "POST", PATH, body)
    assert reply.status_code == 201, reply.text
    return cast("JsonObject", body_of(reply)["reconciliation"])


async def refused(plane: Plane, status: int, code: str, **fields: object) -> str:
    body = {"provider": "acme", "content": BILL.format(cost=3), **fields}
    reply = await plane.call("admin", "POST", PATH, cast("JsonObject", body))
    told = body_of(reply)
    assert (reply.status_code, told["id"]) == (status, code), told
    assert plane.world.reconciled.kept == []
    return str(told["message"])


async def test_a_bill_that_agrees() -> None:
    world = World()
    world.booked.booked = [HOUR]
    async with open_plane(world) as plane:
        report = await compare(plane, BILL.format(cost="3"), file_name="november.csv")
    assert report["says"] == "1 of 1 days and models agree with the bill."
    assert (report["differing_rows"], report["cause"], report["format"]) == (0, "agrees", "generic")
    assert (report["first_day"], report["last_day"], report["file_name"]) == (DAY, DAY, "november.csv")
    assert report["remarks"] == ["No currency is told; amounts are taken for US dollars."]
    assert world.booked.asked == [Period("acme", start_of("2026-11-23"), start_of("2026-11-26"))]


async def test_a_bill_that_differs_shows_by_how_much_why_and_which_requests() -> None:
    world = World()
    world.booked.booked = [HOUR]
    world.booked.behind = [
        BookedAttempt(DAY, "acme/chat:large", "att_1", "req_1", NOON_MICROS, (POSSIBLE_SPEND,), 0, 0, 0, "up_1")
    ]
    async with open_plane(world) as plane:
        report = await compare(plane, BILL.format(cost="3.3").replace(",10,", ",11,"))
        (day,) = cast("list[JsonObject]", report["days"])
        again = await compare(plane, BILL.format(cost="3.3").replace(",10,", ",11,"), format="generic")
        listed = body_of(await plane.call("admin", "GET", f"{PATH}?provider=acme&limit=1"))
        shown = body_of(await plane.call("admin", "GET", f"{PATH}/{report['id']}"))
    assert (day["model"], day["billed_as"], day["cause"]) == ("acme/chat:large", ["chat-large"], "voids_were_billed")
    assert cast("list[JsonObject]", day["figures"])[1] == {
        "figure": "cost_nano_usd",
        "ours": 3_000_000_000,
        "theirs": 3_300_000_000,
        "difference": 300_000_000,
        "per_mille": 100,
        "ours_usd": "3.000000000",
        "theirs_usd": "3.300000000",
    }
    (behind,) = cast("list[JsonObject]", day["attempts"])
    assert (behind["request_id"], behind["reasons"], behind["ended_at"]) == (
        "req_1",
        ["possible_spend"],
        "2026-11-24T12:00:00.000000Z",
    )
    assert cast("list[str]", again["remarks"])[-1] == f"This file was reconciled before, as {report['id']}."
    (summary,) = cast("list[JsonObject]", listed["reconciliations"])
    assert (summary["id"], "days" in summary) == (again["id"], False)
    assert shown["reconciliation"] == report


async def test_cents_read_as_dollars_are_named() -> None:
    world = World()
    world.booked.booked = [HOUR]
    async with open_plane(world) as plane:
        report = await compare(plane, BILL.format(cost="300"))
    assert report["cause"] == "unit"
    assert "100 times ours: cents read as dollars" in str(report["says"])


async def test_an_unknown_model_is_marked_and_can_be_mapped() -> None:
    world = World()
    world.booked.booked = [HOUR]
    async with open_plane(world) as plane:
        bill = BILL.format(cost="3").replace("chat-large", "Big One")
        report = await compare(plane, bill)
        mapped = await compare(plane, bill, models={"Big One": "acme/chat:large"})
    assert report["cause"] in ("model_unknown", "not_billed")
    assert {str(day["cause"]) for day in cast("list[JsonObject]", report["days"])} == {"model_unknown", "not_billed"}
    assert mapped["cause"] == "agrees"


async def test_days_outside_are_left_out_and_told_of() -> None:
    world = World()
    world.booked.booked = [HOUR]
    async with open_plane(world) as plane:
        bill = BILL.format(cost="3") + "2026-11-20,chat-large,1,9\n"
        report = await compare(plane, bill, since=DAY, until=DAY)
    assert report["cause"] == "agrees"
    assert "1 lines are of other days (2026-11-20 to 2026-11-24) and were left out." in cast(
        "list[str]", report["remarks"]
    )


async def test_what_is_refused_stores_nothing() -> None:
    async with open_plane(World()) as plane:
        assert "Did you mean" in await refused(plane, 404, "provider_not_found", provider="acmee")
        assert "is missing" in await refused(plane, 400, "invalid_request", provider=" ")
        assert "is missing" in await refused(plane, 400, "invalid_request", content=3)
        assert '"format" must be one of' in await refused(plane, 400, "invalid_request", format="pdf")
        assert '"since" must be a text' in await refused(plane, 400, "invalid_request", since=3)
        assert "must be a date" in await refused(plane, 400, "invalid_request", since="November")
        assert "exchange them" in await refused(plane, 400, "invalid_request", since=DAY, until="2026-11-01")
        assert '"models" must be an object' in await refused(plane, 400, "invalid_request", models={"a": 1})
        assert '"models" must be an object' in await refused(plane, 400, "invalid_request", models=[])
        assert "does not serve here" in await refused(plane, 400, "invalid_request", models={"a": "b"})
        assert "no line from" in await refused(plane, 400, "bill_invalid", since="2026-11-25")
        assert "at most 400 days" in await refused(plane, 400, "bill_invalid", since="2024-01-01")
        assert "EUR" in await refused(plane, 400, "bill_invalid", content="date,cost,currency\n2026-11-24,1,EUR")
        assert "Nothing was stored." in await refused(plane, 400, "bill_invalid", content="PDF")
        await refused(plane, 400, "unknown_field", file="x")
        assert "limit of" in await refused(plane, 413, "body_too_large", content="x" * (13 * 1024 * 1024))
        missing = await plane.call("admin", "GET", f"{PATH}/rec_none")
        assert (missing.status_code, body_of(missing)["id"]) == (404, "reconciliation_not_found")
        assert (await plane.call("key", "GET", PATH)).status_code == 403


async def test_a_bill_written_from_the_ledger_agrees_with_the_sums(tmp_path: Path) -> None:
    """Amounts are taken line by line from the ledger, and read back through the hourly sums."""
    await make_store(tmp_path, Traffic(40, 9))
    database = open_database(tmp_path, FakeClock(NOW_MICROS))
    try:
        rows = await database.read(
            lambda cursor: cursor.execute(
                """SELECT attempt.attempt_id, attempt.model_id, sum(line.cost_nano), max(ended_at_micros)
                FROM attempt JOIN resolution USING (attempt_id) JOIN settled_line AS line USING (attempt_id)
                WHERE attempt.provider = 'acme' GROUP BY 1, 2"""
            ).fetchall()
        )
        text = "date,model,cost,request_id\n" + "".join(
            f"{day_of(ended)},{model},{format_nano(nano)},{attempt}\n" for attempt, model, nano, ended in rows
        )
        bill = read_bill(text, "auto", "2026-11-29")
        hours = await SqlBookedUsage(database).hours(WHOLE)
    finally:
        database.close()
    names = {"small": "small", "varied": "varied"}
    found = reconcile(bill, Books((bill.lines[0].day, bill.lines[0].day), hours), names)
    assert (found.drifting, [drift.difference for drift in found.totals]) == (0, [0])
    assert len(found.rows) == 2
