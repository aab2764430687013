"""What the books tell of deployments: shares of requests, cost of replicas in reports, nothing for break-even."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.books import Opening, Timing
from headrace.domain.deployment_costs import Served
from headrace.domain.price import PriceVersion
from headrace.domain.usage import Usage
from headrace.domain.usage_report import Dimension, Interval, UsageQuestion
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.deployment_use import SqlDeploymentUse
from headrace.drivers.stores.deployments import SqlDeploymentStore
from headrace.drivers.stores.replica_runs import SqlReplicaRuns
from headrace.drivers.stores.usage_hours import SqlUsageHours
from headrace.drivers.stores.usage_reports import SqlUsageReports
from headrace.ports.ledger import Ledger
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import START_MICROS, OpenStore, new_ledger, opening, settlement, void
from tests.fakes.replicas import a_deployment, a_run, a_wanted

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

HOUR = 3_600_000_000
START = START_MICROS - START_MICROS % HOUR
FREE = PriceVersion("dedicated/prod-llm@2026-01-01", "dedicated", "prod-llm", "2026-01-01", "paid by the second", {})


@pytest.fixture
def database(open_store: OpenStore, tmp_path: Path) -> Iterator[Database]:
    opened = open_store(tmp_path, FakeClock(START))
    yield opened
    opened.close()


def at(number: int, begins: int, *, deployment: str | None = "dep_1") -> Opening:
    """An attempt as ids are made: they begin with their time."""
    made = opening(number)
    return replace(
        made,
        attempt_id=f"att_{begins // 1_000:012x}{number:020x}",
        model_id="prod-llm" if deployment else "small",
        provider="dedicated" if deployment else "acme",
        deployment=deployment,
        price=FREE if deployment else made.price,
        at_micros=begins,
    )


async def serve(ledger: Ledger, made: Opening, ends: int) -> None:
    """Hold and settle an attempt that had half a second of a replica."""
    await ledger.hold(made)
    usage = Usage(700, 90, 8, 3, 40, 10)
    ended = replace(settlement(made.attempt_id, usage), lines=(), timing=Timing(None, ends))
    await ledger.settle(replace(ended, share_micros=500_000, share_nano=359_722))


async def test_the_attempts_of_a_deployment_are_summed_that_ended_in_the_span(database: Database) -> None:
    ledger, use = new_ledger(database, FakeClock(START)), SqlDeploymentUse(database)
    await serve(ledger, at(1, START + 5), START + 10)
    await serve(ledger, at(2, START + 5), START + HOUR - 1)
    await serve(ledger, at(3, START + 5), START + HOUR)
    await serve(ledger, at(4, START - 7), START - 1)
    await serve(ledger, at(5, START - 7), START)
    await serve(ledger, at(6, START + 5, deployment="dep_2"), START + 10)
    await serve(ledger, at(7, START + 5, deployment=None), START + 10)
    failed = at(8, START + 5)
    await ledger.hold(failed)
    await ledger.void(replace(void(failed.attempt_id), ended_at_micros=START + 10))
    await ledger.hold(at(9, START + 5))
    assert await use.served("dep_1", START, START + HOUR) == Served(3, 2_100, 270, 24, 9, 120, 30, 1_500_000, 1_079_166)
    assert (await use.served("dep_2", START, START + HOUR)).attempts == 1
    assert await use.served("dep_3", 0, START + HOUR) == Served()


async def test_what_replicas_cost_is_in_reports_as_rows_without_attempts(database: Database) -> None:
    await serve(new_ledger(database, FakeClock(START)), at(1, START + 5), START + 10)
    run = replace(a_run(nano_per_hour=3_600_000), ready_at_micros=START)
    for minutes in (15, 60, 75):
        await SqlReplicaRuns(database).meter(replace(run, metered_to_micros=START + minutes * 60_000_000), ())
    spans = ((START, START + HOUR), (START + HOUR, START + 2 * HOUR))
    question = UsageQuestion(interval=Interval.HOUR, zone="UTC", spans=spans)
    report = await SqlUsageReports(database).report(
        replace(question, group_by=(Dimension.DEPLOYMENT, Dimension.STATUS))
    )
    found = [(row.span[0], *row.group, row.sums.attempts, row.sums.cost_nano) for row in report.rows]
    assert found == [
        (START, "dep_1", "complete", 1, 0),
        (START, "dep_1", "replica", 0, 3_600_000),
        (START + HOUR, "dep_1", "replica", 0, 900_000),
    ]
    assert (report.totals.attempts, report.totals.charge_nano, report.totals.input_fresh) == (1, 4_500_000, 700)
    only = replace(question, filters=((Dimension.STATUS, ("replica",)),), group_by=(Dimension.MODEL, Dimension.TEAM))
    rows = (await SqlUsageReports(database).report(only)).rows
    assert {row.group for row in rows} == {("prod-llm", "default")}


async def test_deployments_are_named_that_live_and_that_left_a_run(database: Database) -> None:
    ledger, store = new_ledger(database, FakeClock(START)), SqlDeploymentStore(database)
    for number, deployment in enumerate(("dep_1", "dep_2", "dep_3", None), 1):
        await serve(ledger, at(number, START + 5, deployment=deployment), START + 10)
    for number in (1, 2):
        await store.put(a_deployment(f"dep_{number}", a_wanted(f"llm-{number}")))
    for number in range(3):
        await SqlReplicaRuns(database).begin(replace(a_run(f"run_{number}"), deployment_id="dep_2", deployment="llm-2"))
    await store.remove("dep_2")
    question = UsageQuestion(interval=Interval.TOTAL, zone="UTC", spans=((START, START + HOUR),))
    report = await SqlUsageReports(database).report(replace(question, group_by=(Dimension.DEPLOYMENT,)))
    assert [row.group for row in report.rows] == [("",), ("dep_1",), ("dep_2",), ("dep_3",)]
    assert report.deployment_names == {"dep_1": "llm-1", "dep_2": "llm-2"}
    assert (await SqlUsageReports(database).report(question)).deployment_names == {}
    for asked, count in ((("llm-1",), 1), (("llm-2", "dep_1"), 2), (("dep_2", "llm-2"), 1), (("", "llm-1"), 2)):
        filtered = replace(question, filters=((Dimension.DEPLOYMENT, asked),))
        assert (await SqlUsageReports(database).report(filtered)).totals.attempts == count


async def test_neither_replicas_nor_their_requests_are_serverless_traffic(database: Database) -> None:
    ledger = new_ledger(database, FakeClock(START))
    await serve(ledger, at(1, START + 5), START + 10)
    await serve(ledger, at(2, START + 5, deployment=None), START + 10)
    run = replace(a_run(), ready_at_micros=START, metered_to_micros=START + HOUR)
    await SqlReplicaRuns(database).meter(run, ())
    hours = await SqlUsageHours(database).hours(START, START + HOUR, None)
    assert [(each.model_id, each.requests) for each in hours] == [("small", 1)]
    assert await SqlUsageHours(database).hours(START, START + HOUR, "prod-llm") == ()
