"""Owns the stored alerts, their events, and reading what scopes have cost in an hour; judging is the domain's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from headrace.domain.alert import Alert, AlertEvent, Standing, Windows
from headrace.domain.webhook import Delivery, EventRecord
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor
from headrace.drivers.stores.webhooks import add_delivery, deliveries_of

MOST_EVENTS = 10_000
PUT = """
INSERT INTO alert (alert_id, content, fired, created_at_micros, changed_at_micros) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (alert_id) DO UPDATE SET
    content = excluded.content, fired = excluded.fired, changed_at_micros = excluded.changed_at_micros
"""
REMOVE = "DELETE FROM alert WHERE alert_id = ?"
LIST = "SELECT content, fired FROM alert ORDER BY created_at_micros, alert_id"
NOTE = "UPDATE alert SET fired = ? WHERE alert_id = ? AND changed_at_micros = ? AND fired = ?"
ADD_EVENT = "INSERT INTO alert_event (event_id, alert_id, at_micros, content, is_finished) VALUES (?, ?, ?, ?, 0)"
OLDEST_KEPT = "SELECT event_id FROM alert_event ORDER BY event_id DESC LIMIT 1 OFFSET ?"
DROP_DELIVERIES = "DELETE FROM webhook_delivery WHERE event_id < ?"
DROP_EVENTS = "DELETE FROM alert_event WHERE event_id < ?"
FINISH = "UPDATE alert_event SET content = ?, is_finished = 1 WHERE event_id = ? AND is_finished = 0"
UNFINISHED = "SELECT content FROM alert_event WHERE is_finished = 0 ORDER BY event_id"
EVENTS = "SELECT content FROM alert_event ORDER BY event_id DESC LIMIT ?"
EVENTS_OF = "SELECT content FROM alert_event WHERE alert_id = ? ORDER BY event_id DESC LIMIT ?"
COSTS: Mapping[str, str] = {
    "platform": "SELECT coalesce(sum(cost_nano), 0) FROM usage_hour WHERE hour_start_micros = ?",
    "team": "SELECT coalesce(sum(cost_nano), 0) FROM usage_hour WHERE hour_start_micros = ? AND account = ?",
    "key": "SELECT coalesce(sum(cost_nano), 0) FROM usage_hour WHERE hour_start_micros = ? AND key_id = ?",
    "model": "SELECT coalesce(sum(cost_nano), 0) FROM usage_hour WHERE hour_start_micros = ? AND model_id = ?",
}
_ALERT = msgspec.json.Decoder(Alert)
_EVENT = msgspec.json.Decoder(AlertEvent)
_WINDOWS = msgspec.json.Decoder(tuple[int, ...])


class SqlAlertStore:
    """Alerts and events, one row each with their fields as JSON; an event outlives its alert."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, alert: Alert, fired: Windows = ()) -> None:
        """Store an alert, or replace the one of its id together with its windows."""
        values = (alert.id, _json(alert), _json(fired), alert.created_at_micros, alert.changed_at_micros)
        await self._database.write(lambda cursor: cursor.execute(PUT, values).rowcount)

    async def remove(self, alert_id: str) -> bool:
        """Forget an alert, not its events; returns whether there was one."""
        return await self._database.write(lambda cursor: cursor.execute(REMOVE, (alert_id,)).rowcount == 1)

    async def list(self) -> tuple[Standing, ...]:
        """Return every alert with the windows in which it has fired, oldest first."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(Standing(_ALERT.decode(content), _WINDOWS.decode(fired)) for content, fired in rows)

    async def note(self, standing: Standing, fired: Windows, event: AlertEvent | None = None) -> bool:
        """Replace an alert's windows and store an event, both or neither.

        Returns False, and writes nothing, when the alert or its windows are not as they stand in `standing`.
        """
        alert = standing.alert
        values = (_json(fired), alert.id, alert.changed_at_micros, _json(standing.fired))

        def write(cursor: Cursor) -> bool:
            if cursor.execute(NOTE, values).rowcount != 1:
                return False
            if event is not None:
                cursor.execute(ADD_EVENT, (event.id, event.alert_id, event.at_micros, _json(event)))
                _drop_oldest(cursor)
            return True

        return await self._database.write(write)

    async def finish(self, event: AlertEvent, deliveries: Iterable[Delivery]) -> None:
        """Store what came of an event's action together with its deliveries; a second time changes nothing."""
        added = tuple(deliveries)

        def write(cursor: Cursor) -> None:
            if cursor.execute(FINISH, (_json(event), event.id)).rowcount == 1:
                for each in added:
                    add_delivery(cursor, each)

        await self._database.write(write)

    async def unfinished(self) -> tuple[AlertEvent, ...]:
        """Return the events that are not finished, oldest first."""
        rows = await self._database.read(lambda cursor: cursor.execute(UNFINISHED).fetchall())
        return tuple(_EVENT.decode(content) for (content,) in rows)

    async def events(self, limit: int, alert_id: str | None = None) -> tuple[EventRecord, ...]:
        """Return the newest events first, of one alert or of all."""

        def read(cursor: Cursor) -> tuple[EventRecord, ...]:
            asked = (EVENTS, (limit,)) if alert_id is None else (EVENTS_OF, (alert_id, limit))
            found = [_EVENT.decode(content) for (content,) in cursor.execute(*asked).fetchall()]
            return tuple(EventRecord(each, deliveries_of(cursor, each.id)) for each in found)

        return await self._database.read(read)


class SqlHourCosts:
    """The hour's cost, from the hourly sums that move with every booking."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def costs(self, hour_start_micros: int, scopes: Sequence[str]) -> Mapping[str, int]:
        """Return the booked cost of each scope in nano-dollars, 0 for one without traffic."""
        return await self._database.read(
            lambda cursor: {scope: _cost(cursor, hour_start_micros, scope) for scope in scopes}
        )


def _cost(cursor: Cursor, hour_start_micros: int, scope: str) -> int:
    kind, _, name = scope.partition(":")
    values = (hour_start_micros, name) if name else (hour_start_micros,)
    return int(cursor.execute(COSTS[kind], values).fetchone()[0])


def _drop_oldest(cursor: Cursor) -> None:
    row = cursor.execute(OLDEST_KEPT, (MOST_EVENTS - 1,)).fetchone()
    if row is not None:
        cursor.execute(DROP_DELIVERIES, (row[0],))
        cursor.execute(DROP_EVENTS, (row[0],))


def _json(value: Alert | AlertEvent | Windows) -> str:
    return msgspec.json.encode(value).decode()
