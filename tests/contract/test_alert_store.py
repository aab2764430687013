"""Alerts, events, webhooks and deliveries as every store keeps them, and the hour's cost as the books have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from headrace.domain.alert import Action, ActionKind, ActionResult, Alert, AlertEvent, Metric, Standing
from headrace.domain.webhook import Delivery, DeliveryState, EventRecord, Webhook
from headrace.drivers.stores import alerts as alerts_module
from headrace.drivers.stores.alerts import SqlAlertStore, SqlHourCosts
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.schema_hours import usage_hour
from headrace.drivers.stores.sqlite import Cursor
from headrace.drivers.stores.webhooks import SqlWebhookStore
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import OpenStore

pytestmark = pytest.mark.anyio

NOON = 1_795_521_600_000_000
ACTION = Action(ActionKind.REPOINT_ALIAS, "daily", "tiny")
ALERT = Alert("alr_1", "mine", Metric.ERROR_RATE, "model:m", 20, 300, 10, ("whk_1",), ACTION, NOON, NOON)
HOOK = Webhook("whk_1", "https://a.example/x", b"sealed", 7, NOON, NOON)


@pytest.fixture
def database(tmp_path: Path, open_store: OpenStore) -> Iterator[Database]:
    opened = open_store(tmp_path, FakeClock())
    yield opened
    opened.close()


def event(number: int = 1, alert_id: str = "alr_1") -> AlertEvent:
    webhooks = ("whk_1", "whk_2")
    figures = (20, 30, 100, None, NOON + number)
    return AlertEvent(f"evt_{number:06d}", alert_id, "mine", Metric.ERROR_RATE, "model:m", *figures, webhooks, ACTION)


def delivery(number: int, event_number: int = 1, webhook_id: str = "whk_1") -> Delivery:
    return Delivery(f"msg_{number:06d}", f"evt_{event_number:06d}", webhook_id, NOON, NOON)


async def test_alerts_come_back_as_they_were_stored(database: Database) -> None:
    store = SqlAlertStore(database)
    later = replace(ALERT, id="alr_0", metric=Metric.BALANCE_LEFT, threshold=2**62, action=None, webhooks=())
    later = replace(later, created_at_micros=NOON + 1)
    await store.put(later, (5, 2**53 + 1))
    await store.put(ALERT)
    assert await store.list() == (Standing(ALERT), Standing(later, (5, 2**53 + 1)))
    changed = replace(later, name="other", changed_at_micros=NOON + 9)
    await store.put(changed)
    assert await store.list() == (Standing(ALERT), Standing(changed))
    assert [await store.remove("alr_0"), await store.remove("alr_0")] == [True, False]
    assert await store.list() == (Standing(ALERT),)


async def test_an_event_is_stored_once_however_many_saw_the_same(database: Database) -> None:
    store = SqlAlertStore(database)
    await store.put(ALERT)
    before = Standing(ALERT)
    assert await store.note(before, (0,), event(1))
    assert not await store.note(before, (0,), event(2))
    assert [each.event for each in await store.events(10)] == [event(1)]
    assert await store.list() == (Standing(ALERT, (0,)),)
    assert await store.note(Standing(ALERT, (0,)), ())
    assert await store.list() == (before,)


async def test_an_alert_that_was_changed_or_removed_meanwhile_does_not_fire(database: Database) -> None:
    store = SqlAlertStore(database)
    await store.put(ALERT)
    await store.put(replace(ALERT, threshold=90, changed_at_micros=NOON + 1))
    assert not await store.note(Standing(ALERT), (0,), event(1))
    await store.remove("alr_1")
    assert not await store.note(Standing(ALERT), (0,), event(1))
    assert await store.events(10) == ()


async def test_an_event_is_unfinished_until_its_result_is_known(database: Database) -> None:
    store = SqlAlertStore(database)
    await store.put(ALERT)
    await store.note(Standing(ALERT), (0,), event())
    assert await store.unfinished() == (event(),)
    finished = replace(event(), result=ActionResult(False, "alias_not_found", "It is gone."))
    deliveries = (delivery(1), delivery(2, webhook_id="whk_2"))
    await store.finish(finished, deliveries)
    await store.finish(replace(event(), result=ActionResult(True)), [delivery(3)])
    assert await store.unfinished() == ()
    assert await store.events(10) == (EventRecord(finished, deliveries),)


async def test_events_are_read_newest_first_of_one_alert_or_all_and_the_oldest_go(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_module, "MOST_EVENTS", 3)
    store = SqlAlertStore(database)
    other = replace(ALERT, id="alr_2")
    await store.put(ALERT)
    await store.put(other)
    for number in range(1, 6):
        subject = ALERT if number % 2 else other
        held = next(each for each in await store.list() if each.alert.id == subject.id)
        assert await store.note(held, (*held.fired, number), event(number, subject.id))
        await store.finish(event(number, subject.id), [delivery(number, number)])
    assert [each.event.id for each in await store.events(10)] == ["evt_000005", "evt_000004", "evt_000003"]
    assert [each.event.id for each in await store.events(10, "alr_1")] == ["evt_000005", "evt_000003"]
    assert [each.event.id for each in await store.events(1)] == ["evt_000005"]
    rows = await database.read(lambda cursor: cursor.execute("SELECT count(*) FROM webhook_delivery").fetchone())
    assert rows[0] == 3


async def test_deliveries_go_out_in_order_until_they_are_taken_or_given_up(database: Database) -> None:
    alerts, hooks = SqlAlertStore(database), SqlWebhookStore(database)
    await alerts.put(ALERT)
    await hooks.put(HOOK)
    await alerts.note(Standing(ALERT), (0,), event())
    await alerts.finish(event(), [delivery(1), delivery(2), delivery(3), delivery(4, webhook_id="whk_gone")])
    outgoing = await hooks.outgoing(10)
    assert [each.delivery for each in outgoing] == [delivery(1), delivery(2), delivery(3)]
    assert {(each.event, each.webhook) for each in outgoing} == {(event(), HOOK)}
    waiting = replace(delivery(1), attempts=3, last_status=500, last_error="The receiver answered 500.")
    taken = replace(delivery(2), state=DeliveryState.DELIVERED, attempts=1, last_status=204, changed_at_micros=NOON + 5)
    await hooks.tried(waiting)
    await hooks.tried(taken)
    await hooks.tried(replace(taken, state=DeliveryState.PENDING))
    assert [each.delivery for each in await hooks.outgoing(10)] == [waiting, delivery(3)]
    assert [each.delivery for each in await hooks.outgoing(1)] == [waiting]
    ((record),) = await alerts.events(1)
    assert record.deliveries[:3] == (waiting, taken, delivery(3))


async def test_a_webhook_with_a_backlog_does_not_keep_others_out_of_what_is_read(database: Database) -> None:
    alerts, hooks = SqlAlertStore(database), SqlWebhookStore(database)
    await alerts.put(ALERT)
    await hooks.put(HOOK)
    await hooks.put(replace(HOOK, id="whk_2"))
    await alerts.note(Standing(ALERT), (0,), event())
    backlog = [delivery(each) for each in range(1, 6)]
    await alerts.finish(event(), [*backlog, delivery(9, webhook_id="whk_2")])
    found = [each.delivery for each in await hooks.outgoing(3)]
    assert found == [delivery(1), delivery(9, webhook_id="whk_2"), delivery(2)]


async def test_webhooks_keep_their_secret_and_take_their_deliveries_along(database: Database) -> None:
    alerts, hooks = SqlAlertStore(database), SqlWebhookStore(database)
    await hooks.put(HOOK)
    moved = replace(HOOK, url="https://b.example/", sealed=b"another", changed_at_micros=NOON + 1)
    await hooks.put(moved)
    assert await hooks.list() == (replace(moved, sealed=b"sealed"),)
    await alerts.put(ALERT)
    await alerts.note(Standing(ALERT), (0,), event())
    await alerts.finish(event(), [delivery(1)])
    assert [await hooks.remove("whk_1", NOON + 2), await hooks.remove("whk_1", NOON + 3)] == [True, False]
    assert (await hooks.outgoing(10), await hooks.list()) == ((), ())
    ((record),) = await alerts.events(1)
    given_up = replace(delivery(1), state=DeliveryState.FAILED, last_error="The webhook was removed.")
    assert record.deliveries == (replace(given_up, changed_at_micros=NOON + 2),)
    await hooks.tried(replace(delivery(1), state=DeliveryState.DELIVERED))
    assert (await alerts.events(1))[0].deliveries[0].state is DeliveryState.FAILED


async def test_the_hours_cost_is_that_of_the_scope_and_the_hour(database: Database) -> None:
    columns = [column.name for column in usage_hour.c]

    def row(hour: int, team: str, key: str, model: str, cost: int) -> tuple[str | int, ...]:
        places = {"hour_start_micros": hour, "account": team, "key_id": key, "model_id": model}
        named: dict[str, str | int] = {**places, "provider": "p", "deployment": "", "route": "", "status": "complete"}
        return tuple(cost if name == "cost_nano" else named.get(name, 0) for name in columns)

    rows = [
        row(NOON, "crew", "k1", "m", 5),
        row(NOON, "crew", "k2", "n", 7),
        row(NOON, "shop", "k3", "m", 11),
        row(NOON - 3_600_000_000, "crew", "k1", "m", 1000),
    ]
    marks = ", ".join("?" * len(columns))
    for each in rows:
        await database.write(partial(_add_hour, f"INSERT INTO usage_hour VALUES ({marks})", each))
    scopes = ["platform", "team:crew", "key:k1", "model:m", "key:nobody"]
    costs = SqlHourCosts(database)
    assert await costs.costs(NOON, scopes) == {
        "platform": 23,
        "team:crew": 12,
        "key:k1": 5,
        "model:m": 16,
        "key:nobody": 0,
    }
    assert (await costs.costs(NOON + 3_600_000_000, ["platform"])) == {"platform": 0}


def _add_hour(statement: str, values: tuple[str | int, ...], cursor: Cursor) -> int:
    return cursor.execute(statement, values).rowcount
