"""Owns the stored webhooks and the log of deliveries; sealing a secret and sending are others'."""

from __future__ import annotations

import msgspec

from headrace.domain.alert import AlertEvent
from headrace.domain.webhook import Delivery, Outgoing, Webhook
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor
from headrace.wire.converter import Converter

REMOVED = "The webhook was removed."
PUT = """
INSERT INTO webhook (webhook_id, url, sealed, key_version, created_at_micros, changed_at_micros)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (webhook_id) DO UPDATE SET url = excluded.url, changed_at_micros = excluded.changed_at_micros
"""
REMOVE = "DELETE FROM webhook WHERE webhook_id = ?"
GIVE_UP = """
UPDATE webhook_delivery SET state = 'failed', last_error = ?, changed_at_micros = ?
WHERE webhook_id = ? AND state = 'pending'
"""
LIST = """
SELECT webhook_id, url, sealed, key_version, created_at_micros, changed_at_micros
FROM webhook ORDER BY created_at_micros, webhook_id
"""
ADD_DELIVERY = """
INSERT INTO webhook_delivery (delivery_id, event_id, webhook_id, created_at_micros, changed_at_micros,
    state, attempts, last_status, last_error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
TRIED = """
UPDATE webhook_delivery SET state = ?, attempts = ?, last_status = ?, last_error = ?, changed_at_micros = ?
WHERE delivery_id = ? AND state = 'pending'
"""
OF_EVENT = """
SELECT delivery_id, event_id, webhook_id, created_at_micros, changed_at_micros, state, attempts, last_status, last_error
FROM webhook_delivery WHERE event_id = ? ORDER BY delivery_id
"""
OUTGOING = """
SELECT delivery_id, webhook_delivery.event_id, webhook_delivery.webhook_id, webhook_delivery.created_at_micros,
    webhook_delivery.changed_at_micros, state, attempts, last_status, last_error, alert_event.content,
    url, sealed, key_version, webhook.created_at_micros, webhook.changed_at_micros
FROM webhook_delivery
JOIN alert_event ON alert_event.event_id = webhook_delivery.event_id
JOIN webhook ON webhook.webhook_id = webhook_delivery.webhook_id
WHERE state = 'pending'
ORDER BY row_number() OVER (PARTITION BY webhook_delivery.webhook_id ORDER BY delivery_id), delivery_id LIMIT ?
"""
_FIELDS = (
    "id",
    "event_id",
    "webhook_id",
    "created_at_micros",
    "changed_at_micros",
    "state",
    "attempts",
    "last_status",
    "last_error",
)
_WEBHOOK_FIELDS = ("id", "url", "sealed", "key_version", "created_at_micros", "changed_at_micros")
_EVENT = msgspec.json.Decoder(AlertEvent)
_DELIVERY = Converter(Delivery)
_WEBHOOK = Converter(Webhook)


class SqlWebhookStore:
    """Webhooks with their sealed secrets, and every delivery; the plain secret never passes through here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, webhook: Webhook) -> None:
        """Store a webhook, or replace the address of the one of its id."""
        values = (webhook.id, webhook.url, webhook.sealed, webhook.key_version)
        times = (webhook.created_at_micros, webhook.changed_at_micros)
        await self._database.write(lambda cursor: cursor.execute(PUT, (*values, *times)).rowcount)

    async def remove(self, webhook_id: str, at_micros: int) -> bool:
        """Forget a webhook and give up its deliveries; returns whether there was one."""

        def write(cursor: Cursor) -> bool:
            cursor.execute(GIVE_UP, (REMOVED, at_micros, webhook_id))
            return cursor.execute(REMOVE, (webhook_id,)).rowcount == 1

        return await self._database.write(write)

    async def list(self) -> tuple[Webhook, ...]:
        """Return every webhook, oldest first."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(Webhook(*row) for row in rows)

    async def outgoing(self, limit: int) -> tuple[Outgoing, ...]:
        """Return the pending deliveries: the oldest of every webhook, then the next of every one, and so on."""

        def read(cursor: Cursor) -> tuple[Outgoing, ...]:
            return tuple(_outgoing(row) for row in cursor.execute(OUTGOING, (limit,)).fetchall())

        return await self._database.read(read)

    async def tried(self, delivery: Delivery) -> None:
        """Store how a delivery stands after an attempt; one that was given up meanwhile stays so."""
        told = (delivery.state.value, delivery.attempts, delivery.last_status, delivery.last_error)
        values = (*told, delivery.changed_at_micros, delivery.id)
        await self._database.write(lambda cursor: cursor.execute(TRIED, values).rowcount)


def add_delivery(cursor: Cursor, delivery: Delivery) -> None:
    """Add a delivery within a commit."""
    place = (delivery.id, delivery.event_id, delivery.webhook_id)
    times = (delivery.created_at_micros, delivery.changed_at_micros)
    told = (delivery.state.value, delivery.attempts, delivery.last_status, delivery.last_error)
    cursor.execute(ADD_DELIVERY, (*place, *times, *told))


def deliveries_of(cursor: Cursor, event_id: str) -> tuple[Delivery, ...]:
    """Return the deliveries of one event."""
    return tuple(_delivery(row) for row in cursor.execute(OF_EVENT, (event_id,)).fetchall())


def _delivery(row: tuple[object, ...]) -> Delivery:
    return _DELIVERY.convert(dict(zip(_FIELDS, row, strict=True)))


def _outgoing(row: tuple[object, ...]) -> Outgoing:
    delivery = _delivery(row[: len(_FIELDS)])
    content, *webhook = row[len(_FIELDS) :]
    fields = dict(zip(_WEBHOOK_FIELDS, (delivery.webhook_id, *webhook), strict=True))
    return Outgoing(delivery, _EVENT.decode(str(content)), _WEBHOOK.convert(fields))
