"""Ports of alerts: what is stored of them, their events and deliveries, the hour's cost, and sending to a webhook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from headrace.domain.alert import Alert, AlertEvent, Standing, Windows
from headrace.domain.webhook import Delivery, EventRecord, Outgoing, Webhook


class AlertStore(Protocol):
    """Stored alerts and their events; every method that writes raises MeteringUnavailable when it cannot."""

    async def put(self, alert: Alert, fired: Windows = ()) -> None:
        """Store an alert, or replace the one of its id together with its windows."""
        ...

    async def remove(self, alert_id: str) -> bool:
        """Forget an alert, not its events; returns whether there was one."""
        ...

    async def list(self) -> tuple[Standing, ...]:
        """Return every alert with the windows in which it has fired, oldest first."""
        ...

    async def note(self, standing: Standing, fired: Windows, event: AlertEvent | None = None) -> bool:
        """Replace an alert's windows and store an event, both or neither.

        Returns False, and writes nothing, when the alert or its windows are not as they stand in `standing`.
        """
        ...

    async def finish(self, event: AlertEvent, deliveries: Iterable[Delivery]) -> None:
        """Store what came of an event's action together with its deliveries; a second time changes nothing."""
        ...

    async def unfinished(self) -> tuple[AlertEvent, ...]:
        """Return the events that are not finished, oldest first."""
        ...

    async def events(self, limit: int, alert_id: str | None = None) -> tuple[EventRecord, ...]:
        """Return the newest events first, of one alert or of all."""
        ...


class WebhookStore(Protocol):
    """Stored webhooks and the deliveries to them."""

    async def put(self, webhook: Webhook) -> None:
        """Store a webhook, or replace the address of the one of its id."""
        ...

    async def remove(self, webhook_id: str, at_micros: int) -> bool:
        """Forget a webhook and give up its deliveries; returns whether there was one."""
        ...

    async def list(self) -> tuple[Webhook, ...]:
        """Return every webhook, oldest first."""
        ...

    async def outgoing(self, limit: int) -> tuple[Outgoing, ...]:
        """Return the pending deliveries: the oldest of every webhook, then the next of every one, and so on."""
        ...

    async def tried(self, delivery: Delivery) -> None:
        """Store how a delivery stands after an attempt."""
        ...


class HourCosts(Protocol):
    """What scopes have cost in one hour."""

    async def costs(self, hour_start_micros: int, scopes: Sequence[str]) -> Mapping[str, int]:
        """Return the booked cost of each scope in nano-dollars, 0 for one without traffic.

        A scope is "platform", "team:NAME", "key:ID" or "model:ID".
        """
        ...


class WebhookSender(Protocol):
    """The one way out to an address that a user has set."""

    async def check(self, url: str) -> None:
        """Raise InvalidRequest when a URL may not be sent to, as far as can be told now; nothing is sent."""
        ...

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        """Post once and return the status; raises HeadraceError when there is no answer or the address is refused.

        Where the name leads is looked up and judged anew each time. A redirect is not followed.
        """
        ...
